"""Whether two accuracies differ by more than chance, as the report calls it."""

from __future__ import annotations

from enum import StrEnum

from worker.paired import compute_difference
from worker.report.analysis.evidence import Measured


class Order(StrEnum):
    """How one accuracy stands to another on this test set."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"
    """Chance alone may make such a difference: not distinguishable."""


def compare(one: Measured, other: Measured) -> Order:
    """Higher or lower only where McNemar's exact test says so; of counts that cannot be paired, their interval."""
    difference = compute_difference(one, other)
    if not difference.is_distinguishable:
        return Order.SAME
    return Order.HIGHER if difference.value > 0 else Order.LOWER
