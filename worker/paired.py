"""Two models on one split: which pictures each answers rightly, and whether they differ by more than chance.

The standard library alone: the worker writes what the API reads.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from worker.binomial import compute_exact_interval, compute_lower_tail

SIGNIFICANCE = 0.05
"""Two models differ where chance alone would make such a difference less often than this."""
FEWEST_FOR_NORMAL = 10
"""Pictures judged differently from which on the normal law is used."""
_NORMAL_95 = 1.959964


class Basis(StrEnum):
    """What a comparison of two accuracies rests on."""

    PAIRED = "paired"
    """Both answers to every picture are known."""
    NOT_RECORDED = "not_recorded"
    """One was measured before answers were kept picture by picture: the counts are taken as independent."""
    OTHER_PICTURES = "other_pictures"
    """The two were asked about different pictures."""


@dataclass(frozen=True)
class Correctness:
    """Which pictures of a split a model answers rightly. pictures: a digest of the split's pixels, in order."""

    pictures: str
    num_examples: int
    right: int
    """Bit i is set where picture i is answered rightly."""

    @property
    def num_correct(self) -> int:
        """Pictures answered rightly."""
        return self.right.bit_count()

    def to_json(self) -> dict[str, Any]:
        """A few hundred bytes for a thousand pictures."""
        packed = self.right.to_bytes((self.num_examples + 7) // 8, "little")
        return {
            "pictures": self.pictures,
            "num_examples": self.num_examples,
            "right": base64.b64encode(zlib.compress(packed, 9)).decode(),
        }


def read_correctness(recorded: Mapping[str, Any] | None, split: str) -> Correctness | None:
    """That of a split, from `correctness` of a result or summary; None where it was not kept.

    Raises ValueError for a record that is damaged.
    """
    kept = (recorded or {}).get(split)
    return None if kept is None else unpack_correctness(kept["pictures"], kept["num_examples"], kept["right"])


def unpack_correctness(pictures: str, num_examples: int, right: str) -> Correctness:
    """From the values of its JSON. Raises ValueError where there is not one bit for each picture."""
    num_bytes, stream = (num_examples + 7) // 8, zlib.decompressobj()
    try:
        # No more than that is unpacked, however much a damaged record would give.
        packed = stream.decompress(base64.b64decode(right, validate=True), num_bytes + 1)
    except (ValueError, OverflowError, zlib.error):
        packed = b""
    bits = int.from_bytes(packed, "little")
    if num_examples < 1 or not stream.eof or len(packed) != num_bytes or bits >> num_examples:
        raise ValueError(f"there is not one bit for each of {num_examples} pictures")
    return Correctness(pictures, num_examples, bits)


class Counted(Protocol):
    """How many pictures were asked about, and how many of them answered rightly."""

    @property
    def num_correct(self) -> int:
        """Pictures answered rightly."""

    @property
    def num_examples(self) -> int:
        """Pictures asked about."""


class Scored(Counted, Protocol):
    """What one model scored on one split. interval: 95 %, Wilson, fractions."""

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy."""

    @property
    def correctness(self) -> Correctness | None:
        """Picture by picture, where that was kept."""


def compute_drop(baseline: Counted, result: Counted) -> float:
    """Accuracy drop in percentage points, from counts: 50 pictures of 5,000 are 1.0, not 1.0000000000000009."""
    lost = baseline.num_correct * result.num_examples - result.num_correct * baseline.num_examples
    return 100 * lost / (baseline.num_examples * result.num_examples)


def is_within(drop: float, max_drop: float) -> bool:
    """Whether a drop is at most `max_drop`, both in points; immune to rounding of a division."""
    return drop <= max_drop + 1e-9


@dataclass(frozen=True)
class Score:
    """What one model scored on one split, to be compared."""

    num_correct: int
    num_examples: int
    interval: tuple[float, float]
    correctness: Correctness | None


@dataclass(frozen=True)
class Difference:
    """accuracy(one) - accuracy(other), as fractions, with its 95 % interval.

    only_one, only_other: pictures that this one of the two alone answers rightly; p_value: McNemar's, exact. None
    where the comparison is not paired.
    """

    value: float
    low: float
    high: float
    basis: Basis
    only_one: int | None = None
    only_other: int | None = None
    p_value: float | None = None

    @property
    def is_distinguishable(self) -> bool:
        """Whether chance alone would hardly make it: by the exact test where there is one, else by the interval."""
        if self.p_value is not None:
            return self.p_value < SIGNIFICANCE
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """As a *drop* in percentage points of `other` below `one`, as results give it."""
        return {
            "low": 100 * self.low,
            "high": 100 * self.high,
            "basis": str(self.basis),
            "only_baseline_right": self.only_one,
            "only_model_right": self.only_other,
            "p_value": self.p_value,
        }


def compute_mcnemar_p(only_one: int, only_other: int) -> float:
    """Exact two-sided p of McNemar's test (1947): were neither better, each such picture would fall to either alike."""
    total, fewer = only_one + only_other, min(only_one, only_other)
    return min(1.0, 2 * compute_lower_tail(fewer, total, 0.5))


def compute_paired_interval(only_one: int, only_other: int, num_examples: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same pictures, fractions, of one mind with McNemar.

    Wald's for paired proportions (Agresti 2013, 11.1.2) where so many pictures are judged differently that the normal
    law is near, and where it holds zero just when the exact p does not fall below SIGNIFICANCE. Else the exact one:
    the difference is (2 s - 1) d, where d is the share of the pictures that the two judge differently and s the share
    of those that the first alone gets right, both bounded by Clopper and Pearson.
    """
    differing, gap = only_one + only_other, (only_one - only_other) / num_examples
    half = _NORMAL_95 * math.sqrt(max(0.0, differing / num_examples - gap * gap) / num_examples)
    is_told_apart = compute_mcnemar_p(only_one, only_other) < SIGNIFICANCE
    if half > 0 and differing >= FEWEST_FOR_NORMAL and (abs(gap) > half) == is_told_apart:
        return gap - half, gap + half
    low, high = (2 * share - 1 for share in compute_exact_interval(only_one, differing, SIGNIFICANCE))
    fewest, most = compute_exact_interval(differing, num_examples, SIGNIFICANCE)
    return min(low * fewest, low * most), max(high * fewest, high * most)


def compute_unpaired_interval(one: Scored, other: Scored) -> tuple[float, float]:
    """95 % interval of accuracy(one) - accuracy(other) as if the two had been asked about independent pictures.

    Newcombe 1998, method 10, from Wilson's bounds. Where both err on the same pictures it is too wide.
    """
    (low, high), (other_low, other_high) = one.interval, other.interval
    accuracy, other_accuracy = one.num_correct / one.num_examples, other.num_correct / other.num_examples
    difference = accuracy - other_accuracy
    below = math.hypot(accuracy - low, other_high - other_accuracy)
    above = math.hypot(high - accuracy, other_accuracy - other_low)
    return difference - below, difference + above


def compute_difference(one: Scored, other: Scored) -> Difference:
    """Paired where the answers of both to the same pictures are known; `basis` says where they are not."""
    value = one.num_correct / one.num_examples - other.num_correct / other.num_examples
    first, second = one.correctness, other.correctness
    if first is None or second is None:
        return Difference(value, *compute_unpaired_interval(one, other), Basis.NOT_RECORDED)
    if (first.pictures, first.num_examples) != (second.pictures, second.num_examples):
        return Difference(value, *compute_unpaired_interval(one, other), Basis.OTHER_PICTURES)
    only_one, only_other = (first.right & ~second.right).bit_count(), (second.right & ~first.right).bit_count()
    return Difference(
        value,
        *compute_paired_interval(only_one, only_other, first.num_examples),
        Basis.PAIRED,
        only_one,
        only_other,
        compute_mcnemar_p(only_one, only_other),
    )
