"""The parts of a compression, in their order, what each is expected to cost, and where it is among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.core.compression.plan import CompressionPlan
from worker.core.fit_progress import FitProgress
from worker.core.training_log import Tracker
from worker.progress import Progress
from worker.timetable import DENSE_EPOCH_WEIGHT, FILE, FILE_WEIGHT, TRAINING, VIEW_WEIGHT, VIEWS, Part, Timetable

CALIBRATING, TEACHER, ASKING, NARROWING = "calibrating", "teacher", "asking", "narrowing"
ROUNDING, PLAIN, ABLATION, FINISHING = "rounding", "plain files", "ablation", "finishing"
NUM_LAMBDAS = 5
"""Trade-offs that rounding tries; each costs an encoding and an evaluation."""
ABLATION_FILES = 6
"""Files of the ablation besides one for each stage."""
FINISHING_FILES = 4
"""As many files' time does it take to measure the chosen one and to draw."""


@dataclass(frozen=True)
class TimedTracker(Tracker):
    """A tracker that tells percent and remaining time by a timetable."""

    timetable: Timetable

    def report(self, part: str, share: float, **progress: Any) -> None:
        """Reports the share of a part of the timetable that is done."""
        eta_s = self.timetable.estimate_remaining(part, share)
        percent = round(self.timetable.compute_percent(part, share), 1)
        self.reporter.report(Progress(percent=percent, eta_s=None if eta_s is None else round(eta_s, 1), **progress))

    def follow(self, phase: str, part: str, series: str, begin: float = 0.0, end: float = 1.0) -> FitProgress:
        """Follows a fit that is a part of the timetable, from one share of it to another."""
        return FitProgress(
            self.reporter, phase, series=series, timetable=self.timetable, part=part, begin=begin, end=end
        )


def name_stage(position: int) -> str:
    """The part of a stage, and what the network at its end is kept by."""
    return f"rung-{position}"


def name_control(position: int) -> str:
    """The part of a control."""
    return f"control-{position}"


def plan_time(plan: CompressionPlan, *, num_views: int, has_controls: bool) -> Timetable:
    """Lays out the parts of a plan whose teacher is asked about so many views of each picture."""
    stages = [stage.epochs for stage in plan.stages] + [plan.stages[-1].epochs] * plan.refinements
    quantized = sum(stage.epochs for stage in plan.stages)
    controls = [quantized, quantized, 2 * quantized + plan.narrow_epochs] if has_controls else []
    return Timetable(
        [
            Part(CALIBRATING, FILE, FILE_WEIGHT),
            *([Part(TEACHER, TRAINING, DENSE_EPOCH_WEIGHT * plan.teacher_epochs)] if plan.teacher_epochs else []),
            Part(ASKING, VIEWS, VIEW_WEIGHT * num_views),
            Part(NARROWING, TRAINING, plan.narrow_epochs),
            *(Part(name_stage(position), TRAINING, epochs) for position, epochs in enumerate(stages)),
            Part(ROUNDING, FILE, FILE_WEIGHT * NUM_LAMBDAS),
            Part(PLAIN, FILE, FILE_WEIGHT),
            *(Part(name_control(position), TRAINING, epochs) for position, epochs in enumerate(controls)),
            Part(ABLATION, FILE, FILE_WEIGHT * (ABLATION_FILES + len(plan.stages))),
            Part(FINISHING, FILE, FILE_WEIGHT * FINISHING_FILES),
        ],
        first=1.0,
    )
