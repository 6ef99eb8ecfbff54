"""Training while quantized: the narrowed network is pruned stage by stage, as far as the drop allows."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from worker.catalog import PruningMethod, PruningScope
from worker.compression_plan import QatStage
from worker.compression_plan.parts import CALIBRATING, name_stage
from worker.core.compression.candidates import Candidate, CandidateStore, extract_stored, is_good
from worker.core.compression.reserve import Reserve
from worker.core.compression.stage_search import HOPELESS, NARROWED, StageEnding, find_next_stage
from worker.core.compression.task import BATCH_SIZE, CompressionTask, StageSparsity, train_network
from worker.core.compression.teacher import Teacher
from worker.core.compression.timetable import TimedTracker
from worker.core.fit_progress import FitProgress
from worker.core.pruning import check_sparsity
from worker.core.pruning.difference import find_difference
from worker.core.pruning.gradual import GradualPruner
from worker.core.quantization_aware import quantize_network
from worker.core.resume import Step, snapshot
from worker.core.training import count_batches

CALIBRATED_BIT_WIDTH = 8


@dataclass(frozen=True)
class TrainedStage:
    """A quantized network as it left its training. stage: the last stretch of that, None for one without.

    weights: what its pruning was asked for and reached. start: the number of the stage whose weights it began with.
    """

    model: nn.Module
    candidate: Candidate
    stage: QatStage | None = None
    weights: StageSparsity | None = None
    learned: bool = True
    start: int = NARROWED

    @property
    def sparsity(self) -> float:
        """That its stage aimed at."""
        return 0.0 if self.stage is None else self.stage.sparsity

    @property
    def reached_sparsity(self) -> float:
        """That its training left."""
        return 0.0 if self.weights is None else self.weights.reached_sparsity


def has_room(trained: TrainedStage, reserve: Reserve) -> bool:
    """Whether what is done to it next may still make it less accurate, and be within the drop and its margin."""
    return trained.learned and is_good(trained.candidate, reserve)


def choose_start(trained: Sequence[TrainedStage], reserve: Reserve) -> TrainedStage:
    """What rounding starts from: the sparsest network that leaves room for it, the first where there is none."""
    return max((one for one in trained if has_room(one, reserve)), key=lambda one: one.sparsity, default=trained[0])


def is_rounding_worthwhile(trained: Sequence[TrainedStage], start: TrainedStage, reserve: Reserve) -> bool:
    """Whether to round the start. One without training is rounded only where no trained one is within the drop."""
    is_fallback_needed = not any(one.candidate.within for one in trained if one.stage is not None)
    return has_room(start, reserve) and (start.stage is not None or is_fallback_needed)


def find_ancestry(chosen: Candidate, trained: Sequence[TrainedStage], start: TrainedStage) -> tuple[TrainedStage, ...]:
    """Whom a candidate's weights came from, one stage after the other, without the calibrated network."""
    if chosen.is_plain:
        return ()
    last = start if chosen.rd_lambda is not None else next(one for one in trained if one.candidate == chosen)
    line = [last] if last.stage is not None else []
    while line and line[-1].start != NARROWED:
        line.append(trained[line[-1].start + 1])  # the first of them is the calibrated network
    return tuple(reversed(line))


def measure_calibrated(task: CompressionTask, store: CandidateStore) -> TrainedStage:
    """Measures the baseline at 8 bits, which needs no training: the fallback."""
    width = CALIBRATED_BIT_WIDTH
    model = quantize_network(task.baseline.model, task.baseline.data, width, width)
    build = functools.partial(extract_stored, task.baseline, model)
    name = f"{width} bit, calibrated"
    return TrainedStage(model, store.measure("calibrated", name, build, CALIBRATING, is_plain=True))


def train_stages(
    narrowed: nn.Module, task: CompressionTask, teacher: Teacher, store: CandidateStore, tracker: TimedTracker
) -> list[TrainedStage]:
    """Trains the stages that `find_next_stage` asks for, and measures each where it ends."""
    plan = task.plan
    model = quantize_network(narrowed, task.baseline.data, plan.bit_width, plan.activation_bit_width)
    states = [copy.deepcopy(model.state_dict())]
    trained: list[TrainedStage] = []
    endings: list[StageEnding] = []
    while (step := find_next_stage(plan, endings)) is not None:
        model.load_state_dict(states[step.start + 1])
        number, stage = len(trained), step.stage
        part = name_stage(number)
        progress = tracker.follow(f"pruning to {100 * stage.sparsity:.1f} % while quantized", part, f"rung{number}_")
        learned = train_stage(model, stage, part, task, teacher, progress, tracker)
        is_held = step.start != NARROWED and stage.sparsity == endings[step.start].stage.sparsity
        name = f"{plan.bit_width} bit, {100 * stage.sparsity:.1f} % pruned{', trained on' if is_held else ''}"
        candidate = store.measure(part, name, functools.partial(extract_stored, task.baseline, model), part)
        trained.append(
            TrainedStage(copy.deepcopy(model), candidate, stage, _compare(part, stage, model), learned, step.start)
        )
        states.append(trained[-1].model.state_dict())
        is_hopeless = candidate.drop > task.max_drop + HOPELESS
        is_good = has_room(trained[-1], store.reserve)
        endings.append(StageEnding(stage, learned, is_good, candidate.within, is_hopeless))
    return trained


def train_stage(
    model: nn.Module,
    stage: QatStage,
    key: str,
    task: CompressionTask,
    teacher: Teacher,
    progress: FitProgress,
    tracker: TimedTracker,
    method: PruningMethod = PruningMethod.MAGNITUDE,
) -> bool:
    """Trains one stage in place; returns whether it learned. key: what it is kept by."""

    def compute() -> Step:
        num_steps = stage.epochs * count_batches(len(task.baseline.data.train), BATCH_SIZE)
        pruner = GradualPruner(model, stage.sparsity, int(0.6 * num_steps), scope=PruningScope.LAMP, method=method)
        outcome = train_network(
            model,
            task,
            stage.epochs,
            stage.learning_rate,
            progress,
            soft_targets=teacher.get_targets(),
            pruner=pruner,
            is_plain=stage.is_plain,
        )
        return {"state": snapshot(model), "training": outcome}

    step = tracker.checkpoints.keep(key, compute)
    tracker.trainings.add(progress.phase, step["training"])
    model.load_state_dict(step["state"])
    return bool(step["training"]["learned"])


def _compare(key: str, stage: QatStage, model: nn.Module) -> StageSparsity:
    """What a stage was asked for beside the zeros that its training left."""
    report = check_sparsity(model)
    difference = find_difference(stage.sparsity, report.sparsity, granularity=report.granularity, before=0.0)
    return StageSparsity(key, "weights", stage.sparsity, report.sparsity, difference)
