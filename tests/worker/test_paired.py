"""Two models on the same pictures. The issue's figures: 10 of 360 pictures only float gets right, none the reverse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from worker.intervals import compute_wilson_interval
from worker.paired import (
    SIGNIFICANCE,
    Basis,
    Correctness,
    compute_difference,
    compute_mcnemar_p,
    compute_paired_interval,
    compute_unpaired_interval,
    read_correctness,
)
from worker.report.analysis.results import Measured


def measure(num_correct: int, num_examples: int, correctness: Correctness | None = None) -> Measured:
    return Measured(num_correct, num_examples, 0.0, compute_wilson_interval(num_correct, num_examples), correctness)


def score(right: int, num_examples: int = 360, pictures: str = "digits") -> Measured:
    return measure(right.bit_count(), num_examples, Correctness(pictures, num_examples, right))


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_mcnemars_p_is_that_of_the_exact_binomial_test(only_one: int, only_other: int) -> None:
    expected = binomtest(only_one, only_one + only_other).pvalue if only_one + only_other else 1.0
    assert compute_mcnemar_p(only_one, only_other) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_loss_that_two_bits_hid_is_seen() -> None:
    everything = (1 << 350) - 1
    difference = compute_difference(score(everything >> 10), score(everything))
    assert (difference.only_one, difference.only_other) == (0, 10)
    assert difference.p_value == pytest.approx(0.002, abs=5e-5)
    assert (100 * difference.low, 100 * difference.high) == pytest.approx((-4.48, -1.08), abs=5e-3)
    assert difference.basis is Basis.PAIRED
    assert difference.is_distinguishable
    # The same two counts without the pictures: they hide it, and the answer says what it rests on.
    blind = compute_difference(measure(340, 360), measure(350, 360))
    assert (blind.basis, blind.is_distinguishable, blind.p_value) == (Basis.NOT_RECORDED, False, None)


def test_models_asked_about_other_pictures_are_not_paired() -> None:
    one, other = score(0b1111, 360, "one split"), score(0b0001, 360, "another split")
    assert compute_difference(one, other).basis is Basis.OTHER_PICTURES
    assert compute_difference(one, score(0b1, 300)).basis is Basis.OTHER_PICTURES


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.just(n), *[st.integers(0, 2**n - 1)] * 2)))
def test_a_difference_turned_round_is_its_mirror_and_holds_the_counted_one(drawn: tuple[int, int, int]) -> None:
    num_examples, first, second = drawn
    there = compute_difference(score(first, num_examples), score(second, num_examples))
    back = compute_difference(score(second, num_examples), score(first, num_examples))
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.p_value == back.p_value
    assert there.low - 1e-12 <= there.value <= there.high + 1e-12
    assert there.value == pytest.approx((first.bit_count() - second.bit_count()) / num_examples)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(120, 5000))
def test_the_interval_and_the_exact_test_are_of_one_mind(only_one: int, only_other: int, num_examples: int) -> None:
    low, high = compute_paired_interval(only_one, only_other, num_examples)
    assert (low > 0 or high < 0) == (compute_mcnemar_p(only_one, only_other) < SIGNIFICANCE)


def test_four_pictures_to_none_of_150_prove_nothing() -> None:
    low, high = compute_paired_interval(4, 0, 150)
    assert low < 0 < 4 / 150 < high
    assert compute_mcnemar_p(4, 0) == 0.125
    # Nor do none to none prove that the two are alike: that is the rule of three, nearly.
    assert compute_paired_interval(0, 0, 150) == pytest.approx((-0.0243, 0.0243), abs=1e-4)


def test_who_alone_gets_every_picture_right_is_not_known_to_the_last_bit() -> None:
    low, high = compute_paired_interval(1000, 0, 1000)
    assert 0.98 < low < high == 1


def test_the_interval_covers_as_often_as_it_says() -> None:
    # Of 150 pictures 3 % are lost and 1 % is won: the share of all outcomes whose interval holds the true 2 points.
    num_examples, lost, won = 150, 0.03, 0.01
    covered = 0.0
    for one in range(31):
        for other in range(16):
            low, high = compute_paired_interval(one, other, num_examples)
            if low <= lost - won <= high:
                chance = binom.pmf(one, num_examples, lost)
                covered += chance * binom.pmf(other, num_examples - one, won / (1 - lost))
    assert covered >= 0.95


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**n - 1))))
def test_what_was_right_comes_back_from_json(drawn: tuple[int, int]) -> None:
    num_examples, right = drawn
    kept = Correctness("digest", num_examples, right)
    stored = json.loads(json.dumps({"test": kept.to_json()}))
    assert read_correctness(stored, "test") == kept
    assert kept.num_correct == right.bit_count()
    assert read_correctness(stored, "validation") is None
    assert read_correctness(None, "test") is None


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10, contrasts (a), (c) and (g).
    [((56, 70), (48, 80), 0.0524, 0.3339), ((6, 7), (2, 7), 0.0582, 0.8062), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_the_interval_of_independent_counts_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    assert compute_unpaired_interval(measure(*one), measure(*other)) == pytest.approx((low, high), abs=5e-5)
