from __future__ import annotations

import pytest

from worker.core.measure import compute_wilson_interval
from worker.core.report.evidence import Measured
from worker.core.report.intervals import Order, compare, compute_difference_interval


def measure(num_correct: int, num_examples: int) -> Measured:
    return Measured(num_correct, num_examples, 0.0, compute_wilson_interval(num_correct, num_examples))


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10, contrasts (a), (c) and (g).
    [((56, 70), (48, 80), 0.0524, 0.3339), ((6, 7), (2, 7), 0.0582, 0.8062), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_the_interval_of_a_difference_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    assert compute_difference_interval(measure(*one), measure(*other)) == pytest.approx((low, high), abs=5e-5)


def test_accuracies_differ_only_where_the_interval_leaves_zero_out() -> None:
    assert compare(measure(9300, 10_000), measure(9200, 10_000)) is Order.HIGHER
    assert compare(measure(9200, 10_000), measure(9300, 10_000)) is Order.LOWER
    assert compare(measure(9300, 10_000), measure(9250, 10_000)) is Order.SAME
