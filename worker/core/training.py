"""`fit` and `evaluate`: whole splits as tensors, batches cut, moved and changed without Python per image."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from storage.errors import Diverged
from worker.catalog import Optimizer, Precision
from worker.core.augmentation import augment_batch, count_views, get_plain_view, show_view
from worker.core.datasets import Dataset, Split
from worker.core.device import autocast


@dataclass(frozen=True)
class Evaluation:
    """Loss is the mean cross-entropy per example."""

    loss: float
    num_correct: int
    num_examples: int

    @property
    def accuracy(self) -> float:
        """Fraction 0..1."""
        return self.num_correct / self.num_examples


@dataclass(frozen=True)
class TrainingSettings:
    """How `fit` trains. learning_rate is the peak of a linear warm-up followed by a linear decay to zero."""

    epochs: int
    learning_rate: float
    batch_size: int = 128
    optimizer: Optimizer = Optimizer.SGD
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: bool = True
    max_shift: int = 0
    patience: int = 1_000_000
    precision: Precision = Precision.AUTO
    seed: int = 0
    warmup: float = 0.2
    """Fraction of all steps."""
    distillation_weight: float = 0.0
    """Share of the teacher's soft targets in the loss (Hinton et al. 2015, arXiv:1503.02531)."""
    temperature: float = 2.0
    keep_best: bool = True
    """Keep the epoch with the best validation accuracy, else the last one."""


@dataclass(frozen=True)
class SoftTargets:
    """A teacher's logits for every view of every training picture: float32 (count_views(max_shift), N, num_classes).

    Computed once per job instead of once per epoch. The student learns from what the teacher says of the very picture
    that it sees itself (Beyer et al. 2022, arXiv:2106.05237).
    """

    logits: torch.Tensor
    max_shift: int = 0

    def select_plain(self) -> SoftTargets:
        """Those of pictures that are not shifted, for a training that shifts none. Shares the memory."""
        plain = get_plain_view(self.max_shift)
        return SoftTargets(self.logits[plain : plain + count_views(0)])


@dataclass(frozen=True)
class EpochRecord:
    """train_* are running means over the epoch's (augmented) batches; accuracies are fractions 0..1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float


@dataclass
class History:
    """What `fit` returns: one record per epoch, and which epoch's weights the model holds now."""

    epochs: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0

    def to_json(self) -> list[dict[str, Any]]:
        """The records as dicts."""
        return [asdict(record) for record in self.epochs]


@dataclass(frozen=True)
class BatchProgress:
    """Where `fit` is: step counts all batches of all epochs."""

    epoch: int
    total_epochs: int
    step: int
    total_steps: int
    eta_s: float


def get_device(model: nn.Module) -> torch.device:
    """Where the tensors of a model lie."""
    return next(itertools.chain(model.parameters(), model.buffers())).device


@torch.inference_mode()
def compute_logits(
    model: nn.Module, data: Dataset, split: Split, precision: Precision = Precision.FLOAT32, batch_size: int = 500
) -> torch.Tensor:
    """Logits float32 (N, num_classes) of a whole split, in evaluation mode; the mode is put back."""
    device = get_device(model)
    was_training = model.training
    model.eval()
    with autocast(precision, device):
        parts = [
            model(data.normalize(images.to(device, non_blocking=True))).float()
            for images in torch.split(split.images, batch_size)
        ]
    model.train(was_training)
    return torch.cat(parts)


def compute_soft_targets(
    teacher: nn.Module,
    data: Dataset,
    max_shift: int = 0,
    *,
    on_view: Callable[[int, int], None] | None = None,
) -> SoftTargets:
    """The teacher's logits on the training split, in the fast precision of the device.

    max_shift: of the training that will read them. on_view: called before each view with its number from 1 and the
    number of all.
    """
    train, count = data.train, count_views(max_shift)
    logits = torch.zeros(count, len(train), len(data.class_names), device=get_device(teacher))
    # Mirrored views of a data set that is never mirrored are not asked about.
    for view in range(0, count, 1 if data.is_mirrorable else 2):
        if on_view is not None:
            on_view(view + 1, count)
        shown = Split(show_view(train.images, view, max_shift), train.labels)
        logits[view] = compute_logits(teacher, data, shown, Precision.AUTO)
    return SoftTargets(logits, max_shift)


def evaluate(model: nn.Module, data: Dataset, split: Split, precision: Precision = Precision.FLOAT32) -> Evaluation:
    """Loss and accuracy over a whole split."""
    logits = compute_logits(model, data, split, precision)
    return evaluate_logits(logits, split)


def evaluate_logits(logits: torch.Tensor, split: Split) -> Evaluation:
    """logits: (N, num_classes) of `split`, in its order."""
    loss = F.cross_entropy(logits, split.labels.to(logits.device)).item()
    return Evaluation(loss, int(find_right(logits, split).sum()), len(split))


def find_right(logits: torch.Tensor, split: Split) -> torch.Tensor:
    """bool (N,): which pictures are answered rightly. An answer that is no number is never right."""
    # `argmax` takes the first NaN for the largest, and class 0 would be answered by who answers nothing.
    return (logits.argmax(1) == split.labels.to(logits.device)) & logits.isfinite().all(1)


