"""Whether a training learns: judged by its epochs alone, so that a test needs no network.

A rate that suits one network throws another about. What tells it: a loss that is not a number, a loss above that of
guessing, a network that forgets what it knew, an accuracy that guessing has too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from scipy.stats import norm

from worker.binomial import compute_lower_tail

MAX_RATES = 3
"""Learning rates that one training tries, each a quarter of the one before."""
GENTLER = 0.25
CONFIDENCE = 0.99
"""One-sided, of every bound in this module: a good training is called a failure once in a hundred at most."""
RECOVERED = 0.1
"""A training whose loss once was above guessing has recovered where it ends below so much of that loss."""


class Trouble(StrEnum):
    """Why an attempt at a training is no result to rely on."""

    NOT_FINITE = "loss_not_finite"
    FORGOT = "forgot_what_it_knew"
    """An epoch lost more than half of what the starting weights knew beyond guessing."""
    WORSE_THAN_START = "worse_than_start"
    AT_CHANCE = "at_chance"
    UNSTABLE = "loss_above_guessing"
    """The loss of an epoch after the first was above that of guessing, and the training did not recover."""


@dataclass(frozen=True)
class EpochRecord:
    """train_* are running means over the epoch's (augmented) batches; accuracies are fractions 0..1.

    balanced_validation_accuracy: the mean over the classes, where the training weighs them; None where it does not.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float
    balanced_validation_accuracy: float | None = None

    @property
    def judged_accuracy(self) -> float:
        """What the training is judged by: who weighs the classes gives some of the accuracy away on purpose."""
        balanced = self.balanced_validation_accuracy
        return self.validation_accuracy if balanced is None else balanced


@dataclass(frozen=True)
class Terms:
    """What a training is judged by. Accuracies are fractions on validation; the mean over the classes where the
    training weighs them.

    chance: what always answering the largest class is worth. start: accuracy of the weights that the training begins
    with. guess_loss: the training loss of a network that says "each class as likely"; None where the loss holds more
    than the labels.
    keeps_best: whether the best epoch counts, else the last one, of a network that is pruned meanwhile.
    is_fresh: the training begins with weights that were drawn by lot.
    """

    num_examples: int
    chance: float
    start: float
    guess_loss: float | None
    keeps_best: bool
    is_fresh: bool = False

    def is_at_chance(self, accuracy: float) -> bool:
        """Whether guessing the largest class gets so many pictures right once in a hundred times, or more often."""
        num_correct = round(accuracy * self.num_examples)
        return self.chance < 1 and compute_lower_tail(num_correct - 1, self.num_examples, self.chance) < CONFIDENCE

    @property
    def fall(self) -> float | None:
        """The accuracy below which a network has forgotten half of what it knew; None where it knew nothing.

        Fresh weights may beat the largest class by luck: that is nothing to forget.
        """
        return None if self.is_fresh or self.is_at_chance(self.start) else (self.start + self.chance) / 2

    def has_forgotten(self, accuracy: float) -> bool:
        """Whether it is below the fall."""
        return self.fall is not None and accuracy < self.fall

    def is_given_up(self, accuracy: float) -> bool:
        """Whether an epoch that ends so is the attempt's last. Who knew little may fall below that, and recover."""
        return self.start > (1 + self.chance) / 2 and self.has_forgotten(accuracy)

    def is_worse_than_start(self, accuracy: float) -> bool:
        """Whether it lies clearly below the accuracy of a start that knew something."""
        return self.fall is not None and self.is_clearly_below(accuracy, self.start)

    def is_clearly_below(self, accuracy: float, other: float) -> bool:
        """Whether chance does not explain how far one accuracy lies below another."""
        variance = (other * (1 - other) + accuracy * (1 - accuracy)) / self.num_examples
        return other - accuracy > float(norm.ppf(CONFIDENCE)) * math.sqrt(variance)

    def has_learned(self, accuracy: float) -> bool:
        """Whether a training that ends with this accuracy is a result."""
        if self.is_at_chance(accuracy) or self.has_forgotten(accuracy):
            return False
        return not (self.keeps_best and self.is_worse_than_start(accuracy))


@dataclass(frozen=True)
class Attempt:
    """One try at a training. best_validation_accuracy: of the epoch that counts, None without a finished epoch.

    reason: what was wrong with it. ended: whether it ran to its end.
    """

    learning_rate: float
    epochs: int
    best_validation_accuracy: float | None
    reason: Trouble | None = None
    ended: bool = True

    def to_json(self) -> dict[str, Any]:
        """As a result and a kept step hold it: no class of ours."""
        return asdict(self) | {"reason": None if self.reason is None else self.reason.value}


@dataclass(frozen=True)
class Outcome:
    """How a training went, attempt by attempt. kept: which of them the weights are of, None for those it began with.

    chance_accuracy: share of the largest class on validation.
    """

    attempts: tuple[Attempt, ...]
    kept: int | None
    learned: bool
    chance_accuracy: float
    start_accuracy: float

    @property
    def reason(self) -> Trouble | None:
        """What was wrong with the attempt that is kept; with the last one, where none is."""
        return self.attempts[-1 if self.kept is None else self.kept].reason

    @property
    def has_changed_rate(self) -> bool:
        """Whether more than one learning rate was tried."""
        return len({attempt.learning_rate for attempt in self.attempts}) > 1

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return asdict(self) | {"attempts": [attempt.to_json() for attempt in self.attempts]}


def read_outcome(stored: Mapping[str, Any]) -> Outcome:
    """The outcome that `to_json` wrote."""
    return Outcome(**{**stored, "attempts": tuple(map(read_attempt, stored["attempts"]))})


