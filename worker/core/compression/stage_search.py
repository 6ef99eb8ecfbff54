"""Which stage of a plan is trained next, judged by what came of those before: a test needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.compression_plan import CompressionPlan, QatStage
from worker.search import find_log_density_midpoint, refine

PATIENCE = 2
"""Stages on plain pictures of which none kept the margin: more training will not bring it back after so many."""
NARROWED = -1
"""In place of a stage's number: the network that no stage has pruned yet."""
HOPELESS = 1.0
"""A stage so many points beyond the drop is nobody's start (docs/decisions/what-a-network-has-to-spare.md)."""


@dataclass(frozen=True)
class StageEnding:
    """What came of one stage. is_good: a search may go on from it. is_within: it is within the drop, with a margin or
    without. is_hopeless: no training brings it back.

    learned: else it has forgotten everything, and is nobody's ancestor.
    """

    stage: QatStage
    learned: bool
    is_good: bool
    is_within: bool
    is_hopeless: bool


@dataclass(frozen=True)
class NextStage:
    """The stage to train, from the weights that the stage with the number `start` ended with, or those of NARROWED."""

    stage: QatStage
    start: int


def find_next_stage(plan: CompressionPlan, endings: Sequence[StageEnding]) -> NextStage | None:
    """Asks for the plan's stages until one goes too far, then for those between. endings: all so far, in their order.

    One on changed pictures goes too far only where it is hopeless: what it misses, plain pictures may bring back. What
    is beyond the drop is trained on as sparse as it is, and not pruned further by the next stage. Where already the
    first ones are hopeless, the next begin from the network that no stage has pruned, and are asked for less; where the
    plan ends well then, it is refined between its last stage and what was hopeless.
    """
    best = start = NARROWED
    num_misses = 0
    most, too_far = 1.0, None
    for number, stage in enumerate(plan.stages):
        near = 0.0 if start == NARROWED else endings[start].stage.sparsity
        if number == len(endings):
            if too_far is not None:
                most = min(most, find_log_density_midpoint(near, too_far))
            return NextStage(replace(stage, sparsity=min(stage.sparsity, most)), start)
        ending, most = endings[number], 1.0
        if ending.is_good:
            best = start = number
        elif stage.is_plain and best != NARROWED:
            return _refine(plan, endings, best, ending.stage, number + 1)
        elif ending.learned:
            num_misses += stage.is_plain
            if num_misses == PATIENCE or (ending.is_hopeless and best != NARROWED):
                return None
            if ending.is_hopeless:
                start, too_far = NARROWED, ending.stage.sparsity
            else:
                start, most = number, 1.0 if ending.is_within else ending.stage.sparsity
        elif ending.stage.sparsity == near:
            return None  # trained on as sparse as it was, it forgot: nothing is left to ask for
        elif too_far is not None:
            too_far = min(too_far, ending.stage.sparsity)
    if too_far is None or start == NARROWED or not endings[start].is_good:
        return None
    return _refine(plan, endings, start, replace(plan.stages[-1], sparsity=too_far), len(plan.stages))


def _refine(
    plan: CompressionPlan, endings: Sequence[StageEnding], best: int, far: QatStage, first: int
) -> NextStage | None:
    """Refines between the best stage and `far`, beyond the drop, whose epochs and rate each one between has too.

    first: the number of the first one between.
    """
    outcomes = [ending.is_good for ending in endings[first:]]
    found = refine(endings[best].stage.sparsity, far.sparsity, outcomes, plan.refinements)
    if found is None:
        return None
    sparsity, start = found
    return NextStage(replace(far, sparsity=sparsity), best if start is None else first + start)
