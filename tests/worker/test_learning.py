"""Whether a training learns is judged by its epochs: these are made up."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from worker.learning import (
    CONFIDENCE,
    GENTLER,
    MAX_RATES,
    Attempt,
    EpochRecord,
    History,
    Outcome,
    Terms,
    Trouble,
    choose_attempt,
    choose_next_rate,
    describe_guessing,
    is_last_attempt,
    is_rate_to_blame,
    judge_attempt,
    judge_epoch,
    read_outcome,
)

GUESS = math.log(10)
FROM_SCRATCH = Terms(num_examples=150, chance=0.1, start=0.1, guess_loss=GUESS, keeps_best=True)
FINE_TUNING = Terms(num_examples=150, chance=0.1, start=0.96, guess_loss=None, keeps_best=True)
PRUNED_MEANWHILE = Terms(num_examples=150, chance=0.1, start=0.96, guess_loss=None, keeps_best=False)


def make(*epochs: tuple[float, float]) -> list[EpochRecord]:
    """Epochs of (training loss, validation accuracy)."""
    return [
        EpochRecord(
            epoch=number,
            train_loss=loss,
            train_accuracy=accuracy,
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=0.1,
            seconds=1.0,
        )
        for number, (loss, accuracy) in enumerate(epochs, 1)
    ]


@pytest.mark.parametrize(
    ("counts", "is_balanced", "expected"),
    [
        ([90, 10], False, (100, 0.9)),
        # The variance of (p + q) / 2 is p(1-p) * (1/90 + 1/10) / 4: that of a share of 36 pictures.
        ([90, 10], True, (36, 0.5)),
        ([50, 50], True, (100, 0.5)),
        ([0, 30, 30, 30], True, (90, 1 / 3)),
    ],
)
def test_what_guessing_is_worth_and_how_sure_that_is(
    counts: list[int], is_balanced: bool, expected: tuple[int, float]
) -> None:
    assert describe_guessing(counts, is_balanced=is_balanced) == expected


def test_an_epoch_is_judged_by_the_mean_over_the_classes_where_there_is_one() -> None:
    (record,) = make((0.5, 0.95))
    weighed = replace(record, balanced_validation_accuracy=0.5)
    assert (record.judged_accuracy, weighed.judged_accuracy) == (0.95, 0.5)
    history = History([weighed], best_epoch=1)
    assert history.kept_accuracy == 0.5
    knew = replace(FINE_TUNING, chance=0.5)
    assert (judge_epoch(record, knew), judge_epoch(weighed, knew)) == (None, Trouble.FORGOT)


def judge(epochs: list[EpochRecord], terms: Terms) -> Trouble | None:
    """As `fit` does: epoch by epoch, then the whole."""
    for record in epochs:
        trouble = judge_epoch(record, terms)
        if trouble is not None:
            return trouble
    accuracies = [record.validation_accuracy for record in epochs]
    return judge_attempt(epochs, max(accuracies) if terms.keeps_best else accuracies[-1], terms)


def test_an_epoch_that_ends_with_weights_that_are_no_numbers_is_no_result() -> None:
    (record,) = make((0.3, 0.0))
    assert judge_epoch(replace(record, validation_loss=math.nan), FROM_SCRATCH) is Trouble.NOT_FINITE


@pytest.mark.parametrize(
    ("terms", "epochs", "trouble"),
    [
        # lenet5 on digits as the README trains it: above guessing for an epoch, and all the way back.
        pytest.param(FROM_SCRATCH, [(2.30, 0.1), (1.8, 0.2), (2.39, 0.38), (0.02, 0.98)], None, id="recovered"),
        pytest.param(FROM_SCRATCH, [(2.30, 0.2), (2.93, 0.2), (0.35, 0.85)], Trouble.UNSTABLE, id="not recovered"),
        pytest.param(FROM_SCRATCH, [(2.3, 0.1), (math.nan, 0.1)], Trouble.NOT_FINITE, id="not a number"),
        pytest.param(FROM_SCRATCH, [(2.31, 0.1), (2.31, 0.1)], Trouble.AT_CHANCE, id="dead"),
        pytest.param(FROM_SCRATCH, [(1.9, 0.17)], None, id="one epoch, more than guessing"),
        pytest.param(FROM_SCRATCH, [(3.0, 0.4), (0.9, 0.7), (0.5, 0.8)], None, id="above guessing at first only"),
        # Narrowing at 0.05, and the first rung of seed 1.
        pytest.param(FINE_TUNING, [(4.07, 0.1), (5.9, 0.1), (5.9, 0.1)], Trouble.FORGOT, id="forgot"),
        pytest.param(PRUNED_MEANWHILE, [(0.76, 0.28), (4.8, 0.46), (2.1, 0.72)], Trouble.FORGOT, id="forgot, pruned"),
        pytest.param(FINE_TUNING, [(0.9, 0.7), (0.8, 0.75)], Trouble.WORSE_THAN_START, id="clearly worse"),
        pytest.param(FINE_TUNING, [(0.2, 0.94), (0.1, 0.95)], None, id="a picture or two worse"),
        pytest.param(PRUNED_MEANWHILE, [(0.3, 0.8), (0.3, 0.75)], None, id="what is pruned may lose"),
    ],
)
def test_what_is_wrong_with_a_training(
    terms: Terms, epochs: list[tuple[float, float]], trouble: Trouble | None
) -> None:
    assert judge(make(*epochs), terms) == trouble


def test_chance_is_what_guessing_the_largest_class_reaches_now_and_then() -> None:
    for num_examples, chance in ((150, 0.1), (5000, 0.1), (40, 0.5), (300, 0.9)):
        terms = Terms(num_examples=num_examples, chance=chance, start=chance, guess_loss=None, keeps_best=True)
        # Within a standard deviation it is chance, beyond four it is not.
        deviation = math.sqrt(chance * (1 - chance) / num_examples)
        assert terms.is_at_chance(chance + deviation)
        assert not terms.is_at_chance(min(1.0, chance + 4 * deviation))
    one_class = Terms(num_examples=20, chance=1.0, start=1.0, guess_loss=0.0, keeps_best=True)
    assert not one_class.is_at_chance(1.0)


def test_a_lucky_draw_of_weights_has_nothing_to_forget() -> None:
    terms = Terms(num_examples=150, chance=0.1, start=0.3, guess_loss=GUESS, keeps_best=True)
    assert judge(make((2.2, 0.11), (1.0, 0.6), (0.2, 0.9)), terms) is None


def test_what_knew_less_than_half_and_forgot_it_is_noticed_at_the_end() -> None:
    terms = Terms(num_examples=150, chance=0.1, start=0.4, guess_loss=None, keeps_best=True)
    assert judge(make((2.2, 0.15), (2.2, 0.2)), terms) is Trouble.FORGOT
    assert judge(make((2.2, 0.15), (2.2, 0.26)), terms) is Trouble.WORSE_THAN_START
    assert judge(make((2.2, 0.15), (1.0, 0.6)), terms) is None
    assert not terms.has_learned(0.2)
    assert choose_attempt([Attempt(0.1, 2, 0.2, Trouble.FORGOT)], terms) is None
    fresh = replace(terms, is_fresh=True, start=0.3)
    assert judge(make((2.2, 0.25), (2.1, 0.25)), fresh) is None


def test_a_network_that_is_only_slow_is_not_trained_at_a_gentler_rate() -> None:
    slow = make((2.302, 0.1), (2.301, 0.1))
    assert not is_rate_to_blame(slow, Trouble.AT_CHANCE, FROM_SCRATCH)
    assert not is_rate_to_blame(make((2.3, 0.1)), Trouble.AT_CHANCE, FROM_SCRATCH)
    assert is_rate_to_blame(make((2.31, 0.1), (2.31, 0.1)), Trouble.AT_CHANCE, FROM_SCRATCH)
    assert is_rate_to_blame(slow, Trouble.FORGOT, FINE_TUNING)


def test_each_rate_is_gentler_and_the_work_is_bounded() -> None:
    attempts = [Attempt(0.1, 12, 0.8, Trouble.UNSTABLE)]
    while (rate := choose_next_rate(attempts)) is not None:
        assert rate == pytest.approx(attempts[-1].learning_rate * GENTLER)
        assert not is_last_attempt(attempts)
        attempts.append(Attempt(rate, 12, 0.8, Trouble.UNSTABLE))
    assert len(attempts) == MAX_RATES


def test_where_every_rate_forgets_the_one_that_went_furthest_is_run_to_its_end() -> None:
    attempts = [
        Attempt(0.16, 2, 0.4, Trouble.FORGOT, ended=False),
        Attempt(0.04, 3, 0.5, Trouble.FORGOT, ended=False),
        Attempt(0.01, 1, 0.3, Trouble.FORGOT, ended=False),
    ]
    assert choose_next_rate(attempts) == 0.04
    assert is_last_attempt(attempts)
    assert choose_next_rate([*attempts, Attempt(0.04, 6, 0.5, Trouble.FORGOT)]) is None


def test_a_rate_at_which_nothing_is_finite_does_not_keep_one_that_forgets_from_its_end() -> None:
    """Of what is pruned meanwhile nothing else would be left, and the job would end as diverged."""
    too_high = Attempt(0.16, 3, 0.5, Trouble.NOT_FINITE, ended=False)
    forgot = [
        Attempt(0.04, 2, 0.5, Trouble.FORGOT, ended=False),
        Attempt(0.01, 1, 0.3, Trouble.FORGOT, ended=False),
    ]
    assert choose_next_rate([too_high, *forgot]) == 0.04
    assert choose_next_rate([too_high] * MAX_RATES) is None


@pytest.mark.parametrize(
    ("terms", "attempts", "kept"),
    [
        pytest.param(
            FROM_SCRATCH, [Attempt(0.1, 9, 0.99, Trouble.UNSTABLE), Attempt(0.025, 9, 0.97)], 1, id="the untroubled one"
        ),
        pytest.param(
            FROM_SCRATCH,
            [Attempt(0.1, 9, 0.95, Trouble.UNSTABLE), Attempt(0.025, 9, 0.6)],
            0,
            id="but where another is clearly more accurate",
        ),
        pytest.param(
            FROM_SCRATCH,
            [Attempt(0.1, 9, 0.8, Trouble.UNSTABLE), Attempt(0.025, 9, 0.1, Trouble.AT_CHANCE)],
            0,
            id="else the most accurate",
        ),
        pytest.param(
            FINE_TUNING,
            [Attempt(0.1, 1, 0.1, Trouble.FORGOT, ended=False), Attempt(0.025, 1, None, Trouble.NOT_FINITE)],
            None,
            id="else what it began with",
        ),
        pytest.param(
            PRUNED_MEANWHILE,
            [Attempt(0.1, 1, 0.4, Trouble.FORGOT, ended=False), Attempt(0.1, 6, 0.2, Trouble.FORGOT)],
            1,
            id="what is pruned meanwhile has to be done",
        ),
    ],
)
def test_the_attempt_that_is_kept(terms: Terms, attempts: list[Attempt], kept: int | None) -> None:
    assert choose_attempt(attempts, terms) == kept


def test_an_outcome_survives_being_stored() -> None:
    attempts = (Attempt(0.1, 3, None, Trouble.NOT_FINITE, ended=False), Attempt(0.025, 12, 0.95))
    outcome = Outcome(attempts, 1, True, 0.1, 0.1)
    stored = outcome.to_json()
    assert read_outcome(stored) == outcome
    assert type(stored["attempts"][0]["reason"]) is str


@given(st.integers(1, 20_000), st.floats(0.001, 0.999))
def test_guessing_ends_where_scipy_says(num_examples: int, chance: float) -> None:
    terms = replace(FROM_SCRATCH, num_examples=num_examples, chance=chance)
    most = int(binom.ppf(CONFIDENCE, num_examples, chance))
    for num_correct in (most - 1, most, most + 1):
        probability = binom.cdf(num_correct - 1, num_examples, chance)
        if 0 <= num_correct <= num_examples and abs(probability - CONFIDENCE) > 1e-6:
            assert terms.is_at_chance(num_correct / num_examples) == (probability < CONFIDENCE)
