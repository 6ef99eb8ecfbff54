"""Where `compress` endings_so_far, decided on made-up endings of its rungs."""

from __future__ import annotations

import itertools

import pytest

from worker.catalog import Effort
from worker.compression_plan import PLANS, CompressionPlan, QatStage
from worker.core.compression.stage_search import NARROWED, StageEnding, find_next_stage

PLAN = CompressionPlan(
    narrow_epochs=1,
    stages=(
        QatStage(0.5, 1, 0.1),
        QatStage(0.8, 1, 0.1),
        QatStage(0.9, 1, 0.1, is_plain=True),
        QatStage(0.98, 1, 0.1, is_plain=True),
        QatStage(0.99, 1, 0.1, is_plain=True),
    ),
    refinements=2,
)  # fmt: skip
# What a rung ends with: learned, is_good, is_within, is_hopeless.
ENDINGS = {
    "good": (True, True, True, False),
    "missed": (True, False, True, False),
    "beyond": (True, False, False, False),
    "hopeless": (True, False, False, True),
    "forgot": (False, False, False, True),
}


def walk(plan: CompressionPlan, *endings: str) -> list[tuple[float, int]]:
    """Sparsity (percent) and start of every rung that is climbed, where they end so; the last ending goes on."""
    endings_so_far: list[StageEnding] = []
    found = []
    while (step := find_next_stage(plan, endings_so_far)) is not None:
        found.append((round(100 * step.stage.sparsity, 1), step.start))
        endings_so_far.append(StageEnding(step.stage, *ENDINGS[endings[min(len(endings_so_far), len(endings) - 1)]]))
        assert len(endings_so_far) < 50
    return found


@pytest.mark.parametrize(
    ("endings", "expected"),
    [
        pytest.param(["good"], [(50, NARROWED), (80, 0), (90, 1), (98, 2), (99, 3)], id="to the top while all is well"),
        pytest.param(
            # 1 - sqrt(0.1 * 0.02) = 95.5 %; then from 90 to 95.5 %: 1 - sqrt(0.1 * 0.0447) = 93.3 %.
            ["good", "good", "good", "missed"],
            [(50, NARROWED), (80, 0), (90, 1), (98, 2), (95.5, 2), (93.3, 2)],
            id="back half-way from the first beyond, twice from the same weights",
        ),
        pytest.param(
            # From 95.5 to 98 %: 1 - sqrt(0.0447 * 0.02) = 97.0 %.
            ["good", "good", "good", "missed", "good"],
            [(50, NARROWED), (80, 0), (90, 1), (98, 2), (95.5, 2), (97.0, 4)],
            id="and on from the one between where that was good",
        ),
        pytest.param(
            ["good", "good", "good", "hopeless", "forgot"],
            [(50, NARROWED), (80, 0), (90, 1), (98, 2), (95.5, 2), (93.3, 2)],
            id="however far beyond it went",
        ),
        pytest.param(
            ["good", "good", "good", "forgot", "good"],
            [(50, NARROWED), (80, 0), (90, 1), (98, 2), (95.5, 2), (97.0, 4)],
            id="even where it forgot everything",
        ),
        pytest.param(
            ["missed", "missed", "good", "good", "good"],
            [(50, NARROWED), (80, 0), (90, 1), (98, 2), (99, 3)],
            id="on from a miss on changed pictures, which plain ones may bring back",
        ),
        pytest.param(
            ["good", "hopeless"],
            [(50, NARROWED), (80, 0)],
            id="no further from a hopeless one where one before is good",
        ),
        pytest.param(
            # 1 - sqrt(1 * 0.5) = 29.3 %, 1 - sqrt(1 * 0.7071) = 15.9 %, 1 - sqrt(0.8409) = 8.3 %: the second on plain
            # pictures ends it.
            ["hopeless"],
            [(50, NARROWED), (29.3, NARROWED), (15.9, NARROWED), (8.3, NARROWED)],
            id="anew for less where the first is hopeless",
        ),
        pytest.param(
            # From 29.3 to 50 %: 1 - sqrt(0.7071 * 0.5) = 40.5 %.
            ["hopeless", "good", "missed"],
            [(50, NARROWED), (29.3, NARROWED), (40.5, 1), (35.2, 1), (32.3, 1)],
            id="and on from there, never as far as what was hopeless",
        ),
        pytest.param(
            ["beyond", "beyond", "good", "good", "good"],
            [(50, NARROWED), (50, 0), (50, 1), (98, 2), (99, 3)],
            id="on as sparse as it is from what is beyond the drop",
        ),
        pytest.param(
            ["missed"], [(50, NARROWED), (80, 0), (90, 1), (98, 2)], id="no further after two misses on plain pictures"
        ),
        pytest.param(
            ["forgot", "good", "good", "good", "good"],
            [(50, NARROWED), (80, NARROWED), (90, 1), (98, 2), (99, 3)],
            id="what forgot everything is nobody's ancestor",
        ),
    ],
)
def test_which_rungs_are_climbed_and_from_where(endings: list[str], expected: list[tuple[float, int]]) -> None:
    assert walk(PLAN, *endings) == expected


@pytest.mark.parametrize(
    ("endings", "expected"),
    [
        # 1 - sqrt(0.2) = 55.3 %; from there to 80 %: 1 - sqrt(0.447 * 0.2) = 70.1 %.
        (["hopeless", "good"], [(80, NARROWED), (55.3, NARROWED), (70.1, 1)]),
        (["hopeless", "good", "missed"], [(80, NARROWED), (55.3, NARROWED), (70.1, 1)]),
        (["hopeless", "missed"], [(80, NARROWED), (55.3, NARROWED)]),
        (["beyond", "good"], [(80, NARROWED), (80, 0)]),
        (["good", "good"], [(80, NARROWED), (87, 0)]),
        # From 80 to 87 %: 1 - sqrt(0.2 * 0.13) = 83.9 %.
        (["good", "missed"], [(80, NARROWED), (87, 0), (83.9, 0)]),
    ],
)
def test_a_short_plan_that_began_anew_looks_once_more_below_what_was_too_far(
    endings: list[str], expected: list[tuple[float, int]]
) -> None:
    assert walk(PLANS[Effort.QUICK], *endings) == expected


@pytest.mark.parametrize("plan", PLANS.values(), ids=[str(effort) for effort in PLANS])
@pytest.mark.parametrize("ending", list(ENDINGS))
def test_no_plan_endings_so_far_more_rungs_than_its_progress_bar_has(plan: CompressionPlan, ending: str) -> None:
    assert 1 <= len(walk(plan, ending)) <= len(plan.stages)
    for number in range(len(plan.stages)):
        assert len(walk(plan, *["good"] * number, ending)) <= len(plan.stages) + plan.refinements


@pytest.mark.parametrize("effort", [Effort.QUICK, Effort.STANDARD])
def test_whatever_stages_end_with_none_is_trained_twice_and_none_begins_with_what_is_lost(effort: Effort) -> None:
    plan = PLANS[effort]
    for endings in itertools.product(ENDINGS, repeat=len(plan.stages) + plan.refinements):
        so_far: list[StageEnding] = []
        asked = []
        while (step := find_next_stage(plan, so_far)) is not None:
            asked.append((step.stage, step.start))
            assert step.start == NARROWED or so_far[step.start].learned
            so_far.append(StageEnding(step.stage, *ENDINGS[endings[len(so_far)]]))
        assert len(set(asked)) == len(asked)
