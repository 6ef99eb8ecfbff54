"""Train a network: from scratch, or from a stored model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from storage.errors import InvalidModel, InvalidSpec
from worker.catalog import (
    ArtifactKind,
    ClassWeighting,
    DatasetName,
    Loss,
    Optimizer,
    Precision,
)
from worker.class_balance import warn_of_missing_classes, warn_of_unbalanced_classes
from worker.dataset_refs import Describe
from worker.job_spec import JobContext, JobOutcome, describe_rules
from worker.memory_estimate import (
    EVALUATION_BATCH,
    MemoryEstimate,
    Part,
    estimate_passes,
    estimate_train,
    estimate_training,
    outline_layers,
)
from worker.network.layers import normalises_single_values
from worker.network_names import describe_named, is_batch_normalised
from worker.progress import Progress
from worker.results.train import TrainResult
from worker.training_start import START_RULES, TrainingStart

if TYPE_CHECKING:
    from torch import nn

    from worker.core.training import TrainingSettings
    from worker.datasets import Dataset
    from worker.learning import History
    from worker.network.record import Network


_RULES: list[JsonValue] = [
    *describe_rules(
        "dataset",
        [name for name in DatasetName if not name.facts.is_mirrorable],
        DatasetName.FASHION_MNIST,
        flip={"enum": [False, None]},
    ),
]
"""JSON Schema of what else goes together."""
DEFAULT_RATE = 0.1
GENTLE_RATE = 0.02
"""Without batch norm nothing scales the values of a layer back: at 0.1 most such networks diverge, or die at chance."""
FINE_TUNING_RATE = 0.02
"""Fine-tuning moves weights that are good already: a fifth. Without batch norm their gradients are clipped instead."""


class TrainSpec(TrainingStart):
    """Trains a network on a data set, from scratch or from a stored model, and keeps the epoch best on validation."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dataset": "digits", "architecture": "lenet5", "epochs": 20, "learning_rate": 0.02}],
            "allOf": [*START_RULES, *_RULES],
        }
    )

    version: ClassVar[int] = 5

    kind: Literal["train"] = "train"
    epochs: int = Field(12, ge=1, le=500)
    batch_size: int = Field(128, ge=1, le=8192)
    optimizer: Optimizer = Optimizer.SGD
    loss: Loss = Loss.CROSS_ENTROPY
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=10,
        validate_default=True,
        description=f"By default {DEFAULT_RATE}, and {GENTLE_RATE} without batch norm; with `initial_model_id` "
        f"{FINE_TUNING_RATE}.",
    )
    weight_decay: float = Field(5e-4, ge=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weighting: ClassWeighting = Field(
        ClassWeighting.NONE,
        description="`balanced`: each class counts the same in the loss, however many pictures it has, and the best "
        "epoch is that of the mean over the classes.",
    )
    flip: bool | None = Field(
        None,
        description="Mirror each training picture left to right, half of the time. By default where the data set "
        "allows it; where it does not, as digits, it cannot be asked for.",
    )
    max_shift: int | None = Field(
        None,
        ge=0,
        le=64,
        description="Shift each training picture at random by up to so many pixels: a random crop from it with a black "
        "border so wide. By default an eighth of the shorter side for pictures in colour, else 0.",
    )
    patience: int = Field(10, ge=1, description="Epochs without a better validation accuracy before it stops.")
    precision: Precision = Precision.AUTO
    max_train_examples: int | None = Field(None, ge=10, description="Train on this many examples only.")

    @field_validator("learning_rate")
    @classmethod
    def _choose_rate(cls, rate: float | None, info: ValidationInfo) -> float | None:
        name = info.data.get("architecture")
        if rate is not None or name is None:
            return rate  # a stored network's is chosen once it is opened
        return DEFAULT_RATE if is_batch_normalised(name) else GENTLE_RATE

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:
        """Estimates it from the widths and the pictures of a batch. Raises InvalidSpec where the stored network cannot
        be fine-tuned to the data set.
        """
        network = self.describe_network(describe)
        if network is None:
            return None
        facts = self.find_facts(describe)
        at_a_time = self._count_at_a_time(facts.num_pictures)
        return estimate_train(outline_layers(network), facts, at_a_time, self.optimizer)

    def check_facts(self, describe: Describe) -> None:
        """Refuses to mirror what is another picture then, and single pictures where a batch norm has no deviation."""
        super().check_facts(describe)
        if self.flip and not self.find_facts(describe).is_mirrorable:
            raise InvalidSpec(
                "flip: a picture of this data set that is mirrored is none of its class any more; leave it out",
                field="/flip",
            )
        if self.batch_size == 1 and (network := self.describe_network(describe)) is not None:
            _refuse_single_pictures(network)

    def find_memory_field(self, estimate: MemoryEstimate, describe: Describe) -> str:
        """Names the data set, the batch or the shape."""
        field = self.find_start_field(estimate)
        if self.initial_model_id is not None:
            return "batch_size" if estimate.dominant is Part.BATCHES and self.batch_size > 1 else field
        if field == "dataset" or estimate.dominant is Part.WEIGHTS:
            return field
        # With few pictures at a time the evaluation takes more, and no smaller batch would help.
        network = self.describe_network(describe)
        layers = [] if network is None else outline_layers(network)
        at_a_time = self._count_at_a_time(self.find_facts(describe).num_pictures)
        is_batch = estimate_training(layers, at_a_time) > estimate_passes(layers, EVALUATION_BATCH)
        return "batch_size" if is_batch and self.batch_size > 1 else field

    def _count_at_a_time(self, num_pictures: int) -> int:
        """Pictures of a batch: no more than there are."""
        return min(self.batch_size, num_pictures, self.max_train_examples or self.batch_size)


def _refuse_single_pictures(network: Network) -> None:
    if normalises_single_values(network):
        raise InvalidSpec(
            "batch_size: with pictures of this size a batch norm of the network has one value a channel, and of a "
            "single picture no deviation: take batches of 2 or more",
            field="/batch_size",
        )


def run(spec: TrainSpec, context: JobContext) -> JobOutcome:
    """Trains, keeps the best epoch, measures it on test and draws its curves."""
    from worker.core.device import find_device, resolve_precision
    from worker.core.measured_model import store_float_model
    from worker.core.training_log import TrainingLog
    from worker.datasets import count_classes
    from worker.model_files import publish

    context.report(Progress(phase="loading", percent=0))
    start = _begin(spec, context)
    data = start.data.limit_train(spec.max_train_examples)
    if spec.max_train_examples is not None and spec.max_train_examples > len(data.train):
        context.warn(f"asked for {spec.max_train_examples} training examples; the data set has {len(data.train)}")
    if start.replaced_layer is not None:
        context.warn(
            f"the classes of {data.name} are not those of {spec.initial_model_id}: the last layer, "
            f"{start.replaced_layer}, begins with fresh weights"
        )
    counts = count_classes(data)
    warn_of_missing_classes(context, data.class_names, counts["train"], counts["validation"])
    if spec.class_weighting is ClassWeighting.NONE:
        warn_of_unbalanced_classes(context, counts["train"])
    settings = _choose_settings(spec, start)
    history = _train(context, start.model, data, settings)
    trainings = TrainingLog(context)
    trainings.add("training", history.describe_outcome())
    context.report(Progress(phase="measuring", percent=97))
    name = start.architecture.replace(":", "-")
    path = context.artifact_path(f"{name}.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(path, start.model, start.architecture, data)
    model_id = publish(context, measured, spec.name, spec.initial_model_id)
    _plot_training(context, name, data.name, history)
    augmentation = settings.choose_augmentation(data)
    result = measured.fields | {
        "model_id": model_id,
        "initial_model_id": spec.initial_model_id,
        "replaced_layer": start.replaced_layer,
        "history": history.to_json(),
        "best_epoch": history.best_epoch,
        "trainings": trainings.to_json(),
        "precision": resolve_precision(spec.precision, find_device()),
        "num_train_examples": len(data.train),
        "asked_train_examples": spec.max_train_examples,
        "asked_epochs": spec.epochs,
        "stopped_early": len(history.to_json()) < spec.epochs,
        "is_mirrored": augmentation.flip,
        "max_shift": augmentation.max_shift,
        "class_weighting": spec.class_weighting,
    }
    return JobOutcome(TrainResult.model_validate(result).to_json(), model_id)


@dataclass(frozen=True)
class _Start:
    """What is trained on what. is_fresh: weights that decide its answers were drawn by lot."""

    model: nn.Module
    architecture: str
    data: Dataset
    replaced_layer: str | None
    is_fresh: bool


def _begin(spec: TrainSpec, context: JobContext) -> _Start:
    """A network with fresh weights, or a stored one."""
    import torch

    from worker.core.checkpoint import is_compressed, load_checkpoint
    from worker.core.device import find_device
    from worker.core.models.build import build_module
    from worker.datasets import load_dataset
    from worker.fine_tuning import start_fine_tuning

    if spec.initial_model_id is None:
        if spec.architecture is None or spec.dataset is None:
            raise InvalidSpec("a training from scratch is of an architecture on a data set", field="architecture")
        data = load_dataset(spec.dataset, context.datasets, spec.seed)
        torch.manual_seed(spec.seed)
        record = describe_named(spec.architecture, spec.widths, data.input_shape, len(data.class_names))
        return _Start(build_module(record).to(find_device()), spec.architecture, data, None, is_fresh=True)
    path = context.model_file(spec.initial_model_id)
    if is_compressed(path):
        raise InvalidModel(
            f"{spec.initial_model_id} is quantized already; start from the float model that it came from",
            field="initial_model_id",
        )
    model, info = load_checkpoint(path)
    torch.manual_seed(spec.seed)
    found = start_fine_tuning(model, info, spec.dataset, context.datasets)
    replaced = found.replaced_layer
    return _Start(found.model.to(find_device()), info.architecture, found.data, replaced, is_fresh=replaced is not None)


def _choose_settings(spec: TrainSpec, start: _Start) -> TrainingSettings:
    from worker.core.models.build import get_record
    from worker.core.training import TrainingSettings

    if spec.batch_size == 1:
        _refuse_single_pictures(get_record(start.model))
    return TrainingSettings(
        epochs=spec.epochs,
        learning_rate=spec.learning_rate or FINE_TUNING_RATE,
        batch_size=spec.batch_size,
        optimizer=spec.optimizer,
        loss=spec.loss,
        weight_decay=spec.weight_decay,
        label_smoothing=spec.label_smoothing,
        class_weighting=spec.class_weighting,
        max_shift=spec.max_shift,
        flip=spec.flip,
        patience=spec.patience,
        precision=spec.precision,
        seed=spec.seed,
        is_fresh=start.is_fresh,
        is_from_scratch=spec.initial_model_id is None,
    )


def _train(context: JobContext, model: nn.Module, data: Dataset, settings: TrainingSettings) -> History:
    from worker.core.fit_progress import FitProgress
    from worker.core.training import fit

    stage = FitProgress(context, "training", 1, 97)
    return fit(
        model,
        data,
        settings,
        on_batch=stage.on_batch,
        on_epoch=stage.on_epoch,
        on_retry=stage.on_retry,
        resume_file=context.scratch / "training.state",
    )


def _plot_training(context: JobContext, name: str, dataset: str, history: History) -> None:
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.training import draw_training

    draw_training(
        make_titled(f"Training of {name} on {dataset}"),
        context.artifact_path(f"{name}-training.png", ArtifactKind.PLOT),
        history.to_json(),
        best_epoch=history.best_epoch,
    )
