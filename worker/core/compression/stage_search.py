"""Which rung of a plan `compress` climbs next, judged by what came of those before: a test needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from worker.jobs.efforts import Plan, Rung

PATIENCE = 2
"""Rungs on plain pictures of which none kept the reserve: more training will not bring it back after so many."""
NARROWED = -1
"""In place of a climb's number: the network that no rung has pruned yet."""


@dataclass(frozen=True)
class Climb:
    """What came of one rung. is_good: a search may go on from it. is_hopeless: no training brings it back.

    learned: else it has forgotten everything, and is nobody's ancestor.
    """

    rung: Rung
    learned: bool
    is_good: bool
    is_hopeless: bool


@dataclass(frozen=True)
class Next:
    """The rung to climb, from the weights of the climb with this number, or of NARROWED."""

    rung: Rung
    start: int


def find_next(plan: Plan, climbs: Sequence[Climb]) -> Next | None:
    """The rungs of the plan until one goes too far, then those between. climbs: all so far, in their order.

    One on changed pictures goes too far only where it is hopeless: what it misses, plain pictures may bring back.
    """
    best = start = NARROWED
    num_misses = 0
    for number, rung in enumerate(plan.rungs):
        if number == len(climbs):
            return Next(rung, start)
        climb = climbs[number]
        if climb.is_good:
            best = start = number
        elif rung.is_plain and best != NARROWED:
            return _go_back(plan, climbs, best, number)
        elif climb.is_hopeless and climb.learned:
            return None
        elif climb.learned:
            start = number
            num_misses += rung.is_plain
            if num_misses == PATIENCE:
                return None
    return None


def _go_back(plan: Plan, climbs: Sequence[Climb], best: int, beyond: int) -> Next | None:
    """Half-way in density, by its logarithm, between the best climb and one beyond the drop; and again from there."""
    far = climbs[beyond].rung
    for number in range(beyond + 1, beyond + 1 + plan.refinements):
        near = climbs[best].rung
        middle = replace(far, sparsity=1 - math.sqrt((1 - near.sparsity) * (1 - far.sparsity)))
        if number == len(climbs):
            return Next(middle, best)
        if climbs[number].is_good:
            best = number
        else:
            far = middle
    return None
