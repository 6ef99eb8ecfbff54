"""Quantize a stored model to one or more bit widths."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from worker.catalog import ArtifactKind, QuantizationMode
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId
from worker.memory_estimate import (
    CALIBRATION_EXAMPLES,
    DescribeModel,
    MemoryEstimate,
    estimate_quantize,
    read_layers,
)
from worker.progress import Progress
from worker.results.quantize import QuantizeResult

if TYPE_CHECKING:
    from worker.core.baseline import Baseline
    from worker.model_files import SavedModel

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
    bit_widths: Annotated[tuple[BitWidth, ...], AfterValidator(_unique)] = Field(
        (8, 6, 4, 2), min_length=1, max_length=7, json_schema_extra={"uniqueItems": True}
    )
    activation_bit_width: BitWidth | None = Field(None, description="By default the same as the weights'.")
    mode: QuantizationMode = QuantizationMode.QUANTIZATION_AWARE
    per_channel: bool = Field(True, description="One weight scale per output channel, else one per layer.")
    epochs: int | None = Field(
        None, ge=1, le=500, description="Epochs of quantization-aware training; by default by bit width."
    )
    learning_rate: float = Field(0.02, gt=0, le=10)
    distillation: bool = Field(True, description="Train towards the outputs of the float model too.")
    max_accuracy_drop: float = Field(
        1.0, ge=0, le=100, description="The output model is the narrowest width within this validation drop."
    )

    def estimate_memory(self, describe_model: DescribeModel) -> MemoryEstimate | None:
        """Estimates it from the stored model's shape."""
        layers = read_layers(describe_model(self.model_id))
        return (
            None
            if layers is None
            else estimate_quantize(layers, None, is_trained=self.mode is QuantizationMode.QUANTIZATION_AWARE)
        )


def run(spec: QuantizeSpec, context: JobContext) -> JobOutcome:
    """Each width in turn: calibrates, trains on quantized values, stores the integers, measures the decoded file."""
    from worker.core.fit_progress import FitProgress
    from worker.core.quantization_aware import QatSettings, calibrate_network, quantize_to_width
    from worker.core.resume import FolderCheckpoints
    from worker.core.training import compute_soft_targets
    from worker.core.training_log import TrainingLog
    from worker.model_files import describe_result, open_baseline, plot_results, save_integer_model

    baseline = open_baseline(context, spec.model_id)
    data = baseline.data
    is_trained = spec.mode is QuantizationMode.QUANTIZATION_AWARE
    is_distilled = spec.distillation and is_trained
    settings = QatSettings(
        spec.activation_bit_width, spec.per_channel, spec.epochs, spec.learning_rate, spec.distillation, spec.seed
    )
    calibration = calibrate_network(baseline.model, data)
    get_targets = functools.cache(lambda: compute_soft_targets(baseline.model, data)) if is_distilled else None
    checkpoints, trainings = FolderCheckpoints(context.scratch), TrainingLog(context)
    saved, rows = {}, []
    share = 95 / len(spec.bit_widths)
    for position, width in enumerate(spec.bit_widths):
        begin, end = 2 + share * position, 2 + share * (position + 1)
        progress = FitProgress(context, f"quantizing to {width} bit", begin, end, series=f"{width}bit_")
        network, step = quantize_to_width(
            baseline, width, settings, calibration, progress, checkpoints, get_targets, is_trained=is_trained
        )
        trainings.add(f"{width} bit", step.get("training"))
        model = save_integer_model(
            context, f"quantized-{width}bit", network, baseline, title=spec.name and f"{spec.name} {width} bit"
        )
        saved[width] = model
        rows.append(_describe_width(width, model, step["history"]))
        test, drop = model.metrics.test.accuracy, model.summary["accuracy_drop"]["test"]
        message = f"{width} bit: test accuracy {100 * test:.2f} %, drop {drop:.2f} points, {model.num_bytes} bytes"
        context.report(Progress(message=message))
    accuracies = {width: model.metrics.validation.accuracy for width, model in saved.items()}
    allowed = [width for width, one in accuracies.items() if baseline.allows(one, spec.max_accuracy_drop)]
    if not allowed:
        context.warn(f"no bit width stays within {spec.max_accuracy_drop} points on validation; the widest is kept")
    chosen = min(allowed) if allowed else max(saved)
    _plot_widths(context, rows, baseline)
    plot_results(context, saved[chosen], data, f"{chosen}bit")
    result = describe_result(saved[chosen], baseline) | {
        "bit_width": chosen,
        "widths": rows,
        "trainings": trainings.to_json(),
        "distillation": is_distilled,
        "num_calibration_examples": min(CALIBRATION_EXAMPLES, len(data.train)),
        "first_layer_input": "the picture's own 8 bits",
    }
    return JobOutcome(QuantizeResult.model_validate(result).to_json(), saved[chosen].model_id)


def _plot_widths(context: JobContext, rows: Sequence[Mapping[str, Any]], baseline: Baseline) -> None:
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.compression import Mark, draw_bit_widths
    from worker.report.figures.training import draw_quantization

    draw_bit_widths(
        make_titled("Accuracy and size by bit width"),
        context.artifact_path("bit-widths.png", ArtifactKind.PLOT),
        {
            row["bit_width"]: Mark(row["accuracy"], tuple(row["evaluation"]["test"]["interval"]), row["file_bytes"])
            for row in rows
        },
        baseline=baseline.test.accuracy,
    )
    trained = {row["bit_width"]: row["history"] for row in rows if row["history"]}
    if trained:
        draw_quantization(
            make_titled("Quantization-aware training"),
            context.artifact_path("quantization-training.png", ArtifactKind.PLOT),
            trained,
            baseline={"loss": baseline.validation.loss, "accuracy": baseline.validation.accuracy},
        )


def _describe_width(bit_width: int, saved: SavedModel, history: list[dict[str, Any]]) -> dict[str, Any]:
    summary = saved.summary
    return {
        "bit_width": bit_width,
        "model_id": saved.model_id,
        "accuracy": saved.metrics.test.accuracy,
        "validation_accuracy": saved.metrics.validation.accuracy,
        "accuracy_drop": summary["accuracy_drop"],
        "accuracy_drop_interval": summary["accuracy_drop_interval"],
        "correctness": summary["correctness"],
        "health": summary["health"],
        "evaluation": summary["evaluation"],
        "sparsity": summary["sparsity"]["total"],
        "layer_sparsity": summary["sparsity"]["layers"],
        "size": summary["size"],
        "file_bytes": saved.num_bytes,
        "classification_report": saved.metrics.report,
        "confusion_matrix": saved.metrics.matrix.tolist(),
        "history": history,
    }
