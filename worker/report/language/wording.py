"""A language's sentences and words, filled with numbers.

A template holds `<name>` for each of its values. A value that is missing or not asked for is an error, so that no
sentence can be printed with a hole in it, nor a number be lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.paired import Basis
from worker.report.language.values import (
    LEFT_TO_RIGHT,
    NOTHING,
    POP,
    Numerals,
    Value,
    count,
    magnitude,
    probability,
    ratio,
)

LEAST_PROBABILITY = 0.001
"""Smaller ones are printed as smaller than this."""

_PLACE = re.compile(r"<([a-z][a-z0-9_]*)>")


@dataclass(frozen=True)
class Wording:
    """Everything a language says. sentences: key → template; terms: key → word; classes: class → its name."""

    language: str
    numerals: Numerals
    sentences: Mapping[str, str]
    terms: Mapping[str, str]
    classes: Mapping[str, str]

    def say(self, key: str, **values: Value) -> str:
        """The sentence of that key. Raises KeyError for an unknown key, ValueError for values that do not fit."""
        template = self.sentences[key]
        wanted = find_places(template)
        if wanted != set(values):
            raise ValueError(f"{key} takes {sorted(wanted)}, was given {sorted(values)}")
        return _PLACE.sub(lambda match: self.show(values[match.group(1)]), template)

    def term(self, key: str) -> str:
        """A word or a heading. Raises KeyError."""
        return self.terms[key]

    def show(self, value: Value) -> str:
        """One value as the language writes it."""
        if self.numerals.is_numeric(value):
            return self.numerals.show(value)
        if value.raw is None:
            return NOTHING
        if value.kind == "times_smaller":
            is_smaller = value.raw >= 1
            return self.say("size.smaller" if is_smaller else "size.larger", ratio=ratio(max(value.raw, 1 / value.raw)))
        if value.kind == "change":
            is_lost = round(value.raw, 2) >= 0
            return self.say("change.lost" if is_lost else "change.gained", points=magnitude(value.raw))
        if value.kind == "bits":
            return self.say("name.bits", bits=count(value.raw))
        if value.kind == "basis":
            return self._say_basis(value.raw)
        if value.kind == "class":
            name = self.classes.get(value.raw, value.raw)
            return self.numerals.localize(name) if name.isdigit() else name
        if value.kind == "term":
            return self.terms[value.raw]
        if value.kind == "code":
            return f"`{value.raw}`"
        return str(value.raw)

    def _say_basis(self, raw: Mapping[str, Any]) -> str:
        if raw["kind"] != Basis.PAIRED:
            return self.say(f"basis.{raw['kind']}")
        is_tiny = raw["p_value"] < LEAST_PROBABILITY
        shown = probability(LEAST_PROBABILITY if is_tiny else raw["p_value"])
        key = "basis.paired_tiny" if is_tiny else "basis.paired"
        return self.say(key, one=count(raw["one"]), other=count(raw["other"]), p_value=shown)

    def list_words(self, words: list[str]) -> str:
        """a, b and c."""
        if len(words) < 2:
            return "".join(words)
        comma = "، " if self.language == "fa" else ", "
        return f"{comma.join(words[:-1])} {self.terms['and']} {words[-1]}"


def find_places(template: str) -> set[str]:
    """The names of a template's values."""
    return set(_PLACE.findall(template))


def strip_isolates(text: str) -> str:
    """The same text without the marks around left-to-right islands."""
    return text.replace(LEFT_TO_RIGHT, "").replace(POP, "")
