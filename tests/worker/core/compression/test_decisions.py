"""What a compression decides between its trainings, on made-up candidates: no network is trained here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from tests.worker.core.compression.test_candidates import make
from worker.compression_plan import QatStage
from worker.core.compression.candidates import Candidate, is_good
from worker.core.compression.pipeline import list_warnings
from worker.core.compression.plain import may_be_smaller
from worker.core.compression.qat import TrainedStage, choose_start, find_ancestry, is_rounding_worthwhile
from worker.core.compression.reserve import Reserve
from worker.core.compression.rounding import FIRST_FACTOR, find_next_lambda
from worker.core.compression.stage_search import NARROWED
from worker.core.compression.task import StageSparsity
from worker.core.pruning.difference import Difference

ENOUGH, TOO_FEW = Reserve(5000, 1.0), Reserve(150, 1.0)


def train(
    number: int,
    sparsity: float,
    drop: float,
    *,
    start: int = NARROWED,
    learned: bool = True,
    reached: float | None = None,
) -> TrainedStage:
    stage = f"rung-{number}"
    weights = StageSparsity(stage, "weights", sparsity, sparsity if reached is None else reached, None)
    candidate = replace(make(1000 - number, drop), stage=stage)
    return TrainedStage(nn.Identity(), candidate, QatStage(sparsity, 1, 0.1), weights, learned, start)


def calibrate(drop: float = 0.0) -> TrainedStage:
    return TrainedStage(nn.Identity(), replace(make(9000, drop), stage="calibrated", is_plain=True))


@pytest.mark.parametrize(
    ("candidate", "reserve", "expected"),
    [
        pytest.param(make(1, 0.5), ENOUGH, True, id="with the margin"),
        pytest.param(make(1, 0.9), ENOUGH, False, id="not without, where one can be had"),
        pytest.param(make(1, 0.9), TOO_FEW, True, id="but within the drop where none can"),
        pytest.param(make(1, 1.1), TOO_FEW, False, id="never beyond the drop"),
        pytest.param(replace(make(1, 0.0), problems=("one_class",)), ENOUGH, False, id="not what knows one class"),
        pytest.param(replace(make(1, 0.0), problems=("not_finite",)), TOO_FEW, False, id="nor what answers no number"),
        pytest.param(replace(make(1, 0.0), problems=("dead_layer",)), ENOUGH, False, id="nor what lets nothing pass"),
        pytest.param(
            replace(make(1, 0.0), problems=("dead_layer",), baseline_problems=("dead_layer",)),
            ENOUGH,
            True,
            id="unless the baseline lets nothing pass there either",
        ),
    ],
)
def test_from_what_a_search_may_go_on(candidate: Candidate, reserve: Reserve, *, expected: bool) -> None:
    assert is_good(candidate, reserve) == expected


def test_rounding_starts_from_the_sparsest_network_that_leaves_room() -> None:
    first, second, third = calibrate(), train(0, 0.8, 0.2), train(1, 0.9, 0.6)
    beyond, forgot = train(2, 0.95, 0.9), train(3, 0.99, 0.1, learned=False)
    assert choose_start([first, second, third, beyond, forgot], ENOUGH) is third
    assert choose_start([first, beyond], ENOUGH) is first
    assert choose_start([calibrate(5.0), beyond], ENOUGH).stage is None


def test_what_needs_no_training_is_rounded_only_where_no_trained_file_is_within_the_drop() -> None:
    start, within, beyond = calibrate(), train(0, 0.8, 0.9), train(0, 0.8, 1.5)
    assert is_rounding_worthwhile([start, beyond], start, ENOUGH)
    assert not is_rounding_worthwhile([start, within], start, ENOUGH)
    good = train(0, 0.8, 0.1)
    assert is_rounding_worthwhile([start, good], good, ENOUGH)
    worse = calibrate(0.9)
    assert not is_rounding_worthwhile([worse, beyond], worse, ENOUGH)


def test_a_file_has_those_stages_behind_it_that_its_weights_came_through() -> None:
    first, second, third = calibrate(), train(0, 0.8, 0.2), train(1, 0.9, 0.3, start=0)
    too_far, forgot = train(2, 0.98, 3.0, start=1), train(3, 0.93, 3.0, start=1, learned=False)
    between = train(4, 0.95, 0.5, start=1)
    trained = [first, second, third, too_far, forgot, between]
    rounded = replace(make(500, 0.6), stage="rounded-1", rd_lambda=1e-6)
    assert find_ancestry(rounded, trained, between) == (second, third, between)
    assert find_ancestry(third.candidate, trained, between) == (second, third)
    assert find_ancestry(forgot.candidate, trained, between) == (second, third, forgot)
    assert find_ancestry(first.candidate, trained, between) == ()


def test_who_was_left_behind_by_a_new_beginning_is_nobodys_ancestor() -> None:
    """However few zeros it has: the stages after it began with other weights."""
    first, hopeless, missed, again = calibrate(), train(0, 0.8, 4.0), train(1, 0.55, 0.9), train(2, 0.7, 4.0, start=1)
    anew, last = train(3, 0.6, 0.2), train(4, 0.65, 0.4, start=3)
    trained = [first, hopeless, missed, again, anew, last]
    assert find_ancestry(last.candidate, trained, last) == (anew, last)
    assert find_ancestry(again.candidate, trained, last) == (missed, again)


def test_the_trade_off_grows_until_it_is_too_much_then_closes_in() -> None:
    assert find_next_lambda(1.0, []) == 1.0
    assert find_next_lambda(1.0, [(1.0, True)]) == FIRST_FACTOR
    assert find_next_lambda(1.0, [(1.0, False)]) == 1 / FIRST_FACTOR
    assert find_next_lambda(1.0, [(1.0, True), (4.0, False)]) == 2.0
    assert find_next_lambda(1.0, [(1.0, True), (9.0, False), (3.0, True)]) == pytest.approx(27**0.5)
    assert find_next_lambda(1.0, [(1.0, False), (0.25, True)]) == 0.5


def test_a_wider_file_is_tried_only_where_it_may_be_smaller() -> None:
    assert may_be_smaller(make(1000, 5.0), make(9000, 0.5))
    assert not may_be_smaller(make(10_000, 0.0), make(9000, 0.5))
    assert may_be_smaller(make(10_000, 0.0), make(9000, 1.5))


@pytest.mark.parametrize(
    ("chosen", "reserve", "count"),
    [(make(1, 0.5), ENOUGH, 0), (make(1, 0.9), ENOUGH, 1), (make(1, 0.5), TOO_FEW, 1), (make(1, 1.5), ENOUGH, 1)],
)
def test_an_answer_without_its_margin_is_told(chosen: Candidate, reserve: Reserve, count: int) -> None:
    assert len(list_warnings(chosen, reserve, [])) == count


def test_a_stage_that_did_not_reach_what_it_was_asked_for_is_told() -> None:
    reached = StageSparsity("narrowing", "channels", 0.6, 0.6, None)
    short = replace(reached, reached_sparsity=0.2, difference=Difference.LAYERS_AT_LEAST)
    (warning,) = list_warnings(make(1, 0.5), ENOUGH, [reached, short])
    assert "60.00" in warning
    assert "20.00" in warning
