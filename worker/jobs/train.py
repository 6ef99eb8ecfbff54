"""Train a network from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from worker.catalog import Architecture, ArtifactKind, DatasetFacts, DatasetName, Loss, Optimizer, Precision
from worker.dataset_refs import DatasetRef, Describe, get_facts
from worker.job_spec import JobContext, JobOutcome, JobSpec, describe_rules
from worker.memory_estimate import (
    EVALUATION_BATCH,
    LayerShape,
    MemoryEstimate,
    Part,
    estimate_passes,
    estimate_train,
    estimate_training,
    find_shape_field,
    list_layer_shapes,
)
from worker.network.architectures import NUM_WIDTHS
from worker.progress import Progress
from worker.results.train import TrainResult

if TYPE_CHECKING:
    from torch import nn

    from worker.core.datasets import Dataset
    from worker.learning import History


def _as_many(count: int) -> dict[str, Any]:
    return {"anyOf": [{"type": "array", "minItems": count, "maxItems": count}, {"type": "null"}]}


def check_widths(widths: tuple[int, ...] | None, architecture: Architecture | None) -> tuple[int, ...] | None:
    """The widths, where there are as many as the architecture has. architecture: None where it was wrong already."""
    wanted = None if architecture is None else NUM_WIDTHS[architecture]
    if widths is not None and wanted is not None and len(widths) != wanted:
        raise ValueError(f"the architecture has {wanted} hidden widths, {len(widths)} were given")
    return widths


Widths = Annotated[
    tuple[Annotated[int, Field(ge=1, le=4096)], ...] | None,
    Field(
        min_length=1,
        max_length=16,
        description="Channels or neurons of each hidden layer; by default the architecture's own.",
    ),
]
WIDTH_RULES: list[JsonValue] = [
    rule
    for name in Architecture
    if (count := NUM_WIDTHS[name]) is not None
    for rule in describe_rules("architecture", [name], Architecture.FASHION_CNN, widths=_as_many(count))
]
"""JSON Schema of `check_widths`."""


class TrainSpec(JobSpec):
    """Trains a network on a data set and keeps the epoch that is best on validation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dataset": "digits", "architecture": "lenet5", "epochs": 20, "learning_rate": 0.02}],
            "allOf": WIDTH_RULES,
        }
    )

    kind: Literal["train"] = "train"
    dataset: DatasetRef = DatasetName.FASHION_MNIST
    architecture: Architecture = Architecture.FASHION_CNN
    widths: Widths = None
    epochs: int = Field(12, ge=1, le=500)
    batch_size: int = Field(128, ge=1, le=8192)
    optimizer: Optimizer = Optimizer.SGD
    loss: Loss = Loss.CROSS_ENTROPY
    learning_rate: float = Field(0.1, gt=0, le=10)
    weight_decay: float = Field(5e-4, ge=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    flip: bool = Field(
        True, description="Mirror each training picture left to right, half of the time, where the data set allows it."
    )
    max_shift: int = Field(0, ge=0, le=8, description="Shift each training picture by up to so many pixels.")
    patience: int = Field(10, ge=1, description="Epochs without a better validation accuracy before it stops.")
    precision: Precision = Precision.AUTO
    max_train_examples: int | None = Field(None, ge=10, description="Train on this many examples only.")

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, widths: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        return check_widths(widths, info.data.get("architecture"))

    def estimate_memory(self, describe: Describe) -> MemoryEstimate:
        """Estimates it from the widths and the pictures of a batch."""
        facts = get_facts(self.dataset, describe)
        layers = self._list_layers(facts)
        return estimate_train(layers, facts, self._count_at_a_time(facts.num_pictures), self.optimizer)

    def find_memory_field(self, estimate: MemoryEstimate, describe: Describe) -> str:
        """Names the data set, the batch or the shape."""
        field = find_shape_field(estimate, has_widths=self.widths is not None)
        if field == "dataset" or estimate.dominant is Part.WEIGHTS:
            return field
        # With few pictures at a time the evaluation takes more, and no smaller batch would help.
        facts = get_facts(self.dataset, describe)
        layers = self._list_layers(facts)
        is_batch = estimate_training(layers, self._count_at_a_time(facts.num_pictures)) > estimate_passes(
            layers, EVALUATION_BATCH
        )
        return "batch_size" if is_batch and self.batch_size > 1 else field

    def _list_layers(self, facts: DatasetFacts) -> list[LayerShape]:
        return list_layer_shapes(self.architecture, self.widths, facts.input_shape, len(facts.class_names))

    def _count_at_a_time(self, num_pictures: int) -> int:
        """Pictures of a batch: no more than there are."""
        return min(self.batch_size, num_pictures, self.max_train_examples or self.batch_size)


def run(spec: TrainSpec, context: JobContext) -> JobOutcome:
    """Trains, keeps the best epoch, measures it on test and draws its curves."""
    from worker.core.datasets import load_dataset
    from worker.core.device import find_device, resolve_precision
    from worker.core.measured_model import store_float_model
    from worker.core.training_log import TrainingLog
    from worker.model_files import publish

    context.report(Progress(phase="loading", percent=0))
    data = load_dataset(spec.dataset, context.datasets, spec.seed)
    data = data.limit_train(spec.max_train_examples)
    if spec.max_train_examples is not None and spec.max_train_examples > len(data.train):
        context.warn(f"asked for {spec.max_train_examples} training examples; the data set has {len(data.train)}")
    model, history = _train(spec, context, data)
    trainings = TrainingLog(context)
    trainings.add("training", history.describe_outcome())
    context.report(Progress(phase="measuring", percent=97))
    path = context.artifact_path(f"{spec.architecture}.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(path, model, spec.architecture, data)
    model_id = publish(context, measured, spec.name)
    _plot_training(spec, context, history)
    result = measured.fields | {
        "model_id": model_id,
        "history": history.to_json(),
        "best_epoch": history.best_epoch,
        "trainings": trainings.to_json(),
        "precision": resolve_precision(spec.precision, find_device()),
        "num_train_examples": len(data.train),
        "asked_train_examples": spec.max_train_examples,
        "asked_epochs": spec.epochs,
        "stopped_early": len(history.to_json()) < spec.epochs,
        "is_mirrored": spec.flip and data.is_mirrorable,
    }
    return JobOutcome(TrainResult.model_validate(result).to_json(), model_id)


def _train(spec: TrainSpec, context: JobContext, data: Dataset) -> tuple[nn.Module, History]:
    import torch

    from worker.core.device import find_device
    from worker.core.fit_progress import FitProgress
    from worker.core.models import build_model
    from worker.core.training import TrainingSettings, fit

    torch.manual_seed(spec.seed)
    model = build_model(
        spec.architecture, spec.widths, input_shape=data.input_shape, num_classes=len(data.class_names)
    ).to(find_device())
    stage = FitProgress(context, "training", 1, 97)
    settings = TrainingSettings(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        batch_size=spec.batch_size,
        optimizer=spec.optimizer,
        loss=spec.loss,
        weight_decay=spec.weight_decay,
        label_smoothing=spec.label_smoothing,
        max_shift=spec.max_shift,
        flip=spec.flip,
        patience=spec.patience,
        precision=spec.precision,
        seed=spec.seed,
        is_fresh=True,
    )
    history = fit(
        model,
        data,
        settings,
        on_batch=stage.on_batch,
        on_epoch=stage.on_epoch,
        on_retry=stage.on_retry,
        resume_file=context.scratch / "training.state",
    )
    return model, history


def _plot_training(spec: TrainSpec, context: JobContext, history: History) -> None:
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.training import draw_training

    draw_training(
        make_titled(f"Training of {spec.architecture} on {spec.dataset}"),
        context.artifact_path(f"{spec.architecture}-training.png", ArtifactKind.PLOT),
        history.to_json(),
        best_epoch=history.best_epoch,
    )
