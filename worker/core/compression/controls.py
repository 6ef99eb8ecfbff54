"""What a compressed file is held against: as many epochs spent in other ways, encoded and measured alike."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from worker.catalog import PruningMethod
from worker.coding import decode_network, encode_network
from worker.core.checkpoint import match_widths
from worker.core.compression.candidates import CandidateStore, extract_stored
from worker.core.compression.derivation import Derivation
from worker.core.compression.plan import QatStage
from worker.core.compression.qat import train_stage
from worker.core.compression.task import CompressionTask, train_network
from worker.core.compression.teacher import Teacher
from worker.core.compression.timetable import TimedTracker, name_control
from worker.core.device import device_of
from worker.core.models import rebuild_model
from worker.core.quantization.integer_model import build_integer_model
from worker.core.quantization_aware import quantize_network
from worker.core.resume import Step
from worker.core.training import evaluate
from worker.paired import compute_drop


@dataclass(frozen=True)
class Control:
    """A file that was not the aim. epochs: of training from the same start as the chosen one's; drops in points."""

    name: str
    num_bytes: int
    sparsity: float
    widths: tuple[int, ...]
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    validation_drop: float
    test_drop: float
    problems: tuple[str, ...] = ()
    """Values of HealthProblem: against a control that is not sound, anything looks good."""


def measure_controls(
    derivation: Derivation, task: CompressionTask, store: CandidateStore, tracker: TimedTracker
) -> tuple[Control, ...]:
    """Measures three, each for the epochs of the stages that the chosen file has behind it.

    Not pruned: the narrowed network with every weight kept. Pruned at random: to the sparsity of the chosen file, but
    which weights go is drawn by lot. Small dense: of about the same bytes, trained from scratch for as long as
    narrowing and stages took, then quantized for as long as the stages took. The teacher is everybody's.
    """
    teacher, narrowed = derivation.teacher, derivation.narrowed
    behind = [one.stage for one in derivation.ancestry if one.stage is not None]
    stages = behind or list(task.plan.stages)
    unpruned = [replace(stage, sparsity=0.0) for stage in stages]
    measure = functools.partial(_measure, task=task, teacher=teacher, store=store, tracker=tracker)
    *first, last = stages
    random = [*first, replace(last, sparsity=max(last.sparsity, derivation.chosen.sparsity))]
    scratch_epochs = task.plan.narrow_epochs + sum(stage.epochs for stage in stages)
    share = scratch_epochs / (scratch_epochs + sum(stage.epochs for stage in stages))
    return (
        measure("not pruned", 0, narrowed, unpruned),
        measure("pruned at random", 1, narrowed, random, method=PruningMethod.RANDOM),
        measure(
            "small dense",
            2,
            _train_small(derivation.chosen.num_bytes, scratch_epochs, share, task, teacher, tracker),
            unpruned,
            epochs_before=scratch_epochs,
            share_before=share,
        ),
    )


def _measure(
    name: str,
    position: int,
    model: nn.Module,
    stages: Sequence[QatStage],
    *,
    task: CompressionTask,
    teacher: Teacher,
    store: CandidateStore,
    tracker: TimedTracker,
    method: PruningMethod = PruningMethod.MAGNITUDE,
    epochs_before: int = 0,
    share_before: float = 0.0,
) -> Control:
    """Trains a float network quantized along `stages`. position: among the controls.

    epochs_before, share_before: of the control's training, and of its part of the timetable, that are done already.
    """
    baseline, plan = task.baseline, task.plan
    part = name_control(position)
    quantized = quantize_network(model, baseline.data, plan.bit_width, plan.activation_bit_width)
    for number, stage in enumerate(stages):
        begin, end = (share_before + (1 - share_before) * done / len(stages) for done in (number, number + 1))
        progress = tracker.follow(f"control: {name}", part, f"control{position}_{number}_", begin, end)
        train_stage(quantized, stage, f"{part}-{number}", task, teacher, progress, tracker, method)
    encoded = store.encode(part, functools.partial(extract_stored, baseline, quantized))
    network = decode_network(encoded.file)
    if encoded.problems:
        tracker.reporter.warn(
            f"control {name}: it is not sound ({', '.join(encoded.problems)}): beside it anything looks good"
        )
    test = evaluate(build_integer_model(network).to(device_of(baseline.model)), baseline.data, baseline.data.test)
    return Control(
        name=name,
        num_bytes=len(encoded.file),
        sparsity=encoded.sparsity,
        widths=network.widths,
        epochs=epochs_before + sum(stage.epochs for stage in stages),
        validation_accuracy=encoded.accuracy,
        test_accuracy=test.accuracy,
        validation_drop=baseline.drop(encoded.accuracy),
        test_drop=compute_drop(baseline.test, test),
        problems=encoded.problems,
    )


def _train_small(
    num_bytes: int, epochs: int, share: float, task: CompressionTask, teacher: Teacher, tracker: TimedTracker
) -> nn.Module:
    """Trains a dense network of about so many bytes from scratch. share: of the timetable's part that this takes."""
    small = _build(_match_widths(num_bytes, task), task)
    progress = tracker.follow("control: small dense, from scratch", name_control(2), "control2_", 0.0, share)

    def train() -> Step:
        targets = teacher.get_targets()
        rate = task.plan.dense_rate
        return {"training": train_network(small, task, epochs, rate, progress, soft_targets=targets, is_fresh=True)}

    trained, _ = tracker.train("control-2", progress.phase, task.baseline, small, train)
    return trained


def _match_widths(num_bytes: int, task: CompressionTask) -> tuple[int, ...]:
    """Finds the widths whose file, still untrained, comes nearest to the bytes."""
    baseline, plan = task.baseline, task.plan

    def count(widths: tuple[int, ...]) -> int:
        model = quantize_network(_build(widths, task), baseline.data, plan.bit_width, plan.activation_bit_width)
        return len(encode_network(extract_stored(baseline, model)))

    return match_widths(
        baseline.info,
        num_bytes,
        8 * num_bytes // plan.bit_width,
        count,
        lambda parameters, counted: round(parameters * num_bytes / counted),
    )


def _build(widths: tuple[int, ...], task: CompressionTask) -> nn.Module:
    """Builds a network of the baseline's kind with fresh weights."""
    torch.manual_seed(task.seed)
    return rebuild_model(task.baseline.info, widths).to(device_of(task.baseline.model))
