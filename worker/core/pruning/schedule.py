"""Schedules: how the sparsity grows from one step to the next."""

from __future__ import annotations

from worker.catalog import PruningSchedule


def compute_sparsities(schedule: PruningSchedule, final: float, steps: int, start: float = 0.0) -> list[float]:
    """The sparsity after each step, from `start` on; the last one is `final`. `one_shot` has a single step.

    Where `start` is beyond `final` already there is nowhere to go, and every step asks for `final`.

    linear: equal amounts; cubic: much at first, little at the end (Zhu and Gupta 2017, arXiv:1710.01878);
    geometric: each step keeps the same fraction of what is left (Han et al. 2015; lottery tickets).
    """
    if schedule is PruningSchedule.ONE_SHOT:
        return [final]
    if start >= final:
        return [final] * steps
    times = [step / steps for step in range(1, steps + 1)]
    if schedule is PruningSchedule.LINEAR:
        return [start + (final - start) * t for t in times]
    if schedule is PruningSchedule.CUBIC:
        return [start + (final - start) * (1 - (1 - t) ** 3) for t in times]
    return [1 - (1 - start) * ((1 - final) / (1 - start)) ** t for t in times]
