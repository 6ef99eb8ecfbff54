"""Both languages say the same things, and Persian is written as Persian is written."""

from __future__ import annotations

import re

import pytest

from worker.report.language.glossary import GLOSSARY
from worker.report.language.languages import ENGLISH, PERSIAN
from worker.report.language.values import percent
from worker.report.language.wording import find_places

PERSIAN_TEXTS = [*PERSIAN.sentences.values(), *PERSIAN.terms.values(), *(entry.persian for entry in GLOSSARY)]


def test_no_sentence_and_no_word_is_missing_in_either_language() -> None:
    assert set(ENGLISH.sentences) == set(PERSIAN.sentences)
    assert set(ENGLISH.terms) == set(PERSIAN.terms)


def test_a_sentence_takes_the_same_numbers_in_both_languages() -> None:
    for key, english in ENGLISH.sentences.items():
        assert find_places(english) == find_places(PERSIAN.sentences[key]), key


def test_a_sentence_refers_to_the_same_tables_and_figures_in_both_languages() -> None:
    def find_references(text: str) -> set[str]:
        return set(re.findall(r"\[\[[^\]]+\]\]", text))

    for key, english in ENGLISH.sentences.items():
        assert find_references(english) == find_references(PERSIAN.sentences[key]), key


def test_a_sentence_refuses_to_be_printed_with_a_hole_or_with_a_number_too_many() -> None:
    with pytest.raises(ValueError, match=r"fact\.accuracy takes \['accuracy'\], was given \[\]"):
        ENGLISH.say("fact.accuracy")
    with pytest.raises(ValueError, match="was given"):
        ENGLISH.say("fact.accuracy", accuracy=percent(0.9), drop=percent(0.1))


def test_persian_has_no_arabic_letters_or_digits() -> None:
    assert not re.findall("[كيىة٠-٩]", "".join(PERSIAN_TEXTS))


def test_persian_verbs_and_plurals_are_joined_by_the_half_space() -> None:
    torn = re.compile(r"(?<![آ-ی])ن?می [آ-ی]| ها(?![آ-ی])| های(?![آ-ی])")
    assert [text for text in PERSIAN_TEXTS if torn.search(text)] == []


def test_persian_running_text_has_persian_digits_outside_code_formulas_and_latin_words() -> None:
    def strip(text: str) -> str:
        text = re.sub(r"`[^`]*`|\$[^$]*\$|<[a-z0-9_]+>|\[\[[^\]]*\]\]|\\u20..", "", text)
        return re.sub(r"[A-Za-z][A-Za-z0-9_.+-]*", "", text)

    assert [text for text in PERSIAN.sentences.values() if re.search("[0-9]", strip(text))] == []
