"""Both languages say the same things, and Persian is written as Persian is written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import worker.report
from tests.worker.report.small_study import ENGLISH, PERSIAN
from worker.catalog import DatasetName, HealthProblem, Optimizer
from worker.controls import ControlKind
from worker.paired import Basis
from worker.report.language.values import LEFT_TO_RIGHT, POP, count, percent, text
from worker.report.language.wording import FOLDER, Wording
from worker.techniques import Technique

KEYS = list(ENGLISH.variables)
SPOKEN = {
    "say": "",
    "term": "",
    "paragraph": "",
    "Finding": "",
    "table": "table.",
    "section": "section.",
    "columns": "head.",
}
"""What takes a key → what it puts before it. A figure has a caption and an alternative text."""
NAMED_BY_DATA = {"class", "dataset", "environment", "kind", "layer", "trouble", "word"}
"""Groups whose keys are names of what is studied; the code has them of its data."""


CATALOGUES = "".join(file.read_text("utf-8") for file in FOLDER.glob("*/*.ftl"))
COUNTED = set(re.findall(r"PLURAL\(\$([a-z_]+)\)", CATALOGUES))


def print_message(wording: Wording, key: str) -> str:
    """A message with the names of its values in their places, but for those that choose a plural form."""
    values = {name: count(2) if name in COUNTED else text(f"<{name}>") for name in wording.variables[key]}
    return wording.say(key, **values)


PERSIAN_TEXTS = [print_message(PERSIAN, key) for key in PERSIAN.variables]


def test_every_message_is_there_in_both_languages_in_the_same_order_with_the_same_values() -> None:
    assert list(ENGLISH.variables.items()) == list(PERSIAN.variables.items())


def test_a_sentence_refers_to_the_same_tables_and_figures_in_both_languages() -> None:
    for key in KEYS:
        english, persian = (set(re.findall(r"\[\[[^\]]+\]\]", print_message(one, key))) for one in (ENGLISH, PERSIAN))
        assert english == persian, key


def read_strings(node: ast.AST, places: str) -> str | None:
    """A string or f-string as a regular expression, `places` where it holds a value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(read_strings(part, places) or places for part in node.values)
    return None


def walk_code() -> Iterator[ast.AST]:
    for file in Path(worker.report.__file__).parent.rglob("*.py"):
        yield from ast.walk(ast.parse(file.read_text("utf-8")))


def read_keys(call: ast.Call) -> Iterator[str]:
    """What a call asks the catalogue for, as regular expressions."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    prefixes = ["picture.", "alt."] if name == "figure" else [SPOKEN[name]] if name in SPOKEN else []
    for argument in call.args if name == "columns" else call.args[:1]:
        key = read_strings(argument, ".+")
        if key is not None:
            yield from (re.escape(prefix) + key.removeprefix(r"\#") for prefix in prefixes)


def test_every_message_that_the_code_asks_for_exists() -> None:
    asked = {key for node in walk_code() if isinstance(node, ast.Call) for key in read_keys(node)}
    assert len(asked) > 100, "the scan finds what it is about"
    assert {key for key in asked if not any(re.fullmatch(key, known) for known in KEYS)} == set()


@pytest.mark.slow
def test_every_message_is_asked_for_somewhere() -> None:
    words = {node.value for node in walk_code() if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    words |= {
        str(one) for names in (HealthProblem, Optimizer, Basis, Technique, ControlKind, DatasetName) for one in names
    }
    words |= {kind.step for kind in ControlKind}
    place = f"(?:{'|'.join(re.escape(word) for word in words if re.fullmatch(r'[A-Za-z0-9_.-]+', word))})"
    asked = {found for node in walk_code() if (found := read_strings(node, place)) is not None}
    asked |= {key for node in walk_code() if isinstance(node, ast.Call) for key in read_keys(node) if ".+" not in key}
    asked |= {rf"{group}\..+" for group in (*NAMED_BY_DATA, "meaning")}
    exactly = {re.sub(r"\\(.)", r"\1", pattern) for pattern in asked if "(?:" not in pattern and ".+" not in pattern}
    patterns = [re.compile(pattern) for pattern in asked if "(?:" in pattern or ".+" in pattern]
    unused = [key for key in KEYS if key not in exactly and not any(pattern.fullmatch(key) for pattern in patterns)]
    within = {name.replace("-", ".") for name in re.findall(r"\{ ([a-z][a-z0-9_-]*) \}", CATALOGUES)}
    assert set(unused) - within == set()


def test_a_sentence_refuses_to_be_printed_with_a_hole_or_with_a_number_too_many() -> None:
    with pytest.raises(ValueError, match=r"fact\.accuracy takes \['accuracy'\], was given \[\]"):
        ENGLISH.say("fact.accuracy")
    with pytest.raises(ValueError, match="was given"):
        ENGLISH.say("fact.accuracy", accuracy=percent(0.9), drop=percent(0.1))


def test_a_long_value_is_said_whole() -> None:
    layers = ", ".join(f"block{number}.conv" for number in range(400))
    assert len(layers) > 5000
    assert layers in ENGLISH.say("health.dead_layer", model=text("It"), layers=text(layers))


def test_one_and_many_have_words_of_their_own() -> None:
    one, many = (ENGLISH.say("picture.training", epochs=count(epochs)) for epochs in (1, 12))
    assert ("over one epoch." in one, "over 12 epochs." in many) == (True, True)


def test_a_catalogue_whose_text_cannot_be_read_or_repeats_a_message_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.report.language.wording.FOLDER", tmp_path)
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "a.ftl").write_text("one = { $open\n")
    with pytest.raises(ValueError, match=r"a\.ftl"):
        Wording("en")
    (tmp_path / "en" / "a.ftl").write_text("one = 1\n")
    (tmp_path / "en" / "b.ftl").write_text("one = 2\n")
    with pytest.raises(ValueError, match="repeats one"):
        Wording("en")


def test_no_mark_of_direction_stands_in_a_sentence_but_those_around_a_number() -> None:
    said = PERSIAN.say("widest.training", bits=count(8), epochs=count(12))
    assert re.findall("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", said) == [LEFT_TO_RIGHT, POP] * 2
    assert re.findall(f"{LEFT_TO_RIGHT}([^{POP}]*){POP}", said) == ["۸", "۱۲"]
    said = ENGLISH.say("widest.training", bits=count(8), epochs=count(12))
    assert re.findall("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", said) == []


def test_persian_has_no_arabic_letters_or_digits() -> None:
    assert not re.findall("[كيىة٠-٩]", "".join(PERSIAN_TEXTS))


def test_persian_verbs_and_plurals_are_joined_by_the_half_space() -> None:
    torn = re.compile(r"(?<![آ-ی])ن?می [آ-ی]| ها(?![آ-ی])| های(?![آ-ی])")
    assert [said for said in PERSIAN_TEXTS if torn.search(said)] == []


def test_persian_running_text_has_persian_digits_outside_code_formulas_and_latin_words() -> None:
    def strip(said: str) -> str:
        said = re.sub(r"`[^`]*`|\$[^$]*\$|<[a-z0-9_]+>|\[\[[^\]]*\]\]", "", said)
        return re.sub(r"[A-Za-z][A-Za-z0-9_.+-]*", "", said)

    assert [said for said in PERSIAN_TEXTS if re.search("[0-9]", strip(said))] == []
