"""How a picture of any size becomes a network's input: part of a data set and of every model that it trained.

Torch-free: the API reads it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from worker.catalog import Background, ResizeMode

LARGEST_SIDE = 224
"""Of a network's input."""


class ResizePolicy(BaseModel):
    """The size of a network's input, and what is done to pictures of another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=1, le=LARGEST_SIDE)
    width: int = Field(ge=1, le=LARGEST_SIDE)
    mode: ResizeMode = ResizeMode.SHORTER_SIDE_CENTRE_CROP
    background: Background = Field(
        Background.WHITE, description="Lies below transparency and fills the borders of a padded picture."
    )
