"""A language's sentences and words: Project Fluent's catalogues (`<language>/*.ftl`), filled with numbers.

A value that is missing or not asked for is an error, so that no sentence can be printed with a hole in it, nor a number
be lost. Fluent's own marks of direction are switched off: numbers bring theirs, which `inline` turns into spans.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluent.runtime import FluentBundle
from fluent.runtime.types import FluentInt, FluentType
from fluent.syntax import FluentParser, ast
from fluent.syntax.visitor import Visitor

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
    text,
)

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "fa")
LEAST_PROBABILITY = 0.001
"""Smaller ones are printed as smaller than this."""


class Wording:
    """Everything a language says. Keys are dotted (`floor.clear`); Fluent's identifiers have hyphens instead."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.numerals = Numerals(persian=language == "fa")
        self._bundle = FluentBundle([language], {"PLURAL": _choose_plural}, use_isolating=False)
        self._variables: dict[str, frozenset[str]] = {}
        messages: dict[str, ast.Message] = {}
        for file in sorted((FOLDER / language).glob("*.ftl")):
            for identifier, message in _read_messages(file):
                if identifier in messages:
                    raise ValueError(f"{file} repeats {identifier}")
                messages[identifier] = message
        self._bundle.add_resource(ast.Resource(list(messages.values())))
        for identifier in messages:
            self._variables[identifier.replace("-", ".")] = _find_variables(identifier, messages)

    @property
    def variables(self) -> Mapping[str, frozenset[str]]:
        """Key → the values that its message takes, in the order of the catalogues."""
        return self._variables

    def __contains__(self, key: str) -> bool:
        return key in self._variables

    def say(self, key: str, **values: Value) -> str:
        """The sentence of that key. Raises KeyError for an unknown key, ValueError for values that do not fit."""
        wanted = self._variables[key]
        if wanted != set(values):
            raise ValueError(f"{key} takes {sorted(wanted)}, was given {sorted(values)}")
        pattern = self._bundle.get_message(key.replace(".", "-")).value
        if pattern is None:
            raise KeyError(key)
        places = {name: _Place(name, value.raw if value.kind == "count" else None) for name, value in values.items()}
        said, errors = self._bundle.format_pattern(pattern, places)
        if errors:
            raise ValueError(f"{key}: {errors[0]}")
        return _PLACE.sub(lambda match: self.show(values[match.group(1)]), str(said))

    def term(self, key: str) -> str:
        """A word or a heading. Raises KeyError."""
        return self.say(key)

    def name(self, group: str, name: str) -> str:
        """The word for something that has a name in the group; the name itself, as code, where there is none."""
        key = f"{group}.{name}"
        return self.term(key) if key in self else f"`{name}`"

    def show(self, value: Value) -> str:
        """One value as the language writes it."""
        if self.numerals.is_numeric(value):
            return self.numerals.show(value)
        if value.raw is None:
            return NOTHING
        if value.kind == "times_smaller":
            way = "smaller" if value.raw >= 1 else "larger"
            return self.say(f"size.{way}", ratio=ratio(max(value.raw, 1 / value.raw)))
        if value.kind == "change":
            way = "lost" if round(value.raw, 2) >= 0 else "gained"
            return self.say(f"change.{way}", points=magnitude(value.raw))
        if value.kind == "bits":
            return self.say("name.bits", bits=count(value.raw))
        if value.kind == "basis":
            return self._say_basis(value.raw)
        if value.kind == "class":
            return self._name_class(value.raw)
        if value.kind == "term":
            return self.term(value.raw)
        if value.kind == "code":
            return f"`{value.raw}`"
        return str(value.raw)

    def _name_class(self, name: str) -> str:
        key = f"class.{re.sub('[^a-z0-9]+', '_', name.lower())}"
        if key in self and get_wording("en").term(key) == name:
            return self.term(key)
        return self.numerals.localize(name) if name.isdigit() else name

    def _say_basis(self, raw: Mapping[str, Any]) -> str:
        if raw["kind"] != Basis.PAIRED:
            return self.say(f"basis.{raw['kind']}")
        is_tiny = raw["p_value"] < LEAST_PROBABILITY
        shown = probability(LEAST_PROBABILITY if is_tiny else raw["p_value"])
        key = "basis.paired_tiny" if is_tiny else "basis.paired"
        return self.say(key, one=count(raw["one"]), other=count(raw["other"]), p_value=shown)

    def list_words(self, words: list[str]) -> str:
        """a, b and c."""
        listed = words[0] if words else ""
        for position, word in enumerate(words[1:], start=2):
            key = "list.last" if position == len(words) else "list.more"
            listed = self.say(key, words=text(listed), last=text(word))
        return listed


@dataclass(frozen=True)
class _Place(FluentType):
    """Where a value goes, put there afterwards: Fluent takes none above 2,500 letters, and has Latin digits alone."""

    name: str
    number: int | None

    def format(self, locale: object) -> str:  # noqa: ARG002 - Fluent's signature
        return f"\ue000{self.name}\ue001"


_PLACE = re.compile("\ue000([a-z0-9_]+)\ue001")


def _choose_plural(place: _Place) -> FluentType:
    """What `PLURAL($n)` in a catalogue selects by."""
    return FluentInt(place.number or 0)


class _VariableFinder(Visitor):
    """Collects what a message refers to."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.messages: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802 - Fluent's name
        self.variables.add(node.id.name)

    def visit_MessageReference(self, node: ast.MessageReference) -> None:  # noqa: N802 - Fluent's name
        self.messages.add(node.id.name)


def _find_variables(identifier: str, messages: Mapping[str, ast.Message]) -> frozenset[str]:
    """Of the message and of those within it. Raises KeyError where one of them is missing."""
    finder = _VariableFinder()
    finder.visit(messages[identifier])
    return frozenset(finder.variables).union(*(_find_variables(name, messages) for name in finder.messages))


def _read_messages(file: Path) -> Iterator[tuple[str, ast.Message]]:
    for entry in FluentParser().parse(file.read_text(encoding="utf-8")).body:
        if isinstance(entry, ast.Junk):
            raise ValueError(f"{file}: {entry.content}")  # noqa: TRY004 - the file is wrong, not a type
        if isinstance(entry, ast.Message):
            yield entry.id.name, entry


@functools.cache
def get_wording(language: str) -> Wording:
    """Raises KeyError for a language that the report is not written in."""
    if language not in LANGUAGES:
        raise KeyError(language)
    return Wording(language)


def strip_isolates(text: str) -> str:
    """The same text without the marks around left-to-right islands."""
    return text.replace(LEFT_TO_RIGHT, "").replace(POP, "")
