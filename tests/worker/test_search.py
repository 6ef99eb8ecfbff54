"""Where a search looks next, on plain numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.search import bisect, find_log_density_midpoint, refine


@given(st.floats(0, 1), st.floats(1e-6, 0.1))
def test_a_bisection_closes_in_on_the_edge(edge: float, finest: float) -> None:
    low, high = bisect(lambda x: x <= edge, -0.5, 1.5, finest=finest)
    assert low <= edge < high or edge == high
    assert high - low <= finest


def test_a_bisection_without_an_end_stops_where_no_number_lies_between() -> None:
    low, high = bisect(lambda x: x * x <= 2, 1.0, 2.0, finest=0.0)
    assert low * low <= 2 < high * high
    assert high - low < 1e-15


@given(st.floats(0, 0.99), st.floats(0, 0.99))
def test_the_midpoint_lies_between_and_is_half_way_in_log_density(one: float, other: float) -> None:
    near, far = sorted((one, other))
    middle = find_log_density_midpoint(near, far)
    assert near - 1e-9 <= middle <= far + 1e-9
    assert (1 - middle) ** 2 == pytest.approx((1 - near) * (1 - far))


@pytest.mark.parametrize(
    ("outcomes", "sparsity", "start"),
    [([], 0.9553, None), ([True], 0.9701, 0), ([False], 0.9331, None)],
)
def test_refining_goes_on_from_the_last_one_within(outcomes: list[bool], sparsity: float, start: int | None) -> None:
    found = refine(0.9, 0.98, outcomes, 2)
    assert found is not None
    assert found[0] == pytest.approx(sparsity, abs=1e-4)
    assert found[1] == start


def test_refining_ends_after_its_tries() -> None:
    assert refine(0.9, 0.98, [True, False], 2) is None
    assert refine(0.9, 0.98, [], 0) is None
