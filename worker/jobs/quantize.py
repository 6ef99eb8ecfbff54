"""Quantize a stored model to one or more bit widths."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from worker.catalog import ArtifactKind, QuantizationMode
from worker.dataset_refs import Describe
from worker.job_spec import JobContext, JobOutcome, JobSpec, ModelId
from worker.memory_estimate import (
    CALIBRATION_EXAMPLES,
    MemoryEstimate,
    estimate_quantize,
    find_facts,
    read_layers,
)
from worker.paired import compute_drop
from worker.progress import Progress
from worker.results.quantize import QuantizeResult, WidthResult

if TYPE_CHECKING:
    from worker.core.baseline import Baseline
    from worker.core.measured_model import MeasuredModel, StoredBaseline
    from worker.core.training_log import TrainingLog

BitWidth = Annotated[int, Field(ge=2, le=8)]


def _unique(bit_widths: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(bit_widths)) != len(bit_widths):
        raise ValueError("each bit width may be named once")
    return bit_widths


class QuantizeSpec(JobSpec):
    """Maps weights and activations to integers; a list of widths measures them all on one model."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_id": "latest", "bit_widths": [8, 4]}]})

    version: ClassVar[int] = 5
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

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:
        """Estimates it from the stored model's shape."""
        summary = describe(self.model_id)
        layers = read_layers(summary)
        return (
            None
            if layers is None
            else estimate_quantize(
                layers, find_facts(summary, describe), is_trained=self.mode is QuantizationMode.QUANTIZATION_AWARE
            )
        )


def run(spec: QuantizeSpec, context: JobContext) -> JobOutcome:
    """Each width in turn: calibrates, trains on quantized values, stores the integers, measures the decoded file."""
    from worker.core.measured_model import read_whole_pixels
    from worker.core.training_log import TrainingLog
    from worker.model_files import open_baseline, plot_model

    baseline, trainings = read_whole_pixels(open_baseline(context, spec.model_id)), TrainingLog(context)
    rows, measured = _measure_widths(spec, context, baseline, trainings)
    accuracies = {width: model.metrics.validation.accuracy for width, model in measured.items()}
    allowed = [width for width, one in accuracies.items() if baseline.allows(one, spec.max_accuracy_drop)]
    if not allowed:
        context.warn(f"no bit width stays within {spec.max_accuracy_drop} points on validation; the widest is kept")
    chosen = min(allowed) if allowed else max(measured)
    _plot_widths(context, rows.values(), measured, baseline)
    plot_model(context, measured[chosen], f"{chosen}bit")
    result = measured[chosen].fields | {
        "model_id": rows[chosen].model_id,
        "bit_width": chosen,
        "widths": tuple(rows.values()),
        "trainings": trainings.to_json(),
        "distillation": spec.distillation and spec.mode is QuantizationMode.QUANTIZATION_AWARE,
        "num_calibration_examples": min(CALIBRATION_EXAMPLES, len(baseline.data.train)),
        "first_layer_input": "the picture's own 8 bits",
    }
    return JobOutcome(QuantizeResult.model_validate(result).to_json(), rows[chosen].model_id)


def _measure_widths(
    spec: QuantizeSpec, context: JobContext, baseline: StoredBaseline, trainings: TrainingLog
) -> tuple[dict[int, WidthResult], dict[int, MeasuredModel]]:
    """Bit width → its row of the result, and its model, in the order asked for."""
    from worker.coding import encode_network
    from worker.core.fit_progress import FitProgress
    from worker.core.measured_model import store_compressed_file
    from worker.core.quantization_aware import (
        QatSettings,
        calibrate_network,
        extract_network,
        quantize_network,
        train_quantized,
    )
    from worker.core.resume import FolderCheckpoints
    from worker.core.soft_targets import compute_soft_targets
    from worker.model_files import register

    data, checkpoints = baseline.data, FolderCheckpoints(context.scratch)
    settings = QatSettings(spec.epochs, spec.learning_rate, spec.distillation, spec.seed)
    calibration = calibrate_network(baseline.model, data)
    get_targets = functools.cache(lambda: compute_soft_targets(baseline.model, data)) if spec.distillation else None
    rows, models = {}, {}
    share = 95 / len(spec.bit_widths)
    for position, width in enumerate(spec.bit_widths):
        begin, end = 2 + share * position, 2 + share * (position + 1)
        progress = FitProgress(context, f"quantizing to {width} bit", begin, end, series=f"{width}bit_")
        model = quantize_network(
            baseline.model,
            data,
            width,
            spec.activation_bit_width,
            per_channel=spec.per_channel,
            calibration=calibration,
        )
        history = []
        if spec.mode is QuantizationMode.QUANTIZATION_AWARE:
            step = train_quantized(model, width, baseline, settings, progress, get_targets, checkpoints, f"{width}bit")
            trainings.add(f"{width} bit", step.get("training"))
            history = step["history"]
        path = context.artifact_path(f"quantized-{width}bit.tonok", ArtifactKind.COMPRESSED)
        measured = store_compressed_file(path, encode_network(extract_network(baseline, model)), baseline)
        model_id = register(context, measured, spec.name and f"{spec.name} {width} bit")
        models[width], rows[width] = measured, _describe_width(width, model_id, measured, history)
        test = measured.metrics.test
        said = f"test accuracy {100 * test.accuracy:.2f} %, drop {compute_drop(baseline.test, test):.2f} points"
        context.report(Progress(message=f"{width} bit: {said}, {measured.num_bytes} bytes"))
    return rows, models


def _plot_widths(
    context: JobContext, rows: Collection[WidthResult], models: Mapping[int, MeasuredModel], baseline: Baseline
) -> None:
    from worker.intervals import compute_wilson_interval
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.compression import Mark, draw_bit_widths
    from worker.report.figures.training import draw_quantization

    tests = {width: model.metrics.test for width, model in models.items()}
    draw_bit_widths(
        make_titled("Accuracy and size by bit width"),
        context.artifact_path("bit-widths.png", ArtifactKind.PLOT),
        {
            width: Mark(
                test.accuracy, compute_wilson_interval(test.num_correct, test.num_examples), models[width].num_bytes
            )
            for width, test in tests.items()
        },
        baseline=baseline.test.accuracy,
    )
    trained = {row.bit_width: [epoch.to_json() for epoch in row.history] for row in rows if row.history}
    if trained:
        draw_quantization(
            make_titled("Quantization-aware training"),
            context.artifact_path("quantization-training.png", ArtifactKind.PLOT),
            trained,
            baseline={"loss": baseline.validation.loss, "accuracy": baseline.validation.accuracy},
        )


def _describe_width(
    bit_width: int, model_id: str, measured: MeasuredModel, history: Sequence[Mapping[str, Any]]
) -> WidthResult:
    summary = measured.summary
    return WidthResult(
        bit_width=bit_width,
        model_id=model_id,
        accuracy=measured.metrics.test.accuracy,
        validation_accuracy=measured.metrics.validation.accuracy,
        accuracy_drop=summary.accuracy_drop,
        accuracy_drop_interval=summary.accuracy_drop_interval,
        correctness=summary.correctness,
        health=summary.health,
        evaluation=summary.evaluation,
        sparsity=measured.sparsity.total,
        layer_sparsity=measured.sparsity.layers,
        size=summary.size,
        file_bytes=measured.num_bytes,
        classification_report=measured.metrics.report,
        confusion_matrix=measured.metrics.matrix.tolist(),
        history=history,
    )
