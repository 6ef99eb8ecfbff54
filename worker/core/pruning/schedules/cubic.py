"""Much at first, less and less towards the end, retraining in between."""

from __future__ import annotations


def compute_sparsities(start: float, final: float, steps: int) -> list[float]:
    """After Zhu and Gupta 2017, arXiv:1710.01878."""
    return [start + (final - start) * (1 - (1 - step / steps) ** 3) for step in range(1, steps + 1)]
