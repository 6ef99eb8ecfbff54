"""A picture in, classes out."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field, JsonValue

from service.schemas.base import Answer
from worker.catalog import PredictionWarning

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


class ClassProbability(Answer):
    """One class and how probable the network holds it."""

    class_index: int
    class_name: str
    probability: float = Field(description="Softmax of the network's answer, 0–1: a ranking, not a calibrated chance.")


class Preprocessing(Answer):
    """What was done to the picture before the network saw it."""

    original_width: int
    original_height: int
    width: int = Field(description="Of the network's input, in pixels.")
    height: int
    original_bits: int = Field(8, description="Of each sample of the picture; the network's input has 8.")
    num_frames: int = Field(1, description="Pictures in the file: only the first was looked at.")
    grayscale: bool = Field(description="It had colours, which were dropped.")
    resized: bool = Field(description="It had another size, and was resized whatever its proportions.")
    inverted: bool = Field(description="Light and dark were swapped, as asked for.")
    steps: list[str] = Field(description="Every step in order, in words.")
    mean: float = Field(description="A pixel p entered the network as (p / 255 - mean) / std.")
    std: float


class PictureWarning(Answer):
    """One reason why a prediction may say little about the picture."""

    code: PredictionWarning
    detail: str


class ModelPrediction(Answer):
    """What one model says."""

    model_id: str
    top: list[ClassProbability] = Field(description="The most probable classes, the first one first.")
    preprocessing: Preprocessing
    warnings: list[PictureWarning] = Field(
        default_factory=list, description="Before you believe it: a picture that is nearly blank, or far too small."
    )


class Prediction(Answer):
    """What the models say of the picture."""

    job_id: str
    predictions: list[ModelPrediction] = Field(description="The model asked, and the one to compare it to.")
    agree: bool | None = Field(description="Whether both name the same class first; null where one was asked.")
    warnings: list[str] = Field(description="The job's warnings: all that the models' own say, each once.")
