"""A section of a report is a file with its builder, and a line in the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.report.small_study import ENGLISH, build_facts, build_results
from worker.report.analysis.evidence import read_evidence
from worker.report.compose import compose
from worker.report.content import Paragraph, Section, iterate_sections
from worker.report.sections.builder import Builder
from worker.report.sections.registry import SECTIONS, Entry, build_sections


@pytest.fixture
def desk(tmp_path: Path) -> Builder:
    return Builder(read_evidence(build_facts(build_results())), ENGLISH, tmp_path)


def build_greeting(desk: Builder) -> Section:
    return Section("greeting", "Greeting", [Paragraph(f"Of {len(desk.evidence.widths)} widths, see [[sec:greeting]].")])


@pytest.mark.slow
def test_a_new_section_is_one_line_and_is_numbered_and_listed_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECTIONS, "greeting", Entry(build_greeting, within="results"))
    made = compose(build_facts(build_results()), "en", tmp_path)
    (level,) = [level for level, section in iterate_sections(made.report.sections) if section.key == "greeting"]
    results = next(section for section in made.report.sections if section.key == "results")
    assert (level, results.sections[-1].key) == (2, "greeting")
    assert made.labels.name("sec:greeting") == f"Section 3.{len(results.sections)}"


def test_a_name_that_is_not_registered_is_refused(desk: Builder) -> None:
    with pytest.raises(KeyError, match="greeting"):
        build_sections(desk, ["abstract", "greeting"])


def test_a_part_without_its_whole_is_refused(desk: Builder) -> None:
    with pytest.raises(KeyError, match="results"):
        build_sections(desk, ["techniques"])


def test_a_section_that_calls_itself_something_else_is_refused(desk: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SECTIONS, "farewell", Entry(build_greeting))
    with pytest.raises(KeyError, match="farewell is registered, but its section is called greeting"):
        build_sections(desk, ["farewell"])


def test_every_heading_of_the_registry_has_its_words_and_its_place() -> None:
    without = {name for name in SECTIONS if f"section.{name}" not in ENGLISH}
    assert without == {"widest"}, "its heading says how many bits"
    assert {entry.within for entry in SECTIONS.values()} == {"", "results"}
