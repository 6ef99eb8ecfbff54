"""Whether two accuracies differ by more than chance: the interval of a difference of two counted fractions."""

from __future__ import annotations

import math
from enum import StrEnum

from worker.core.report.evidence import Measured


class Order(StrEnum):
    """How one accuracy stands to another on this test set."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"
    """The interval of the difference holds zero: not distinguishable."""


def compute_difference_interval(one: Measured, other: Measured) -> tuple[float, float]:
    """95 % interval of accuracy(one) - accuracy(other), fractions (Newcombe 1998, method 10: from Wilson's bounds).

    Both models saw the same pictures; treating the counts as independent makes the interval wider, never narrower,
    where the two err on the same pictures.
    """
    (low, high), (other_low, other_high) = one.interval, other.interval
    difference = one.accuracy - other.accuracy
    below = math.hypot(one.accuracy - low, other_high - other.accuracy)
    above = math.hypot(high - one.accuracy, other.accuracy - other_low)
    return difference - below, difference + above


def compare(one: Measured, other: Measured) -> Order:
    """Higher or lower only where the interval of the difference leaves zero out."""
    low, high = compute_difference_interval(one, other)
    return Order.HIGHER if low > 0 else Order.LOWER if high < 0 else Order.SAME
