from __future__ import annotations

import pytest

from worker.intervals import compute_wilson_interval
from worker.paired import Correctness
from worker.report.analysis.evidence import Order, compare
from worker.report.analysis.results import Measured


def measure(num_correct: int, num_examples: int, right: int | None = None) -> Measured:
    """right: bit i is set where picture i is answered rightly; None where that was not kept."""
    kept = None if right is None else Correctness("of digits", num_examples, right)
    return Measured(num_correct, num_examples, 0.0, compute_wilson_interval(num_correct, num_examples), kept)


def test_counts_alone_differ_only_where_the_interval_leaves_zero_out() -> None:
    assert compare(measure(9300, 10_000), measure(9200, 10_000)) is Order.HIGHER
    assert compare(measure(9200, 10_000), measure(9300, 10_000)) is Order.LOWER
    assert compare(measure(9300, 10_000), measure(9250, 10_000)) is Order.SAME


@pytest.mark.parametrize(("num_lost", "order"), [(10, Order.LOWER), (6, Order.LOWER), (5, Order.SAME), (0, Order.SAME)])
def test_pictures_that_only_one_answers_rightly_decide_by_mcnemar(num_lost: int, order: Order) -> None:
    # 2 * 0.5^10 = 0.002, 2 * 0.5^6 = 0.031, 2 * 0.5^5 = 0.0625. Of independent counts none would be a difference.
    everything = (1 << 350) - 1
    before, after = measure(350, 360, everything), measure(350 - num_lost, 360, everything >> num_lost)
    assert compare(after, before) is order
    assert compare(measure(350 - num_lost, 360), measure(350, 360)) is Order.SAME
