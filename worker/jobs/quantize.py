"""Quantize a stored model to one or more bit widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from worker.catalog import ArtifactKind, QuantizationMode
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId
from worker.progress import Progress

if TYPE_CHECKING:
    from worker.core.baseline import Baseline
    from worker.core.integer import IntegerNetwork
    from worker.core.quantization import Calibration
    from worker.core.training import SoftTargets
    from worker.model_files import SavedModel

DEFAULT_EPOCHS = {8: 1, 7: 1, 6: 1, 5: 1, 4: 1, 3: 3, 2: 5}
"""Epochs of quantization-aware training by bit width: the fewer levels, the more there is to learn."""

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


def run(spec: QuantizeSpec, context: JobContext) -> JobOutcome:
    """Each width in turn: calibrate, train on quantized values, store the integers, measure the decoded file."""
    from worker.core import plots
    from worker.core.training import compute_soft_targets
    from worker.core.training_log import TrainingLog
    from worker.jobs.quantizing import CALIBRATION_EXAMPLES, calibrate_baseline
    from worker.model_files import describe_result, open_baseline, plot_results, save_integer_model

    baseline = open_baseline(context, spec.model_id)
    data = baseline.data
    calibration = calibrate_baseline(baseline)
    is_distilled = spec.distillation and spec.mode is QuantizationMode.QUANTIZATION_AWARE
    soft_targets = compute_soft_targets(baseline.model, data) if is_distilled else None
    saved, rows, histories = {}, [], {}
    trainings = TrainingLog(context)
    for position, bit_width in enumerate(spec.bit_widths):
        network, step = _quantize(spec, context, baseline, calibration, position, soft_targets)
        trainings.add(f"{bit_width} bit", step.get("training"))
        model = save_integer_model(
            context, f"quantized-{bit_width}bit", network, baseline, title=spec.name and f"{spec.name} {bit_width} bit"
        )
        saved[bit_width] = model
        histories[bit_width] = step["history"]
        rows.append(_describe_width(bit_width, model, step["history"]))
        context.report(
            Progress(
                message=(
                    f"{bit_width} bit: test accuracy {100 * model.metrics.test.accuracy:.2f} %, "
                    f"drop {model.summary['accuracy_drop']['test']:.2f} points, {model.num_bytes} bytes"
                )
            )
        )
    allowed = [
        bits
        for bits, model in saved.items()
        if baseline.allows(model.metrics.validation.accuracy, spec.max_accuracy_drop)
    ]
    if not allowed:
        context.warn(f"no bit width stays within {spec.max_accuracy_drop} points on validation; the widest is kept")
    chosen = min(allowed) if allowed else max(saved)
    plots.plot_bit_widths(
        context.artifact_path("bit-widths.png", ArtifactKind.PLOT),
        [
            plots.BitWidthPoint(
                row["bit_width"], row["accuracy"], row["file_bytes"], tuple(row["evaluation"]["test"]["interval"])
            )
            for row in rows
        ],
        baseline=baseline.test.accuracy,
    )
    trained = {bits: history for bits, history in histories.items() if history}
    if trained:
        plots.plot_quantization_curves(
            context.artifact_path("quantization-training.png", ArtifactKind.PLOT),
            trained,
            baseline=baseline.validation.accuracy,
        )
    plot_results(context, saved[chosen], data, f"{chosen}bit")
    result = describe_result(saved[chosen], baseline) | {
        "bit_width": chosen,
        "widths": rows,
        "trainings": trainings.to_json(),
        "distillation": is_distilled,
        "num_calibration_examples": min(CALIBRATION_EXAMPLES, len(data.train)),
        "first_layer_input": "the picture's own 8 bits",
    }
    return JobOutcome(result, saved[chosen].model_id)


def _quantize(
    spec: QuantizeSpec,
    context: JobContext,
    baseline: Baseline,
    calibration: Mapping[str, Calibration],
    position: int,
    soft_targets: SoftTargets | None,
) -> tuple[IntegerNetwork, dict[str, Any]]:
    """The integers of one width, and the kept step with its `history` and how its `training` went."""
    from worker.core.fit_progress import Stage
    from worker.core.resume import extract_network, keep_step
    from worker.jobs.quantizing import quantize_calibrated, train_quantized

    bit_width = spec.bit_widths[position]
    share = 95 / len(spec.bit_widths)
    model = quantize_calibrated(spec, baseline, calibration, bit_width)

    def train() -> dict[str, Any]:
        if spec.mode is QuantizationMode.POST_TRAINING:
            return {"state": model.state_dict(), "history": []}
        stage = Stage(
            context, f"quantizing to {bit_width} bit", 2 + share * position, 2 + share * (position + 1),
            series=f"{bit_width}bit_",
        )  # fmt: skip
        history = train_quantized(spec, baseline, model, bit_width, soft_targets, stage)
        return {"state": model.state_dict(), "history": history.to_json(), "training": history.describe_outcome()}

    step = keep_step(context.scratch, f"{bit_width}bit", train)
    model.load_state_dict(step["state"])
    return extract_network(baseline, model), step


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
