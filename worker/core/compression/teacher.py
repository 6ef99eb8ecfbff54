"""Who teaches in a compression, and the narrower network that is taught."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from worker.compression_plan.parts import ASKING, NARROWING, TEACHER
from worker.core.checkpoint import copy_model
from worker.core.compression.task import CompressionTask, StageSparsity, train_network
from worker.core.compression.timetable import TimedTracker
from worker.core.pruning.channels import count_channels, count_largest_group, prune_channels
from worker.core.pruning.difference import Difference, find_difference
from worker.core.resume import Step
from worker.core.soft_targets import compute_soft_targets
from worker.core.training import SoftTargets, evaluate
from worker.timetable import VIEW_WEIGHT, VIEWS

CHANNELS_MULTIPLE = 8
"""Narrowed layers keep a multiple of so many channels where they are wide: it fills vector registers."""
SMALL_NETWORK = 100_000
"""Networks of fewer weights are narrowed by SMALL_NETWORK_SPARSITY at most: they have less to spare."""
SMALL_NETWORK_SPARSITY = 0.4


@dataclass(frozen=True)
class Teacher:
    """The dense network that teaches. is_trained: further than the baseline, and more accurate than it.

    get_targets: what it says of every training picture, shifted in every way that training shifts it; asked once, when
    first needed.
    """

    model: nn.Module
    is_trained: bool
    get_targets: Callable[[], SoftTargets]


@dataclass(frozen=True)
class Narrowed:
    """The teacher with fewer channels, retrained; the teacher itself where it has none to spare."""

    model: nn.Module
    channels: StageSparsity


def train_teacher(task: CompressionTask, tracker: TimedTracker) -> Teacher:
    """Trains the dense model on where the plan says so; it then teaches where it gains by that."""
    baseline, plan = task.baseline, task.plan
    data, model, is_trained = baseline.data, baseline.model, False
    if plan.teacher_epochs:
        progress = tracker.follow("training the teacher", TEACHER, "teacher_")
        copied = copy_model(baseline.model, baseline.info)

        def train() -> Step:
            resume_file = tracker.checkpoints.state_file("teacher")
            outcome = train_network(
                copied, task, plan.teacher_epochs, plan.dense_rate, progress, soft_targets=None, resume_file=resume_file
            )
            return {"training": outcome}

        trained, _ = tracker.train("teacher", progress.phase, baseline, copied, train)
        is_trained = evaluate(trained, data, data.validation).accuracy > baseline.validation.accuracy
        model = trained if is_trained else model
    return Teacher(model, is_trained, functools.cache(functools.partial(_ask, model, task, tracker)))


def _ask(model: nn.Module, task: CompressionTask, tracker: TimedTracker) -> SoftTargets:
    num_asked = 0
    began = time.perf_counter()

    def on_view(number: int, count: int) -> None:
        nonlocal num_asked, began
        if num_asked:
            tracker.timetable.observe(VIEWS, VIEW_WEIGHT, time.perf_counter() - began)
            began = time.perf_counter()
        num_asked += 1
        message = f"asking the teacher about every picture, view {number} of {count}"
        tracker.report(ASKING, (number - 1) / count, phase="asking the teacher", message=message)

    return compute_soft_targets(model, task.baseline.data, task.plan.max_shift, on_view=on_view)


def narrow(task: CompressionTask, teacher: Teacher, tracker: TimedTracker) -> Narrowed:
    """Takes channels from a copy of the teacher, and retrains it by what the teacher says.

    How many a network has to spare is measured: where as many as the plan takes cost more than is allowed, fewer are
    taken, once; where these do too, none.
    """
    planned = choose_channel_sparsity(task.plan.channel_sparsity, teacher.model)
    num_before = count_channels(teacher.model)

    def describe(reached: float, difference: Difference | None = Difference.BEYOND_DROP) -> StageSparsity:
        return StageSparsity("narrowing", "channels", planned, reached, difference)

    model = _retrain(_take_channels(planned, task, teacher), "narrow", task, teacher, tracker)
    accuracy = _read_accuracy(model, task)
    if task.baseline.allows(accuracy, task.max_drop):
        step = CHANNELS_MULTIPLE * count_largest_group(teacher.model, task.baseline.info.input_shape) / num_before
        reached = 1 - count_channels(model) / num_before
        return Narrowed(model, describe(reached, find_difference(planned, reached, granularity=step, before=0.0)))
    pruned = _take_channels(find_affordable_share(planned, task.baseline.drop(accuracy), task.max_drop), task, teacher)
    if count_channels(pruned) < num_before:
        model = _retrain(pruned, "narrow-less", task, teacher, tracker, begin=1.0)
        if task.baseline.allows(_read_accuracy(model, task), task.max_drop):
            return Narrowed(model, describe(1 - count_channels(model) / num_before))
    return Narrowed(copy_model(teacher.model, task.baseline.info), describe(0.0))


def find_affordable_share(share: float, drop: float, max_drop: float) -> float:
    """The share of its channels that a network can give for `max_drop` points, where giving `share` cost `drop`, which
    is more: each is taken to cost as much as the next.
    """
    return share * max_drop / drop


def _read_accuracy(model: nn.Module, task: CompressionTask) -> float:
    data = task.baseline.data
    return evaluate(model, data, data.validation).accuracy


def _take_channels(share: float, task: CompressionTask, teacher: Teacher) -> nn.Module:
    return prune_channels(teacher.model, share, task.baseline.info.input_shape, multiple_of=CHANNELS_MULTIPLE)


def _retrain(
    pruned: nn.Module, key: str, task: CompressionTask, teacher: Teacher, tracker: TimedTracker, begin: float = 0.0
) -> nn.Module:
    """Trains what was left of the channels. key: what it is kept by. begin: where in its part of the timetable."""
    progress = tracker.follow("narrowing", NARROWING, f"{key.replace('-', '_')}_", begin)

    def train() -> Step:
        outcome = train_network(
            pruned,
            task,
            task.plan.narrow_epochs,
            task.plan.dense_rate,
            progress,
            soft_targets=teacher.get_targets(),
            resume_file=tracker.checkpoints.state_file(key),
        )
        return {"training": outcome}

    narrowed, _ = tracker.train(key, progress.phase, task.baseline, pruned, train)
    return narrowed


def choose_channel_sparsity(planned: float, model: nn.Module) -> float:
    """The share of its channels that a network is asked to give."""
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    return min(planned, SMALL_NETWORK_SPARSITY) if num_parameters < SMALL_NETWORK else planned
