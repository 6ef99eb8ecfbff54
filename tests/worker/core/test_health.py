"""A network that does not answer is not praised, however small it is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import nn

from worker.catalog import HealthProblem
from worker.core.health import CERTAINTY, describe_problems, find_dead_layers, is_chance, judge_health
from worker.core.measure import measure_metrics
from worker.core.models import build_model
from worker.core.training import Evaluation, evaluate_logits, find_right
from worker.datasets import Dataset

EVEN = (36,) * 10
ONE_CLASS, CHANCE, DEAD_LAYER, NOT_FINITE = HealthProblem


@pytest.mark.parametrize(
    ("answered", "labelled", "num_correct", "problems"),
    [
        (EVEN, EVEN, 340, []),
        # The network: one answer to everything, 10 %, "drop 0.0, within".
        ((0, 0, 360, 0, 0, 0, 0, 0, 0, 0), EVEN, 36, [ONE_CLASS, CHANCE]),
        ((0, 0, 350, 10, 0, 0, 0, 0, 0, 0), EVEN, 46, [ONE_CLASS, CHANCE]),
        # 47 of 360 are more than chance gives in one of 20 trials (scipy.stats.binom.sf(46, 360, 0.1) = 0.037).
        ((0, 0, 350, 10, 0, 0, 0, 0, 0, 0), EVEN, 47, [ONE_CLASS]),
        (EVEN, EVEN, 36, [CHANCE]),
        (EVEN, EVEN, 0, [CHANCE]),
        # 96 of 100 pictures are of one class: to answer it 96 times is no fault, to answer nothing else is.
        ((96, 4), (96, 4), 100, []),
        ((100, 0), (96, 4), 96, [ONE_CLASS, CHANCE]),
        # Nine in ten are of one class; whoever finds four in ten of the others, and errs on none, is no alarm.
        ((960, 40), (900, 100), 940, []),
        # But one who finds hardly any is.
        ((995, 5), (900, 100), 905, [ONE_CLASS, CHANCE]),
        ((980, 20), (900, 100), 918, [ONE_CLASS]),
    ],
)
def test_a_network_is_judged_by_what_it_answers(
    answered: Sequence[int], labelled: Sequence[int], num_correct: int, problems: list[HealthProblem]
) -> None:
    health = judge_health(answered, labelled, num_correct)
    assert list(health.problems) == problems
    names = [str(label) for label in range(len(labelled))]
    assert len(describe_problems(health, names)) == len(problems)


def test_of_many_dead_layers_a_sentence_names_the_first() -> None:
    names = [f"block{number}" for number in range(50)]
    (said,) = describe_problems(judge_health([5, 5], [5, 5], 10, names), ("a", "b"))
    assert "50" in said
    assert all(name in said for name in names[:3])
    assert not any(name in said for name in names[10:])


def test_dead_layers_and_answers_that_are_no_numbers_are_problems_of_their_own() -> None:
    health = judge_health(EVEN, EVEN, 340, ["conv1", "conv2"], 7)
    assert health.problems == (DEAD_LAYER, NOT_FINITE)
    assert (health.to_json()["dead_layers"], health.to_json()["num_not_finite"]) == (["conv1", "conv2"], 7)


def test_more_pictures_tell_smaller_differences_from_chance() -> None:
    assert is_chance(12, 100, 0.1)
    assert not is_chance(1200, 10_000, 0.1)
    assert is_chance(100, 100, 1.0)


@given(st.integers(1, 20_000), st.floats(0.001, 1.0))
def test_chance_ends_where_scipy_says(num_examples: int, largest: float) -> None:
    first = int(binom.isf(CERTAINTY, num_examples, largest)) + 1  # P(X >= first) <= CERTAINTY: nearest to the edge
    for num_correct in (first - 2, first - 1, first, first + 1):
        probability = binom.sf(num_correct - 1, num_examples, largest)
        if 0 <= num_correct <= num_examples and abs(probability - CERTAINTY) > 1e-6:
            assert is_chance(num_correct, num_examples, largest) == (probability >= CERTAINTY)


def test_a_layer_wholly_zero_is_dead_and_so_is_all_behind_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(32, 4)
    assert find_dead_layers(model, x) == ()
    nn.init.zeros_(model.get_parameter("2.weight"))
    assert find_dead_layers(model, x) == ("2", "4")
    assert not any(module._forward_hooks for module in model.modules())


def test_channels_that_never_fire_let_nothing_pass() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    nn.init.constant_(model.get_parameter("0.bias"), -1000.0)
    # The first layer's output differs from picture to picture, but no picture makes it fire.
    assert find_dead_layers(model, torch.randn(32, 4)) == ("2",)


def test_an_answer_that_is_no_number_is_never_right(digits: Dataset) -> None:
    # argmax of NaN is 0: who answers nothing would be right on every picture of class 0.
    logits = torch.full((len(digits.test), 10), float("nan"))
    assert int(find_right(logits, digits.test).sum()) == 0
    assert evaluate_logits(logits, digits.test).num_correct == 0
    assert isinstance(evaluate_logits(logits, digits.test), Evaluation)


def test_metrics_keep_which_pictures_are_right_and_how_sound_the_network_is(digits: Dataset) -> None:
    torch.manual_seed(0)
    model = build_model("mlp", (8,)).eval()
    metrics = measure_metrics(model, digits)
    kept = metrics.correctness["test"]
    with torch.no_grad():
        predicted = model(digits.normalize(digits.test.images)).argmax(1)
    right = [bool(kept.right >> place & 1) for place in range(len(digits.test))]
    assert right == (predicted == digits.test.labels).tolist()
    assert kept.num_correct == metrics.test.num_correct
    assert metrics.correctness["validation"].num_correct == metrics.validation.num_correct
    assert kept.pictures != metrics.correctness["validation"].pictures
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias[3:4], 1.0)
    problems = set(measure_metrics(model, digits).health.problems)
    assert problems == {ONE_CLASS, CHANCE, DEAD_LAYER}
    nn.init.constant_(last.bias, float("inf"))
    metrics = measure_metrics(model, digits)
    assert NOT_FINITE in metrics.health.problems
    assert metrics.health.num_not_finite == len(digits.validation) + len(digits.test)
    assert metrics.to_json()["test"]["loss"] is None
