"""Schedules: how the sparsity grows from one step to the next."""

from __future__ import annotations

from worker.catalog import PruningSchedule


def compute_sparsities(schedule: PruningSchedule, final: float, steps: int) -> list[float]:
    """The sparsity after each step; the last one is `final`. `one_shot` has a single step.

    linear: equal amounts; cubic: much at first, little at the end (Zhu and Gupta 2017, arXiv:1710.01878);
    geometric: each step keeps the same fraction of what is left (Han et al. 2015; lottery tickets).
    """
    if schedule is PruningSchedule.ONE_SHOT:
        return [final]
    times = [step / steps for step in range(1, steps + 1)]
    if schedule is PruningSchedule.LINEAR:
        return [final * t for t in times]
    if schedule is PruningSchedule.CUBIC:
        return [final * (1 - (1 - t) ** 3) for t in times]
    return [1 - (1 - final) ** t for t in times]
