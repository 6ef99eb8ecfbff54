"""Bisections, and where between two sparsities to look next. Plain numbers alone: neither torch nor a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence


def bisect(holds: Callable[[float], bool], low: float, high: float, *, finest: float) -> tuple[float, float]:
    """Halves the way from `low`, where something holds, to `high`, where it does not, until that is at most `finest`
    long or no number lies between the two any more. Returns the last `low` and `high`.
    """
    while high - low > finest:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        if holds(middle):
            low = middle
        else:
            high = middle
    return low, high


def find_log_density_midpoint(near: float, far: float) -> float:
    """The sparsity half-way in density, by its logarithm: between 95 % and 99 % lies 97.8 %."""
    return 1 - math.sqrt((1 - near) * (1 - far))


def refine(near: float, far: float, outcomes: Sequence[bool], limit: int) -> tuple[float, int | None] | None:
    """The next sparsity to try between one within the drop and one beyond it; None after `limit` tries.

    outcomes: of the tries so far, whether each was within. Returns the sparsity and the number of the last try that
    was within, from whose weights to go on: None for those of `near`.
    """
    start = None
    for number, is_within in enumerate(outcomes):
        middle = find_log_density_midpoint(near, far)
        if is_within:
            near, start = middle, number
        else:
            far = middle
    return (find_log_density_midpoint(near, far), start) if len(outcomes) < limit else None
