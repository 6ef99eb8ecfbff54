"""Intervals of what was counted, the same for the core, the jobs and the report."""

from __future__ import annotations


def compute_wilson_interval(num_correct: int, num_examples: int) -> tuple[float, float]:
    """95 % interval of an accuracy (Wilson 1927): two fractions 0..1."""
    # Imported here: the API, which computes none, may import what lies in this folder and has no scipy.
    from scipy.stats import binomtest

    low, high = binomtest(num_correct, num_examples).proportion_ci(method="wilson")
    return float(low), float(high)
