"""What may be asked of an import. NumPy-free: the API reads it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from worker.catalog import Background, DatasetFormat, ResizeMode
from worker.picture_policy import LARGEST_SIDE

LEAST_SIDE = 8


def _read_digits(said: Any) -> Any:
    """A number of a query comes as text, which is no member of a set of numbers."""
    return int(said) if isinstance(said, str) and said.isdecimal() and len(said) == 1 else said


class DatasetOptions(BaseModel):
    """How the pictures of a file become a data set."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: DatasetFormat | None = Field(None, description="Of the file; by default found from what is in it.")
    size: int | None = Field(
        None,
        ge=LEAST_SIDE,
        le=LARGEST_SIDE,
        description="Height and width of all pictures; by default those that all of them have.",
    )
    mode: ResizeMode = Field(
        ResizeMode.SHORTER_SIDE_CENTRE_CROP,
        description="How pictures of other sizes are made to fit, in predictions later too.",
    )
    background: Background = Field(
        Background.WHITE, description="Lies below transparency and fills the borders of a padded picture."
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(_read_digits)] | None = Field(
        None, description="By default 1 where all pictures are gray, else 3."
    )
    mirrorable: bool | None = Field(
        None,
        description="Whether a picture mirrored left to right is still one of its class, so that training may mirror "
        "it: writing is not. By default where there are colours.",
    )
    label_column: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="The title of the column of classes, in a table or a Parquet file, where it is none that is known.",
    )
    test_fraction: float = Field(
        0.15, gt=0, lt=1, description="Of each class, for the test split, where the file has none."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Draws the test split, where the file has none.")
