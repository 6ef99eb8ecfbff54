"""What a job of many parts says of itself, with durations that are made up."""

from __future__ import annotations

import pytest

from worker.catalog import Effort
from worker.core.compression.plan import PLANS
from worker.core.compression.timetable import plan_time
from worker.timetable import FILE, TRAINING, VIEWS, Part, Timetable

SECONDS = {FILE: 60.0, TRAINING: 2.0, VIEWS: 0.5}
"""A busy machine, on which what is not training takes long: seconds for a weight of 1."""


def test_the_time_left_holds_the_parts_that_follow() -> None:
    timetable = Timetable([Part("training", TRAINING, 10), Part("files", FILE, 5), Part("more files", FILE, 5)])
    assert timetable.estimate_remaining("training") is None
    # Nothing is known but the training's own pace.
    assert timetable.estimate_remaining("training", 0.5, 10.0) == pytest.approx(10 + 20)
    timetable.observe(FILE, 1, 60)
    # Its last batch: ten minutes of files are left, and told.
    assert timetable.estimate_remaining("training", 1.0, 0.0) == pytest.approx(600)
    assert timetable.estimate_remaining("more files", 0.5) == pytest.approx(150)


@pytest.mark.parametrize("effort", list(Effort))
@pytest.mark.parametrize("has_controls", [False, True])
def test_percent_moves_and_the_time_left_is_true_through_every_part(effort: Effort, has_controls: bool) -> None:
    timetable = plan_time(PLANS[effort], num_views=18, has_controls=has_controls)
    parts = list(timetable.parts.values())
    left = sum(part.weight * SECONDS[part.kind] for part in parts)
    percents = []
    for part in parts:
        for share in (0.0, 0.25, 0.5, 0.75):
            percents.append(timetable.compute_percent(part.name, share))
            seen = set(timetable.observed)
            if seen == set(SECONDS) or {one.kind for one in parts[parts.index(part) :]} <= seen:
                told = timetable.estimate_remaining(part.name, share)
                assert told == pytest.approx(left)
            left -= part.weight * SECONDS[part.kind] / 4
            timetable.observe(part.kind, part.weight / 4, part.weight / 4 * SECONDS[part.kind])
    assert percents == sorted(set(percents))
    assert percents[0] > 0
    assert percents[-1] < 100


def test_what_is_passed_over_is_not_waited_for() -> None:
    timetable = Timetable([Part("first", TRAINING, 1), Part("second", TRAINING, 8), Part("files", FILE, 2)])
    timetable.observe(TRAINING, 1, 4)
    assert timetable.estimate_remaining("files") == pytest.approx(8)
