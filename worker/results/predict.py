"""The result of a `predict` job."""

from __future__ import annotations

from pydantic import Field

from worker.catalog import PredictionWarning
from worker.model_summary import Recorded
from worker.normalization import PerChannel


class ClassProbability(Recorded):
    """One class and how probable the network holds it."""

    class_index: int
    class_name: str
    probability: float = Field(description="Softmax of the network's answer, 0–1: a ranking, not a calibrated chance.")


class Preprocessing(Recorded):
    """What was done to the picture before the network saw it."""

    original_width: int
    original_height: int
    width: int = Field(description="Of the network's input, in pixels.")
    height: int
    original_bits: int = Field(8, description="Of each sample of the picture; the network's input has 8.")
    num_frames: int = Field(1, description="Pictures in the file: only the first was looked at.")
    grayscale: bool = Field(description="It had colours, which were dropped.")
    resized: bool = Field(description="It had another size, and was resized as `steps` says.")
    inverted: bool = Field(description="Light and dark were swapped, as asked for.")
    steps: tuple[str, ...] = Field(description="Every step in order, in words.")
    mean: PerChannel = Field(
        description="A pixel p entered the network as (p / 255 - mean) / std: one for all channels, or one for each."
    )
    std: PerChannel


class PictureWarning(Recorded):
    """One reason why a prediction may say little about the picture."""

    code: PredictionWarning
    detail: str


class ModelPrediction(Recorded):
    """What one model says."""

    model_id: str
    top: tuple[ClassProbability, ...] = Field(description="The most probable classes, the first one first.")
    preprocessing: Preprocessing
    warnings: tuple[PictureWarning, ...] = Field(
        (), description="Before you believe it: a picture that is nearly blank, or far too small."
    )


class PredictResult(Recorded):
    """What the models say of a picture."""

    predictions: tuple[ModelPrediction, ...] = Field(description="The model asked, and the one to compare it to.")
    agree: bool | None = Field(
        description="Whether both name the same class first; null where one was asked, or their classes differ."
    )
