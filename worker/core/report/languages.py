"""The languages that a report is written in."""

from __future__ import annotations

from worker.core.report import (
    english_findings,
    english_health,
    english_terms,
    english_text,
    persian_findings,
    persian_health,
    persian_terms,
    persian_text,
)
from worker.core.report.values import Numerals
from worker.core.report.wording import Wording

ENGLISH = Wording(
    "en",
    Numerals(persian=False),
    english_text.SENTENCES | english_findings.SENTENCES | english_health.SENTENCES,
    english_terms.TERMS,
    english_terms.CLASSES,
)
PERSIAN = Wording(
    "fa",
    Numerals(persian=True),
    persian_text.SENTENCES | persian_findings.SENTENCES | persian_health.SENTENCES,
    persian_terms.TERMS,
    persian_terms.CLASSES,
)
WORDINGS = {wording.language: wording for wording in (ENGLISH, PERSIAN)}


def get_wording(language: str) -> Wording:
    """Raises KeyError for a language that the report is not written in."""
    return WORDINGS[language]
