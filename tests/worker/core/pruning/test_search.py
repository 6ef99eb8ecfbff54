"""The decisions of a search, on made-up curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.pruning.difference import Difference, find_difference
from worker.core.pruning.search import choose_highest, find_next_sparsity, search_edge

COARSE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Point:
    sparsity: float
    accuracy: float
    within: bool


def search(curve: Callable[[float], Point], start: float = 0.0) -> dict[float, Point]:
    coarse = [asked for asked in COARSE if asked > start]
    return search_edge(curve, coarse, start=start, ceiling=0.998, finest=0.002)


def test_the_edge_of_a_plain_curve_is_found_to_the_finest_step() -> None:
    tries = search(lambda asked: Point(asked, 1 - asked, asked <= 0.637))
    best = choose_highest(tries)
    assert best is not None
    assert 0.635 <= best <= 0.637


def test_what_reached_most_is_chosen_where_asking_for_more_removes_less() -> None:
    """The curve of the issue: from 0.85 on a layer is spared whole."""

    def curve(asked: float) -> Point:
        reached = asked if asked < 0.85 else 0.375
        return Point(reached, 0.9 - reached / 10, reached <= 0.5)

    tries = search(curve)
    best = choose_highest(tries)
    assert best is not None
    assert 0.498 <= tries[best].sparsity <= 0.5
    assert tries[best].sparsity == max(point.sparsity for point in tries.values() if point.within)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=12))
def test_no_try_within_the_drop_reached_more_than_the_chosen_one(points: list[tuple[float, float, bool]]) -> None:
    tries = {float(place): Point(*point) for place, point in enumerate(points)}
    best = choose_highest(tries)
    within = [point.sparsity for point in tries.values() if point.within]
    assert (best is None) == (not within)
    if best is not None:
        assert tries[best].within
        assert tries[best].sparsity == max(within)


@given(st.lists(st.booleans(), min_size=20, max_size=20), st.floats(0, 0.9))
def test_a_search_ends_on_any_curve_and_asks_for_nothing_that_is_there_already(
    within: list[bool], start: float
) -> None:
    asked_for: list[float] = []

    def curve(asked: float) -> Point:
        asked_for.append(asked)
        place = int(asked * 20)
        return Point((place * 7 % 20) / 20, 0.5, within[place])

    search(curve, start)
    assert len(asked_for) < 30
    assert all(asked > start for asked in asked_for)


def test_of_equals_the_one_that_asked_for_least_is_chosen() -> None:
    tries = {0.3: Point(0.25, 0.9, True), 0.2: Point(0.25, 0.9, True), 0.4: Point(0.25, 0.8, True)}
    assert choose_highest(tries) == 0.2


@pytest.mark.parametrize(
    ("asked", "reached", "before", "difference"),
    [
        (0.5, 0.5, 0.0, None),
        (0.5, 0.49, 0.0, None),
        (0.5, 0.8, 0.8, Difference.ALREADY_SPARSER),
        (0.5, 0.8, 0.3, Difference.MORE_THAN_ASKED),
        (0.9, 0.473, 0.0, Difference.LAYERS_AT_LEAST),
        (0.9, 0.0, 0.0, Difference.NOTHING_REMOVED),
        (0.9, 0.8, 0.8, Difference.NOTHING_REMOVED),
        (0.005, 0.0, 0.0, Difference.NOTHING_REMOVED),
        (0.0, 0.0, 0.0, None),
    ],
)
def test_a_difference_is_told_by_its_cause(
    asked: float, reached: float, before: float, difference: Difference | None
) -> None:
    assert find_difference(asked, reached, granularity=0.01, before=before) is difference


PLANNED = [0.5, 0.8, 0.9]


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        pytest.param([], 0.5, id="the first step"),
        pytest.param([True, True], 0.9, id="on while it comes back within the drop"),
        pytest.param([True, True, True], None, id="no further than planned"),
        # 1 - sqrt(0.2 * 0.1) = 85.9 %; from 80 to 85.9 % nothing more.
        pytest.param([True, True, False], 0.8586, id="back half-way in density from the first beyond"),
        pytest.param([True, False], 0.6838, id="without the steps that were planned behind it"),
        pytest.param([True, True, False, True], None, id="once, whatever came of it"),
        pytest.param([True, True, False, False], None, id="once, also where that is beyond"),
        # 1 - sqrt(0.9 * 0.5): what the network had before is where the way begins.
        pytest.param([False], 0.3292, id="back to where the network stood"),
        # 1 - sqrt(0.6708 * 0.5), or 1 - sqrt(0.9 * 0.6708); three steps were planned.
        pytest.param([False, True], 0.4209, id="and on below a first step beyond, where one is within"),
        pytest.param([False, False], 0.2230, id="and further back, where none is"),
        pytest.param([False, True, True], None, id="for as many steps as were planned"),
    ],
)
def test_the_step_that_is_taken_next(within: list[bool], expected: float | None) -> None:
    assert find_next_sparsity(PLANNED, within, 0.1) == (None if expected is None else pytest.approx(expected, abs=1e-4))


@given(st.lists(st.booleans(), max_size=30), st.floats(0, 0.4))
def test_a_search_by_steps_ends_and_stays_between_its_ends(endings: list[bool], start: float) -> None:
    within: list[bool] = []
    for ending in endings:
        sparsity = find_next_sparsity(PLANNED, within, start)
        if sparsity is None:
            break
        assert start < sparsity <= PLANNED[-1]
        within.append(ending)
    assert len(within) <= len(PLANNED) + 1
