from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from worker.binomial import compute_exact_interval, compute_lower_tail, compute_upper_tail

TRIALS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(-1, n + 1), st.just(n)))


@given(TRIALS, st.floats(0.001, 0.999))
def test_tails_agree_with_scipy(counts: tuple[int, int], probability: float) -> None:
    successes, trials = counts
    lower, upper = binom.cdf(successes, trials, probability), binom.sf(successes - 1, trials, probability)
    assert compute_lower_tail(successes, trials, probability) == pytest.approx(lower, rel=1e-6, abs=1e-12)
    assert compute_upper_tail(successes, trials, probability) == pytest.approx(upper, rel=1e-6, abs=1e-12)


def test_what_cannot_fail_and_what_cannot_happen() -> None:
    assert compute_lower_tail(0, 0, 0.5) == 1
    assert compute_upper_tail(0, 10, 0.3) == 1
    assert compute_upper_tail(1, 10, 0.0) == 0
    assert compute_upper_tail(10, 10, 1.0) == 1


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_exact_interval_is_scipys(counts: tuple[int, int]) -> None:
    expected = binomtest(*counts).proportion_ci(method="exact")
    assert compute_exact_interval(*counts) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_nothing_tried_bounds_nothing() -> None:
    assert compute_exact_interval(0, 0) == (0.0, 1.0)
