"""Schedules: how the sparsity grows from one step to the next. One module each."""

from __future__ import annotations

from collections.abc import Callable

from worker.catalog import PruningSchedule
from worker.registry import Registry

SCHEDULES = Registry[Callable[[float, float, int], list[float]]](PruningSchedule, __name__, "compute_sparsities")


def compute_sparsities(schedule: PruningSchedule, final: float, steps: int, start: float = 0.0) -> list[float]:
    """The sparsity after each step, from `start` on; the last one is `final`. `one_shot` has a single step.

    Where `start` is beyond `final` already there is nowhere to go, and every step asks for `final`.
    """
    planned = SCHEDULES[schedule](min(start, final), final, steps)
    if start >= final:
        return [final] * len(planned)
    return [*planned[:-1], final]  # to the last bit, whichever way a schedule computes
