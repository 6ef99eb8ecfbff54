"""What a job of many parts says of itself, with durations that are made up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pytest

from worker.catalog import Effort
from worker.compression_plan import PLANS
from worker.compression_plan.parts import CONTROLS_FACTOR, compute_controls_factor, name_stage, plan_time
from worker.core.augmentation import count_views
from worker.jobs.compress import CompressSpec
from worker.jobs.study import Recipe, StudySpec
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


@pytest.mark.parametrize("effort", list(Effort))
def test_controls_are_planned_to_take_as_long_as_is_told(effort: Effort) -> None:
    plan = PLANS[effort]
    for num_views in (count_views(plan.max_shift) // 2, count_views(plan.max_shift)):  # of digits, of clothes
        seconds = [
            sum(part.weight for part in plan_time(plan, num_views=num_views, has_controls=has_controls).parts.values())
            for has_controls in (True, False)
        ]
        assert 1 < seconds[0] / seconds[1] <= compute_controls_factor(plan) + 1e-9 <= CONTROLS_FACTOR + 1e-9


@pytest.mark.parametrize(
    ("kinds", "num_stages"),
    [({TRAINING, FILE, VIEWS}, 99), ({TRAINING}, 99), ({TRAINING, FILE, VIEWS}, 1)],
    ids=["without refinements", "where all is training", "where the first stage is the last"],
)
def test_how_long_controls_take_at_worst_is_told_by_the_page(kinds: set[str], num_stages: int) -> None:
    factors = []
    for plan in PLANS.values():
        left_out = {name_stage(number) for number in range(min(num_stages, len(plan.stages)), 99)}
        with_controls, without = (
            sum(part.weight for name, part in parts.items() if part.kind in kinds and name not in left_out)
            for parts in (
                plan_time(plan, num_views=count_views(plan.max_shift) // 2, has_controls=has_controls).parts
                for has_controls in (True, False)
            )
        )
        factors.append(with_controls / without)
    page = (Path(__file__).parents[2] / "docs" / "decisions" / "controls.md").read_text(encoding="utf-8")
    assert max(factors) > CONTROLS_FACTOR
    assert f"up to {math.ceil(10 * max(factors) - 1e-9) / 10}" in page


@pytest.mark.parametrize("effort", ["quick", "standard"])
def test_all_that_tell_how_long_controls_take_tell_the_same(effort: Literal["quick", "standard"]) -> None:
    specs = [StudySpec(effort=effort, file_controls=has_controls) for has_controls in (True, False)]
    expected = [Recipe(spec).build_main("mdl_0")["compress"].expected_s for spec in specs]
    assert expected[0] / expected[1] == pytest.approx(compute_controls_factor(PLANS[Effort(effort)]))
    told = f"{CONTROLS_FACTOR:.1f} times"
    page = (Path(__file__).parents[2] / "docs" / "decisions" / "controls.md").read_text(encoding="utf-8")
    for said in (
        CompressSpec.model_fields["controls"].description,
        StudySpec.model_fields["file_controls"].description,
        page,
    ):
        assert said is not None
        assert told in said
        assert "three to four" not in said


def test_what_is_passed_over_is_not_waited_for() -> None:
    timetable = Timetable([Part("first", TRAINING, 1), Part("second", TRAINING, 8), Part("files", FILE, 2)])
    timetable.observe(TRAINING, 1, 4)
    assert timetable.estimate_remaining("files") == pytest.approx(8)
