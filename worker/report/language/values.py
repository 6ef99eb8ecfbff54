"""Numbers with their meaning, language-neutral until a sentence or a table prints them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker.paired import Difference

LEFT_TO_RIGHT, POP = "\N{LEFT-TO-RIGHT ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
"""Around what reads from left to right within Persian; `inline` makes spans of them, so none reaches a document."""

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"
_PERSIAN = str.maketrans("0123456789.,", "۰۱۲۳۴۵۶۷۸۹٫٬")


@dataclass(frozen=True)
class Value:
    """One number or name of a sentence. kind: how it is printed, a key of `_FORMATS`; raw: as JSON."""

    kind: str
    raw: Any


def percent(fraction: float | None) -> Value:
    """A fraction 0..1, printed in percent with two decimals and without the sign."""
    return Value("percent", fraction)


def percent1(fraction: float | None) -> Value:
    """The same with one decimal."""
    return Value("percent1", fraction)


def points(value: float | None) -> Value:
    """Percentage points, two decimals; a minus where negative."""
    return Value("points", value)


def magnitude(value: float | None) -> Value:
    """Percentage points whose sign the sentence says in words."""
    return Value("points", None if value is None else abs(value))


def kilobytes(num_bytes: float | None) -> Value:
    """Bytes, printed in KB of 1024 bytes."""
    return Value("kilobytes", num_bytes)


def ratio(value: float | None) -> Value:
    """How many times smaller."""
    return Value("ratio", value)


def times_smaller(value: float) -> Value:
    """A ratio of bytes, printed with its word: times smaller, or times larger where it is below 1."""
    return Value("times_smaller", value)


def change(drop: float) -> Value:
    """An accuracy drop in points, printed with its word: a drop, or a gain where it is negative."""
    return Value("change", drop)


def basis(difference: Difference) -> Value:
    """What the comparison of two accuracies rests on, printed as words."""
    counts = {"one": difference.only_one, "other": difference.only_other, "p_value": difference.p_value}
    return Value("basis", {"kind": str(difference.basis), **counts})


def probability(value: float) -> Value:
    """A p value."""
    return Value("probability", value)


def significant(value: float | None) -> Value:
    """A measured number with three digits that count, whatever its size."""
    return Value("significant", value)


def count(value: int | None) -> Value:
    """A whole number, thousands apart."""
    return Value("count", value)


def plain(value: float | None) -> Value:
    """A number as short as it is exact to six digits."""
    return Value("plain", value)


def limit(value: float) -> Value:
    """An allowed drop in points, with a decimal always: `1.0 points` is right, `1 points` is not."""
    return Value("limit", value)


def decimals(value: float | None, places: int = 3) -> Value:
    """A number with so many decimals."""
    return Value(f"decimals{places}", value)


def slashed(numbers: Sequence[float]) -> Value:
    """Several numbers of four decimals, one behind the other."""
    return Value("slashed", list(numbers))


def class_name(name: str) -> Value:
    """A class of the data set; translated where the language has a word."""
    return Value("class", name)


def term(key: str) -> Value:
    """A word of the language's own list of terms."""
    return Value("term", key)


def code(text: object) -> Value:
    """An identifier, printed as it is."""
    return Value("code", None if text is None else str(text))


def text(value: object) -> Value:
    """Words printed as they are."""
    return Value("text", value)


def _settle(value: float) -> float:
    """Without the noise of the last bits, by which equal numbers of two jobs would be rounded to either side."""
    return round(value, 9)


def _decimals(value: float, places: int) -> str:
    return f"{_settle(value):,.{places}f}"


def _significant(value: float) -> str:
    places = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{_settle(value):,.{min(max(places, 0), 3)}f}"


def _kilobytes(num_bytes: float) -> str:
    return f"{num_bytes / 1024:,.2f}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def _plain(value: float) -> str:
    return f"{value:,.6g}" if abs(value) >= 1e-4 or value == 0 else f"{value:g}"


def _interval(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{100 * low:.2f}–{100 * high:.2f}"


def _limit(value: float) -> str:
    return f"{value:.1f}" if value == round(value, 1) else f"{value:.6g}"


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "percent": lambda fraction: f"{_settle(100 * fraction):.2f}",
    "percent1": lambda fraction: f"{_settle(100 * fraction):.1f}",
    "points": lambda value: f"{value + 0.0:.2f}" if round(value, 2) else "0.00",
    "kilobytes": _kilobytes,
    "significant": _significant,
    "probability": lambda value: f"{value:.3f}",
    "ratio": _ratio,
    "count": lambda value: f"{value:,d}",
    "plain": _plain,
    "limit": _limit,
    "interval": _interval,
    "slashed": lambda numbers: " / ".join(f"{number:.4f}" for number in numbers),
    **{f"decimals{places}": partial(_decimals, places=places) for places in range(5)},
}


@dataclass(frozen=True)
class Numerals:
    """How a language writes numbers. Persian: its own digits and separators, in running text, tables and figures."""

    persian: bool

    def localize(self, digits: str) -> str:
        """An English numeral in the language's digits; the minus becomes a real one."""
        digits = digits.replace("-", MINUS)
        return digits.translate(_PERSIAN) if self.persian else digits

    def show(self, value: Value) -> str:
        """A numeric value as text; a dash for what was not measured."""
        number = value.raw
        if number is None or (isinstance(number, float) and not math.isfinite(number)):
            return NOTHING
        shown = self.localize(_FORMATS[value.kind](number))
        return f"{LEFT_TO_RIGHT}{shown}{POP}" if self.persian else shown

    def is_numeric(self, value: Value) -> bool:
        """Whether `show` can print it."""
        return value.kind in _FORMATS
