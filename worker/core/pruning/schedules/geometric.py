"""The same fraction of what is left at each step, retraining in between."""

from __future__ import annotations


def compute_sparsities(start: float, final: float, steps: int) -> list[float]:
    """After Han et al. 2015, arXiv:1506.02626, and lottery tickets."""
    return [1 - (1 - start) * ((1 - final) / (1 - start)) ** (step / steps) for step in range(1, steps + 1)]