def read_attempt(stored: Mapping[str, Any]) -> Attempt:
    """The attempt that `to_json` wrote."""
    reason = stored["reason"]
    return Attempt(**{**stored, "reason": None if reason is None else Trouble(reason)})


@dataclass
class History:
    """What `fit` returns: one record per epoch of the attempt that is kept, and which epoch's weights the model holds.

    best_epoch is 0 where these are the weights that the training began with.
    """

    epochs: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    outcome: Outcome | None = None

    def to_json(self) -> list[dict[str, Any]]:
        """The records as dicts."""
        return [asdict(record) for record in self.epochs]

    def describe_outcome(self) -> dict[str, Any] | None:
        """How the attempts went, as a result holds it. None before the fit has ended."""
        return None if self.outcome is None else self.outcome.to_json()

    @property
    def kept_accuracy(self) -> float | None:
        """What the epoch that counts is judged by."""
        return self.epochs[self.best_epoch - 1].judged_accuracy if self.best_epoch else None


def describe_guessing(counts: Sequence[int], *, is_balanced: bool) -> tuple[int, float]:
    """Pictures that an accuracy is the share of, and what always answering the largest class is worth. counts: pictures
    of each class. is_balanced: of the mean over the classes, which spreads as a share of fewer pictures does.
    """
    present = [count for count in counts if count]
    if not is_balanced:
        return sum(present), max(present) / sum(present)
    # The variance of the mean of shares: 1 / classes² * sum of p(1-p) / count.
    return round(len(present) ** 2 / sum(1 / count for count in present)), 1 / len(present)


def judge_epoch(record: EpochRecord, terms: Terms) -> Trouble | None:
    """What ends an attempt at once, whatever the epochs left might bring."""
    if not (math.isfinite(record.train_loss) and math.isfinite(record.validation_loss)):
        return Trouble.NOT_FINITE
    return Trouble.FORGOT if terms.is_given_up(record.judged_accuracy) else None


def judge_attempt(records: Sequence[EpochRecord], accuracy: float, terms: Terms) -> Trouble | None:
    """What is wrong with an attempt that ran to its end. accuracy: of the epoch that counts."""
    if terms.is_at_chance(accuracy):
        return Trouble.AT_CHANCE
    if terms.has_forgotten(accuracy):
        return Trouble.FORGOT
    if terms.keeps_best and terms.is_worse_than_start(accuracy):
        return Trouble.WORSE_THAN_START
    guess = terms.guess_loss
    if guess is None or records[-1].train_loss <= RECOVERED * guess:
        return None
    # The first epoch of an untrained network may begin above guessing at any rate.
    return Trouble.UNSTABLE if any(record.train_loss > guess for record in records[1:]) else None


def is_rate_to_blame(records: Sequence[EpochRecord], trouble: Trouble, terms: Terms) -> bool:
    """Whether a gentler rate may help. A network that is only slow, its loss still falling, needs more steps."""
    if trouble is not Trouble.AT_CHANCE or terms.fall is not None:
        return True
    losses = [record.train_loss for record in records]
    if terms.guess_loss is not None and max(losses) > terms.guess_loss:
        return True
    return len(losses) > 1 and losses[-1] >= losses[0]


def choose_next_rate(attempts: Sequence[Attempt]) -> float | None:
    """The learning rate to try after these attempts, of which the last one was in trouble. None: try no more.

    Each rate is a quarter of the one before. Where all of them forgot, but for those too high to train at at all, the
    rate is not what makes the network forget: the one that went furthest is tried once more, to the end.
    """
    if len(attempts) < MAX_RATES:
        return attempts[-1].learning_rate * GENTLER
    trained = [attempt for attempt in attempts if attempt.reason is not Trouble.NOT_FINITE]
    if len(attempts) == MAX_RATES and trained and all(attempt.reason is Trouble.FORGOT for attempt in trained):
        return max(trained, key=lambda one: (one.epochs, one.best_validation_accuracy or 0.0)).learning_rate
    return None


def is_last_attempt(attempts: Sequence[Attempt]) -> bool:
    """Whether the attempt after these is run to its end, whatever its epochs look like."""
    return len(attempts) >= MAX_RATES


def list_usable(attempts: Sequence[Attempt], terms: Terms) -> list[int]:
    """Positions of the attempts whose weights may count: what is pruned meanwhile is not done before the end."""
    return [
        position
        for position, attempt in enumerate(attempts)
        if attempt.best_validation_accuracy is not None and (attempt.ended or terms.keeps_best)
    ]


def choose_attempt(attempts: Sequence[Attempt], terms: Terms) -> int | None:
    """Position of the usable attempt whose weights count: one without trouble, but where that is clearly less accurate
    than another; else the most accurate. None where the weights that the training began with are better, and of use
    themselves.
    """

    def read_accuracy(position: int) -> float:
        return attempts[position].best_validation_accuracy or 0.0

    usable = list_usable(attempts, terms)
    best = max(usable, key=read_accuracy, default=None)
    untroubled = max((one for one in usable if attempts[one].reason is None), key=read_accuracy, default=None)
    if (
        best is not None
        and untroubled is not None
        and not terms.is_clearly_below(read_accuracy(untroubled), read_accuracy(best))
    ):
        best = untroubled
    accuracy = 0.0 if best is None else read_accuracy(best)
    is_start_better = terms.keeps_best and terms.fall is not None and accuracy < terms.start
    return None if is_start_better and not terms.has_learned(accuracy) else best
