"""`fit` and `evaluate`: whole splits as tensors, batches cut, moved and changed without Python per image."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from worker.augmentation import Augmentation, choose_augmentation
from worker.catalog import ClassWeighting, Loss, Optimizer, Precision
from worker.class_scores import compute_balanced_accuracy
from worker.class_weightings import CLASS_WEIGHTINGS
from worker.core.augmentation import augment_batch
from worker.core.device import autocast, device_of
from worker.core.fit_state import FitState
from worker.core.gradients import LARGEST_NORM, bound_gradients_
from worker.core.losses import GUESSES, compute_loss
from worker.core.optimizers import OPTIMIZERS
from worker.datasets import Dataset, Split, count_classes
from worker.learning import (
    Attempt,
    EpochRecord,
    History,
    Terms,
    Trouble,
    choose_next_rate,
    describe_guessing,
    is_last_attempt,
    is_rate_to_blame,
    judge_attempt,
    judge_epoch,
)

MAX_GRADIENT_NORM = 1.0
"""Of one batch, where good weights are trained on without batch norm (Pascanu et al. 2013, arXiv:1211.5063): one alone
can throw such a network away. ResNet-20 from a file whose exporter folded its norms was no number any more after 30
batches at a rate of 0.02, its gradients at a norm of 27; clipped to this one, its loss stayed where it was."""


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
    loss: Loss = Loss.CROSS_ENTROPY
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    class_weighting: ClassWeighting = ClassWeighting.NONE
    flip: bool | None = None
    """None, as for `max_shift`: as suits the data set."""
    max_shift: int | None = None
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
    is_fresh: bool = False
    """Weights that decide the answers were drawn by lot: what they know by luck is nothing to forget."""
    is_from_scratch: bool | None = None
    """All weights were drawn by lot. None: where `is_fresh`."""

    def choose_augmentation(self, data: Dataset) -> Augmentation:
        """What is asked for of the pictures, and what suits them else."""
        return choose_augmentation(
            data.input_shape, is_mirrorable=data.is_mirrorable, flip=self.flip, max_shift=self.max_shift
        )


class SoftTargets(Protocol):
    """A teacher's logits for the very picture that the student sees (Beyer et al. 2022, arXiv:2106.05237)."""

    @property
    def max_shift(self) -> int:
        """Of the training that reads them."""

    def find(self, x: torch.Tensor, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Logits (B, num_classes) of a batch. x: as the network reads it; views: which of each; rows: of training."""

    def select_plain(self) -> SoftTargets:
        """Those for a training that shifts no picture."""


@dataclass(frozen=True)
class BatchProgress:
    """Where `fit` is: step counts all batches of all epochs of the present attempt.

    share: how much of the whole fit is done, 0..1; it never falls, though an attempt may begin anew. epochs_before: of
    attempts that were given up. eta_s: seconds until the present attempt ends.
    """

    epoch: int
    total_epochs: int
    step: int
    total_steps: int
    eta_s: float
    share: float
    epochs_before: int = 0


@torch.inference_mode()
def compute_logits(
    model: nn.Module, data: Dataset, split: Split, precision: Precision = Precision.FLOAT32, batch_size: int = 500
) -> torch.Tensor:
    """Logits float32 (N, num_classes) of a whole split, in evaluation mode; the mode is put back."""
    device = device_of(model)
    was_training = model.training
    model.eval()
    with autocast(precision, device):
        parts = [
            model(data.normalize(images.to(device, non_blocking=True))).float()
            for images in torch.split(split.images, batch_size)
        ]
    model.train(was_training)
    return torch.cat(parts)


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


def balance_accuracy(logits: torch.Tensor, split: Split) -> float:
    """Mean over the classes of what is answered rightly. logits: (N, num_classes) of `split`, in its order."""
    return compute_balanced_accuracy(find_right(logits, split).cpu().numpy(), split.labels.numpy())


def fit(
    model: nn.Module,
    data: Dataset,
    settings: TrainingSettings,
    *,
    soft_targets: SoftTargets | None = None,
    after_step: Callable[[nn.Module], None] | None = None,
    on_batch: Callable[[BatchProgress], None] | None = None,
    on_epoch: Callable[[EpochRecord, BatchProgress], None] | None = None,
    on_retry: Callable[[Attempt, float], None] | None = None,
    resume_file: Path | None = None,
) -> History:
    """Trains `model` in place and leaves it in evaluation mode with the weights of `History.best_epoch`.

    Where it does not learn for a rate that is too high, it begins anew from the weights given at a gentler one; which
    rates were tried and what came of each is `History.outcome`.

    after_step: called after every optimizer step; how masks survive without `fit` knowing what a mask is.
    on_retry: called with what was given up and the next learning rate, before the training begins anew.
    resume_file: written after every epoch and continued from when it exists.
    soft_targets: a teacher to learn from too, with the share `distillation_weight`.
    Raises Diverged when the loss is not finite at the gentlest rate either.
    """
    if soft_targets is not None and soft_targets.max_shift != settings.choose_augmentation(data).max_shift:
        raise ValueError("soft targets were computed for pictures that are shifted otherwise")
    state = FitState(model, resume_file)
    terms = _set_terms(model, data, settings, state, is_distilled=soft_targets is not None)
    rate: float | None = settings.learning_rate if state.rate is None else state.rate
    while rate is not None:
        state.rate = rate
        attempt = _Attempt(model, data, replace(settings, learning_rate=rate), state, terms)
        trouble = attempt.run(soft_targets, after_step, on_batch, on_epoch)
        given_up = state.close_attempt(rate, trouble, ended=attempt.ended, keep_best=settings.keep_best)
        rate = None
        if trouble is not None and is_rate_to_blame(given_up.records, trouble, terms):
            rate = choose_next_rate(state.attempts)
        if rate is not None:
            state.begin_anew(attempt.share)
            if on_retry is not None:
                on_retry(given_up.attempt, rate)
    return state.finish(terms)


def _set_terms(
    model: nn.Module, data: Dataset, settings: TrainingSettings, state: FitState, *, is_distilled: bool
) -> Terms:
    is_balanced = _weigh_classes(data, settings) is not None
    if state.start_accuracy is None:
        logits, split = compute_logits(model, data, data.validation, settings.precision), data.validation
        state.start_accuracy = (
            balance_accuracy(logits, split) if is_balanced else evaluate_logits(logits, split).accuracy
        )
    guess = GUESSES[settings.loss]
    num_examples, chance = describe_guessing(data.validation.labels.bincount().tolist(), is_balanced=is_balanced)
    return Terms(
        num_examples=num_examples,
        chance=chance,
        start=state.start_accuracy,
        guess_loss=None if is_distilled else guess(len(data.class_names), settings.label_smoothing),
        keeps_best=settings.keep_best,
        is_fresh=settings.is_fresh,
    )


class _Attempt:
    """One try of a fit, at one learning rate."""

    def __init__(
        self, model: nn.Module, data: Dataset, settings: TrainingSettings, state: FitState, terms: Terms
    ) -> None:
        self.model, self.data, self.settings, self.state, self.terms = model, data, settings, state, terms
        self.device = device_of(model)
        self.train = data.train.to(self.device)
        self.augmentation = settings.choose_augmentation(data)
        weights = _weigh_classes(data, settings)
        self.class_weights = None if weights is None else torch.tensor(weights, device=self.device)
        self.total_steps = settings.epochs * count_batches(len(self.train), settings.batch_size)
        state.prepare(_build_optimizer(model, settings), torch.Generator().manual_seed(settings.seed))
        self.started, self.step_at_start = time.perf_counter(), state.step
        self.ended = False
        """Whether `run` came to its end instead of giving up."""
        has_batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        is_from_scratch = settings.is_fresh if settings.is_from_scratch is None else settings.is_from_scratch
        self.longest_gradient = LARGEST_NORM if is_from_scratch or has_batch_norm else MAX_GRADIENT_NORM

    @property
    def share(self) -> float:
        """How much of the whole fit is done: of what the attempts before have left, what this one has done."""
        before = self.state.share_before
        return before + (1 - before) * self.state.step / self.total_steps

    def run(
        self,
        soft_targets: SoftTargets | None,
        after_step: Callable[[nn.Module], None] | None,
        on_batch: Callable[[BatchProgress], None] | None,
        on_epoch: Callable[[EpochRecord, BatchProgress], None] | None,
    ) -> Trouble | None:
        """Trains until the last epoch, the end of patience, or an epoch that ends the attempt."""
        state, settings, records = self.state, self.settings, self.state.history.epochs

        def after_batch(epoch: int) -> None:
            if after_step is not None:
                after_step(self.model)
            state.step += 1
            if on_batch is not None:
                on_batch(self.describe_progress(epoch))

        # What is wrong with the last epoch of an attempt that was killed is found here again.
        trouble = judge_epoch(records[-1], self.terms) if records else None
        for epoch in range(len(records) + 1, settings.epochs + 1):
            if trouble is not None and not is_last_attempt(state.attempts):
                return trouble
            if epoch - state.history.best_epoch > settings.patience:
                break
            record = self.train_epoch(epoch, soft_targets, after_batch)
            trouble = judge_epoch(record, self.terms)
            if trouble is Trouble.NOT_FINITE:
                return trouble
            state.add(record, keep=settings.keep_best)
            state.save()
            if on_epoch is not None:
                on_epoch(record, self.describe_progress(epoch))
        self.ended = True
        return judge_attempt(records, state.history.kept_accuracy or 0.0, self.terms)

    def train_epoch(
        self, epoch: int, soft_targets: SoftTargets | None, after_batch: Callable[[int], None]
    ) -> EpochRecord:
        """One pass over the training pictures, then over those of validation."""
        started = time.perf_counter()
        model, data, settings, state, train = self.model, self.data, self.settings, self.state, self.train
        model.train()
        loss_sum = torch.zeros((), device=self.device)
        num_correct = torch.zeros((), dtype=torch.long, device=self.device)
        rate = 0.0
        order = torch.randperm(len(train), generator=state.generator).to(self.device)
        for rows in split_batches(order, settings.batch_size):
            batch = Split(train.images[rows], train.labels[rows])
            rate = compute_learning_rate(settings, state.step, self.total_steps)
            for group in state.optimizer.param_groups:
                group["lr"] = rate * group.get("rate_factor", 1.0)
            images, views = augment_batch(
                batch.images, state.generator, flip=self.augmentation.flip, max_shift=self.augmentation.max_shift
            )
            x = data.normalize(images)
            with autocast(settings.precision, self.device):
                logits = model(x).float()
            loss = compute_loss(settings.loss, logits, batch.labels, settings.label_smoothing, self.class_weights)
            if soft_targets is not None:
                loss = _distill(loss, logits, soft_targets.find(x, views, rows), settings)
            state.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            bound_gradients_(model, self.longest_gradient)
            state.optimizer.step()
            loss_sum += loss.detach() * len(batch)
            num_correct += (logits.detach().argmax(1) == batch.labels).sum()
            after_batch(epoch)
        logits = compute_logits(model, data, data.validation, settings.precision)
        validation = evaluate_logits(logits, data.validation)
        return EpochRecord(
            epoch=epoch,
            train_loss=loss_sum.item() / len(train),
            train_accuracy=num_correct.item() / len(train),
            validation_loss=validation.loss,
            validation_accuracy=validation.accuracy,
            learning_rate=rate,
            seconds=time.perf_counter() - started,
            balanced_validation_accuracy=(
                None if self.class_weights is None else balance_accuracy(logits, data.validation)
            ),
        )

    def describe_progress(self, epoch: int) -> BatchProgress:
        """Where the attempt is."""
        state = self.state
        done = max(1, state.step - self.step_at_start)
        eta = (time.perf_counter() - self.started) / done * (self.total_steps - state.step)
        before = sum(attempt.epochs for attempt in state.attempts)
        return BatchProgress(epoch, self.settings.epochs, state.step, self.total_steps, eta, self.share, before)


def split_batches(rows: torch.Tensor, batch_size: int) -> list[torch.Tensor]:
    """Cuts rows (n,) into batches, the last one as large as what is left. A single row left goes to those before it:
    of one picture, batch norm has no deviation where a channel is one value, and torch refuses it.
    """
    batches = list(torch.split(rows, batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        *others, before, last = batches
        return [*others, torch.cat([before, last])]
    return batches


def count_batches(num_rows: int, batch_size: int) -> int:
    """As many as `split_batches` cuts."""
    return max(1, math.ceil((num_rows - (batch_size > 1)) / batch_size))


def _weigh_classes(data: Dataset, settings: TrainingSettings) -> list[float] | None:
    return CLASS_WEIGHTINGS[settings.class_weighting](count_classes(data)["train"])


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
    return OPTIMIZERS[settings.optimizer](groups, settings.learning_rate)
