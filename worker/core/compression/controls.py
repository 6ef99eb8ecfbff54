"""What a compressed file is held against: as many epochs spent in other ways, encoded and measured alike."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from worker.checkpoint_facts import describe_facts
from worker.coding import decode_network, encode_network
from worker.compression_plan import QatStage
from worker.compression_plan.parts import name_control
from worker.controls import CONTROLS, ControlDesign, ControlKind
from worker.core.checkpoint import match_widths
from worker.core.compression.candidates import CandidateStore, extract_stored
from worker.core.compression.derivation import Derivation
from worker.core.compression.qat import train_stage
from worker.core.compression.task import CompressionTask, train_network
from worker.core.compression.teacher import Teacher
from worker.core.compression.timetable import TimedTracker
from worker.core.device import device_of
from worker.core.measure import record_correctness
from worker.core.models.build import build_module
from worker.core.quantization.integer_model import build_integer_model
from worker.core.quantization_aware import quantize_network
from worker.core.resume import Step
from worker.core.training import compute_logits, evaluate_logits
from worker.network.operations.base import InvalidNetwork
from worker.network.record import Network
from worker.network.scaling import match_scale
from worker.paired import Correctness, compute_drop


@dataclass(frozen=True)
class Control:
    """A file that was not the aim. epochs: of training from the same start as the chosen one's; drops in points."""

    kind: ControlKind
    name: str
    num_bytes: int
    sparsity: float
    widths: tuple[int, ...]
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    validation_drop: float
    test_drop: float
    test_correctness: Correctness
    problems: tuple[str, ...] = ()
    """Values of HealthProblem: against a control that is not sound, anything looks good."""

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return asdict(self) | {"test_correctness": self.test_correctness.to_json()}


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
    *first, last = stages
    pruned = [*first, replace(last, sparsity=max(last.sparsity, derivation.chosen.sparsity))]
    unpruned = [replace(stage, sparsity=0.0) for stage in stages]
    found = []
    for position, (kind, design) in enumerate(CONTROLS.items()):
        run = _ControlRun(kind, design, position, pruned if design.is_pruned else unpruned)
        if design.is_fresh:
            run = replace(run, epochs_before=task.plan.narrow_epochs + sum(stage.epochs for stage in stages))
            try:
                small = _build_small(derivation.chosen.num_bytes, task)
            except InvalidNetwork as error:
                tracker.reporter.warn(f"control {design.name}: left out, since it cannot be built: {error}")
                continue
            model = _train_small(small, run, task, teacher, tracker)
        else:
            model = narrowed
        found.append(_measure(model, run, task, teacher, store, tracker))
    return tuple(found)


@dataclass(frozen=True)
class _ControlRun:
    """One control to be made. position: among the controls. epochs_before: of training before it is quantized."""

    kind: ControlKind
    design: ControlDesign
    position: int
    stages: Sequence[QatStage]
    epochs_before: int = 0

    @property
    def part(self) -> str:
        """Of the timetable."""
        return name_control(self.position)

    @property
    def epochs(self) -> int:
        """Of all its training."""
        return self.epochs_before + sum(stage.epochs for stage in self.stages)

    @property
    def share_before(self) -> float:
        """Of its part, that the epochs before take."""
        return self.epochs_before / self.epochs


def _measure(
    model: nn.Module,
    run: _ControlRun,
    task: CompressionTask,
    teacher: Teacher,
    store: CandidateStore,
    tracker: TimedTracker,
) -> Control:
    """Trains a float network quantized along the stages."""
    baseline, plan, name = task.baseline, task.plan, run.design.name
    quantized = quantize_network(model, baseline.data, plan.bit_width, plan.activation_bit_width)
    for number, stage in enumerate(run.stages):
        done, until = (run.share_before + (1 - run.share_before) * n / len(run.stages) for n in (number, number + 1))
        progress = tracker.follow(f"control: {name}", run.part, f"control{run.position}_{number}_", done, until)
        train_stage(quantized, stage, f"{run.part}-{number}", task, teacher, progress, tracker, run.design.method)
    encoded = store.encode(run.part, functools.partial(extract_stored, baseline, quantized))
    network = decode_network(encoded.file)
    if encoded.problems:
        tracker.reporter.warn(
            f"control {name}: it is not sound ({', '.join(encoded.problems)}): beside it anything looks good"
        )
    split = baseline.data.test
    logits = compute_logits(build_integer_model(network).to(device_of(baseline.model)), baseline.data, split)
    test = evaluate_logits(logits, split)
    return Control(
        kind=run.kind,
        name=name,
        num_bytes=len(encoded.file),
        sparsity=encoded.sparsity,
        widths=network.widths,
        epochs=run.epochs,
        validation_accuracy=encoded.accuracy,
        test_accuracy=test.accuracy,
        validation_drop=baseline.drop(encoded.accuracy),
        test_drop=compute_drop(baseline.test, test),
        test_correctness=record_correctness(logits, split),
        problems=encoded.problems,
    )


def _train_small(
    small: nn.Module, run: _ControlRun, task: CompressionTask, teacher: Teacher, tracker: TimedTracker
) -> nn.Module:
    """Trains a dense network from scratch."""
    phase = f"control: {run.design.name}, from scratch"
    progress = tracker.follow(phase, run.part, f"control{run.position}_", 0.0, run.share_before)

    def train() -> Step:
        targets = teacher.get_targets()
        outcome = train_network(
            small, task, run.epochs_before, task.plan.dense_rate, progress, soft_targets=targets, is_fresh=True
        )
        return {"training": outcome}

    trained, _ = tracker.train(run.part, progress.phase, task.baseline, small, train)
    return trained


def _build_small(num_bytes: int, task: CompressionTask) -> nn.Module:
    """Builds the narrower network of the baseline's kind whose file, still untrained, comes nearest to the bytes.

    Raises InvalidNetwork where its channels cannot be as few.
    """
    baseline, plan = task.baseline, task.plan
    info = baseline.info

    def count(network: Network) -> int:
        model = quantize_network(_build(network, task), baseline.data, plan.bit_width, plan.activation_bit_width)
        return len(encode_network(extract_stored(baseline, model)))

    if info.network is not None:
        return _build(match_scale(info.network, num_bytes, count), task)
    widths = match_widths(
        info,
        num_bytes,
        8 * num_bytes // plan.bit_width,
        lambda widths: count(describe_facts(info, widths)),
        lambda parameters, counted: round(parameters * num_bytes / counted),
    )
    return _build(describe_facts(info, widths), task)


def _build(network: Network, task: CompressionTask) -> nn.Module:
    """Builds a network with fresh weights."""
    torch.manual_seed(task.seed)
    return build_module(network).to(device_of(task.baseline.model))