def fit(
    model: nn.Module,
    data: Dataset,
    settings: TrainingSettings,
    *,
    soft_targets: SoftTargets | None = None,
    after_step: Callable[[nn.Module], None] | None = None,
    on_batch: Callable[[BatchProgress], None] | None = None,
    on_epoch: Callable[[EpochRecord, BatchProgress], None] | None = None,
    resume_file: Path | None = None,
) -> History:
    """Trains `model` in place and leaves it in evaluation mode with the weights of `History.best_epoch`.

    after_step: called after every optimizer step; how masks survive without `fit` knowing what a mask is.
    resume_file: written after every epoch and continued from when it exists.
    soft_targets: a teacher to learn from too, with the share `distillation_weight`.
    Raises Diverged when a loss is not finite.
    """
    if soft_targets is not None and soft_targets.max_shift != settings.max_shift:
        raise ValueError("soft targets were computed for pictures that are shifted otherwise")
    device = get_device(model)
    train = data.train.to(device)
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = _build_optimizer(model, settings)
    steps_per_epoch = math.ceil(len(train) / settings.batch_size)
    total_steps = settings.epochs * steps_per_epoch
    run = _Run(model, optimizer, generator)
    if resume_file is not None and resume_file.exists():
        run.load(resume_file)
    started, step_at_start = time.perf_counter(), run.step

    def progress(epoch: int) -> BatchProgress:
        done = max(1, run.step - step_at_start)
        eta = (time.perf_counter() - started) / done * (total_steps - run.step)
        return BatchProgress(epoch, settings.epochs, run.step, total_steps, eta)

    for epoch in range(len(run.history.epochs) + 1, settings.epochs + 1):
        if epoch - run.history.best_epoch > settings.patience:
            break
        epoch_started = time.perf_counter()
        model.train()
        loss_sum = torch.zeros((), device=device)
        num_correct = torch.zeros((), dtype=torch.long, device=device)
        rate = 0.0
        order = torch.randperm(len(train), generator=generator).to(device)
        for rows in torch.split(order, settings.batch_size):
            batch = Split(train.images[rows], train.labels[rows])
            rate = compute_learning_rate(settings, run.step, total_steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("rate_factor", 1.0)
            images, views = augment_batch(
                batch.images, generator, flip=settings.flip and data.is_mirrorable, max_shift=settings.max_shift
            )
            x = data.normalize(images)
            with autocast(settings.precision, device):
                logits = model(x).float()
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=settings.label_smoothing)
            if soft_targets is not None:
                loss = _distill(loss, logits, soft_targets.logits[views, rows], settings)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            if after_step is not None:
                after_step(model)
            loss_sum += loss.detach() * len(batch)
            num_correct += (logits.detach().argmax(1) == batch.labels).sum()
            run.step += 1
            if on_batch is not None:
                on_batch(progress(epoch))
        if not math.isfinite(loss_sum.item()):
            raise Diverged(f"the training loss of epoch {epoch} is not finite; try a lower learning rate")
        validation = evaluate(model, data, data.validation, settings.precision)
        record = EpochRecord(
            epoch=epoch,
            train_loss=loss_sum.item() / len(train),
            train_accuracy=num_correct.item() / len(train),
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - epoch_started,
        )
        run.add(record, keep=settings.keep_best)
        if resume_file is not None:
            run.save(resume_file)
        if on_epoch is not None:
            on_epoch(record, progress(epoch))
    if settings.keep_best:
        model.load_state_dict(run.best_state)
    model.eval()
    return run.history


def compute_learning_rate(settings: TrainingSettings, step: int, total_steps: int) -> float:
    """Linear warm-up over `warmup` of the steps, then linear decay to (nearly) zero."""
    peak = settings.warmup * total_steps
    if step < peak:
        return settings.learning_rate * (step + 1) / (peak + 1)
    return settings.learning_rate * (total_steps - step) / max(1.0, total_steps - peak)


def _distill(
    loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, settings: TrainingSettings
) -> torch.Tensor:
    t = settings.temperature
    soft = F.kl_div(
        F.log_softmax(logits / t, 1), F.log_softmax(targets / t, 1), log_target=True, reduction="batchmean"
    ) * (t * t)
    return (1 - settings.distillation_weight) * loss + settings.distillation_weight * soft


def _build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Weight decay on matrices and kernels only; learned scales (`*_scale`) move ten times slower."""
    decayed, plain, scales = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("_scale"):
            scales.append(parameter)
        elif parameter.ndim > 1:
            decayed.append(parameter)
        else:
            plain.append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
        {"params": scales, "weight_decay": 0.0, "rate_factor": 0.1},
    ]
    groups = [group for group in groups if group["params"]]
    if settings.optimizer is Optimizer.SGD:
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


class _Run:
    """The state of a fit that has to survive an epoch, in memory and in `resume_file`."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        self.model, self.optimizer, self.generator = model, optimizer, generator
        self.history = History()
        self.step = 0
        self.best_accuracy = -1.0
        self.best_state: dict[str, torch.Tensor] = {}

    def add(self, record: EpochRecord, *, keep: bool) -> None:
        self.history.epochs.append(record)
        if not keep:
            self.history.best_epoch = record.epoch
        elif record.validation_accuracy > self.best_accuracy:
            self.best_accuracy = record.validation_accuracy
            self.best_state = copy.deepcopy(self.model.state_dict())
            self.history.best_epoch = record.epoch

    def save(self, path: Path) -> None:
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "generator": self.generator.get_state(),
                "torch_generator": torch.get_rng_state(),
                "step": self.step,
                "best_accuracy": self.best_accuracy,
                "best_state": self.best_state,
                "best_epoch": self.history.best_epoch,
                "epochs": self.history.to_json(),
            },
            temporary,
        )
        temporary.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_generator"])
        self.step, self.best_accuracy, self.best_state = state["step"], state["best_accuracy"], state["best_state"]
        self.history = History([EpochRecord(**record) for record in state["epochs"]], state["best_epoch"])
