"""The same amount at each step, retraining in between."""

from __future__ import annotations


def compute_sparsities(start: float, final: float, steps: int) -> list[float]:
    """Equal amounts."""
    return [start + (final - start) * (step / steps) for step in range(1, steps + 1)]
