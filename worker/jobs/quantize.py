"""Quantize a stored model to one or more bit widths."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from worker.catalog import QuantizationMode
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId

BitWidth = Annotated[int, Field(ge=2, le=8)]


def _unique(bit_widths: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(bit_widths)) != len(bit_widths):
        raise ValueError("each bit width may be named once")
    return bit_widths


class QuantizeSpec(JobSpec):
    """Maps weights and activations to integers; a list of widths measures them all on one model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "latest", "bit_widths": [8, 4]}]})

    kind: Literal["quantize"] = "quantize"
    model_id: ModelId
    bit_widths: Annotated[tuple[BitWidth, ...], AfterValidator(_unique)] = Field((8, 6, 4, 2), min_length=1)
    activation_bit_width: BitWidth | None = Field(None, description="By default the same as the weights'.")
    mode: QuantizationMode = QuantizationMode.QUANTIZATION_AWARE
    per_channel: bool = Field(True, description="One weight scale per output channel, else one per layer.")
    epochs: int | None = Field(
        None, ge=1, le=500, description="Epochs of quantization-aware training; by default by bit width."
    )
    learning_rate: float = Field(0.01, gt=0, le=10)
    distillation: bool = Field(True, description="Train towards the outputs of the float model too.")
    max_accuracy_drop: float = Field(
        1.0, ge=0, le=100, description="The output model is the narrowest width within this validation drop."
    )


def run(spec: QuantizeSpec, context: JobContext) -> JobOutcome:
    raise NotImplementedError
