"""The parts of a `compress` job, in their order, and what each is expected to cost."""

from __future__ import annotations

from worker.jobs.efforts import Plan
from worker.timetable import DENSE_EPOCH_WEIGHT, FILE, FILE_WEIGHT, TRAINING, VIEW_WEIGHT, VIEWS, Part, Timetable

CALIBRATING, TEACHER, ASKING, NARROWING = "calibrating", "teacher", "asking", "narrowing"
ROUNDING, PLAIN, ABLATION, FINISHING = "rounding", "plain files", "ablation", "finishing"
NUM_TRADE_OFFS = 5
"""Trade-offs that rounding tries; each costs an encoding and an evaluation."""
ABLATION_FILES = 6
"""Files of the ablation besides one for each rung."""
FINISHING_FILES = 4
"""As many files' time does it take to measure the chosen one and to draw."""


def name_rung(position: int) -> str:
    """The part, and the kept step, of a rung."""
    return f"rung-{position}"


def name_control(position: int) -> str:
    """The part of a control."""
    return f"control-{position}"


def plan_time(plan: Plan, *, num_views: int, has_controls: bool) -> Timetable:
    """The timetable of a plan whose teacher is asked about so many views of each picture."""
    rungs = [rung.epochs for rung in plan.rungs] + [plan.rungs[-1].epochs] * plan.refinements
    quantized = sum(rung.epochs for rung in plan.rungs)
    controls = [quantized, quantized, 2 * quantized + plan.narrow_epochs] if has_controls else []
    files = FILE_WEIGHT
    return Timetable(
        [
            Part(CALIBRATING, FILE, files),
            *([Part(TEACHER, TRAINING, DENSE_EPOCH_WEIGHT * plan.teacher_epochs)] if plan.teacher_epochs else []),
            Part(ASKING, VIEWS, VIEW_WEIGHT * num_views),
            Part(NARROWING, TRAINING, plan.narrow_epochs),
            *(Part(name_rung(position), TRAINING, epochs) for position, epochs in enumerate(rungs)),
            Part(ROUNDING, FILE, files * NUM_TRADE_OFFS),
            Part(PLAIN, FILE, files),
            *(Part(name_control(position), TRAINING, epochs) for position, epochs in enumerate(controls)),
            Part(ABLATION, FILE, files * (ABLATION_FILES + len(plan.rungs))),
            Part(FINISHING, FILE, files * FINISHING_FILES),
        ],
        first=1.0,
    )
