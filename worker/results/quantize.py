"""The result of a `quantize` job."""

from __future__ import annotations

from pydantic import Field

from worker.model_summary import (
    AccuracyDrop,
    AnswerRecords,
    DropIntervals,
    Evaluations,
    LayerSparsity,
    ModelHealth,
    Recorded,
    SizeLedger,
)
from worker.results.model_result import ClassificationReport, Epoch, ModelResult


class WidthResult(Recorded):
    """The model of one bit width, measured on its integers."""

    bit_width: int
    model_id: str
    accuracy: float | None = Field(None, description="On test, 0–1.")
    validation_accuracy: float | None = None
    accuracy_drop: AccuracyDrop | None = None
    accuracy_drop_interval: DropIntervals | None = None
    correctness: AnswerRecords | None = None
    health: ModelHealth | None = None
    evaluation: Evaluations
    sparsity: float = Field(description="Fraction of zero weights, 0–1.")
    layer_sparsity: tuple[LayerSparsity, ...] | None = None
    size: SizeLedger
    file_bytes: int | None = None
    classification_report: ClassificationReport = Field(
        description="On test: class name → its scores, and their means."
    )
    confusion_matrix: tuple[tuple[int, ...], ...] | None = Field(None, description="On test.")
    history: tuple[Epoch, ...] = Field(description="Empty without training.")


class QuantizeResult(ModelResult):
    """Every width that was asked for; the model is the narrowest within the drop."""

    bit_width: int = Field(description="Of the model that was chosen.")
    widths: tuple[WidthResult, ...] = Field(description="In the order asked for.")
    distillation: bool
    num_calibration_examples: int | None = None
    first_layer_input: str | None = Field(None, description="What the first layer reads, in words.")
