"""The parts of a compression in their order, and what each is expected to cost, as plain data: loads without torch."""

from __future__ import annotations

import math

from worker.compression_plan import PLANS, CompressionPlan
from worker.timetable import DENSE_EPOCH_WEIGHT, FILE, FILE_WEIGHT, TRAINING, VIEW_WEIGHT, VIEWS, Part, Timetable

CALIBRATING, TEACHER, ASKING, NARROWING = "calibrating", "teacher", "asking", "narrowing"
ROUNDING, PLAIN, ABLATION, FINISHING = "rounding", "plain files", "ablation", "finishing"
NUM_LAMBDAS = 5
"""Trade-offs that rounding tries; each costs an encoding and an evaluation."""
ABLATION_FILES = 6
"""Files of the ablation besides one for each stage."""
FINISHING_FILES = 4
"""As many files' time does it take to measure the chosen one and to draw."""


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


def compute_controls_factor(plan: CompressionPlan) -> float:
    """So many times as long a compression is planned to take with its controls.

    No bound: a run that leaves out parts of its timetable takes less time without them, and its controls as long.
    """
    num_views = (2 * plan.max_shift + 1) ** 2  # of pictures that are never mirrored, the fewest
    with_controls, without = (
        sum(part.weight for part in plan_time(plan, num_views=num_views, has_controls=has_controls).parts.values())
        for has_controls in (True, False)
    )
    return with_controls / without


CONTROLS_FACTOR = math.ceil(10 * max(map(compute_controls_factor, PLANS.values()))) / 10
"""The largest of any effort, with one decimal, as the specs and docs/decisions/controls.md tell it."""
