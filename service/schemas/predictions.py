"""A picture in, classes out."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue

from service.schemas.base import Answer
from worker.results.predict import ModelPrediction

# Row by row, dark is 0: scikit-learn's first handwritten digit, a zero.
_ZERO: list[JsonValue] = [
    [0, 0, 80, 207, 143, 16, 0, 0],
    [0, 0, 207, 239, 159, 239, 80, 0],
    [0, 48, 239, 32, 0, 175, 128, 0],
    [0, 64, 191, 0, 0, 128, 128, 0],
    [0, 80, 128, 0, 0, 143, 128, 0],
    [0, 64, 175, 0, 16, 191, 112, 0],
    [0, 32, 223, 80, 159, 191, 0, 0],
    [0, 0, 96, 207, 159, 0, 0, 0],
]


LONGEST_SIDE = 1024
MOST_PIXELS = LONGEST_SIDE**2

# The first wrong pixel is told of, and not each of a million.
_Row = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=LONGEST_SIDE), FailFast()]


class PixelPicture(BaseModel):
    """A gray picture as numbers."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"pixels": _ZERO}]})

    pixels: Annotated[list[_Row], FailFast()] = Field(
        min_length=1,
        max_length=LONGEST_SIDE,
        description="Row by row, 0 is black and 255 white. Rows shorter than the longest are filled up with black.",
    )


class Prediction(Answer):
    """What the models say of the picture."""

    job_id: str
    predictions: list[ModelPrediction] = Field(description="The model asked, and the one to compare it to.")
    agree: bool | None = Field(
        description="Whether both name the same class first; null where one was asked, or their classes differ."
    )
    warnings: list[str] = Field(description="The job's warnings: all that the models' own say, each once.")
