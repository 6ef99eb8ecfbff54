"""The languages that a report is written in."""

from __future__ import annotations

from worker.report.language import (
    english_findings,
    english_health,
    english_reserve,
    english_terms,
    english_text,
    english_trainings,
    persian_findings,
    persian_health,
    persian_reserve,
    persian_terms,
    persian_text,
    persian_trainings,
)
from worker.report.language.values import Numerals
from worker.report.language.wording import Wording

ENGLISH = Wording(
    "en",
    Numerals(persian=False),
    english_text.SENTENCES
    | english_findings.SENTENCES
    | english_health.SENTENCES
    | english_reserve.SENTENCES
    | english_trainings.SENTENCES,
    english_terms.TERMS | english_trainings.TERMS,
    english_terms.CLASSES,
)
PERSIAN = Wording(
    "fa",
    Numerals(persian=True),
    persian_text.SENTENCES
    | persian_findings.SENTENCES
    | persian_health.SENTENCES
    | persian_reserve.SENTENCES
    | persian_trainings.SENTENCES,
    persian_terms.TERMS | persian_trainings.TERMS,
    persian_terms.CLASSES,
)
WORDINGS = {wording.language: wording for wording in (ENGLISH, PERSIAN)}


def get_wording(language: str) -> Wording:
    """Raises KeyError for a language that the report is not written in."""
    return WORDINGS[language]
