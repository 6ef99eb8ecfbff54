"""Numbers of sections, tables and figures; markup; islands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.report.small_study import ENGLISH, build_facts, build_results, evaluate
from worker.report.analysis.confusions import Pair, count_errors, rank_pairs
from worker.report.analysis.evidence import read_evidence
from worker.report.content import Bullets, Column, Paragraph, Report, Section, Table, iterate_blocks, number_parts
from worker.report.facts import StudyFacts
from worker.report.language.wording import Wording, get_wording, strip_isolates
from worker.report.sections.builder import Builder
from worker.report.sections.end import build_analysis
from worker.report.sections.method import build_data
from worker.report.writers.inline import InlineWriter

WORDS = {"tab": "Table", "fig": "Figure", "sec": "Section", "app": "Appendix"}


def make_report(language: str = "en") -> Report:
    table = Table("sizes", "Sizes.", [Column("a")], [["1"]])
    inner = [Section("first", "First"), Section("second", "Second", [table])]
    sections = [
        Section("abstract", "Abstract", [Paragraph("…")], numbered=False),
        Section("method", "Method"),
        Section("results", "Results", sections=inner),
        Section("appendix_layers", "Layers", [Table("layers", "Layers.", [Column("a")], [["1"]])], appendix=True),
    ]
    return Report(language, "Title", "Subtitle", [], sections)


def flatten(inlines: list[dict[str, Any]]) -> str:
    """The words of pandoc's inlines, islands in brackets."""
    words = ""
    for inline in inlines:
        content: Any = inline.get("c")
        if inline["t"] in ("Str", "Space"):
            words += content or " "
        elif inline["t"] == "Code":
            words += content[1]
        elif inline["t"] == "Span":
            words += f"[{flatten(content[1])}]"
        elif inline["t"] in ("Strong", "Emph"):
            words += flatten(content)
        elif inline["t"] == "Link":
            words += f"{flatten(content[1])}→{content[2][0]}"
    return words


def test_sections_are_numbered_appendices_lettered_and_tables_counted_through() -> None:
    labels = number_parts(make_report(), WORDS)
    assert labels.name("sec:second") == "Section 2.2"
    assert labels.name("sec:appendix_layers") == "Appendix A"
    assert labels.name("tab:layers") == "Table 2"
    assert "sec:abstract" not in labels.numbers


def test_in_persian_the_chapter_stands_at_the_right_of_its_section() -> None:
    digits = {ord(digit): persian for digit, persian in zip("0123456789", "۰۱۲۳۴۵۶۷۸۹", strict=True)}
    labels = number_parts(make_report("fa"), WORDS, digits)
    assert labels.numbers["sec:second"] == "۲\u200f-\u200f۲"
    assert labels.numbers["sec:appendix_layers"] == "الف"


def test_markup_becomes_code_emphasis_and_links() -> None:
    writer = InlineWriter(number_parts(make_report(), WORDS), "html", persian=False)
    assert flatten(writer.read("See [[tab:sizes]]: `f(x)` is **fast**.")) == "See Table 1→#tab-sizes: f(x) is fast."


def test_a_reference_to_what_is_not_there_is_an_error() -> None:
    writer = InlineWriter(number_parts(make_report(), WORDS), "html", persian=False)
    with pytest.raises(KeyError):
        writer.read("See [[tab:absent]].")


def test_within_persian_latin_words_and_numbers_are_islands() -> None:
    writer = InlineWriter(number_parts(make_report("fa"), WORDS), "html", persian=True)
    assert (
        flatten(writer.read("شبکهٔ LeNet-5 با `conv1` و \u2066−۰٫۵\u2069 واحد"))
        == "شبکهٔ [LeNet-5] با [conv1] و [−۰٫۵] واحد"
    )


def test_confused_pairs_are_counted_in_both_directions_and_ranked() -> None:
    matrix = [[5, 3, 0], [1, 6, 2], [0, 2, 9]]
    pairs = rank_pairs(matrix, ["a", "b", "c"])
    assert pairs == [Pair("a", "b", 3, 1), Pair("b", "c", 2, 2)]
    assert count_errors(matrix) == 8 == sum(pair.total for pair in pairs)


def test_a_data_set_without_official_test_part_that_is_never_mirrored_is_described_so(tmp_path: Path) -> None:
    def describe(facts: StudyFacts) -> tuple[str, str]:
        """The words about the split, and whether pictures were mirrored."""
        section = build_data(Builder(read_evidence(facts), ENGLISH, tmp_path))
        blocks = list(iterate_blocks(Report("en", "", "", [], [section])))
        split = next(b.text for b in blocks if isinstance(b, Paragraph) and "stratified" in b.text)
        rows = [row for block in blocks if isinstance(block, Table) for row in block.rows]
        return split, next(str(row[1]) for row in rows if row[0] == "mirroring of training pictures")

    facts = build_facts(build_results())
    train = facts.steps["train"]
    facts = dataclasses.replace(
        facts, steps={**facts.steps, "train": dataclasses.replace(train, spec={**train.spec, "flip": True})}
    )
    assert facts.dataset is not None
    split, mirrored = describe(facts)
    assert ("are the official ones" in split, mirrored) == (True, "yes")
    digits = dataclasses.replace(facts.dataset, name="digits", is_mirrorable=False, is_test_drawn=True)
    split, mirrored = describe(dataclasses.replace(facts, dataset=digits))
    assert ("has no official test part" in split, mirrored) == (True, "no")


@pytest.mark.parametrize(("language", "said"), [("en", "only 500 are used"), ("fa", "تنها ۵۰۰ تصویر")])
def test_a_study_that_trains_on_fewer_pictures_says_how_many_of_the_split(
    language: str, said: str, tmp_path: Path
) -> None:
    def describe(used: int) -> str:
        results = build_results()
        results["train"]["num_train_examples"] = used
        section = build_data(Builder(read_evidence(build_facts(results)), get_wording(language), tmp_path))
        blocks = iterate_blocks(Report(language, "", "", [], [section]))
        return strip_isolates(" ".join(block.text for block in blocks if isinstance(block, Paragraph)))

    assert said in describe(500)
    assert said not in describe(2700)  # The whole split.


def test_what_test_says_of_a_search_is_answered_whether_it_is_good_or_bad(tmp_path: Path) -> None:
    def answer(num_correct: int) -> str:
        results = build_results()
        results["one_shot"]["evaluation"]["test"] = evaluate(num_correct, 1000)
        section = build_analysis(Builder(read_evidence(build_facts(results)), ENGLISH, tmp_path))
        pruning = next(part for part in section.sections if part.key == "question_pruning")
        return " ".join(str(item) for block in pruning.blocks if isinstance(block, Bullets) for item in block.items)

    assert "On test the accuracy is 89.30 %" in answer(893)
    assert "On test the accuracy is 80.00 %" in answer(800)


@pytest.mark.parametrize(("wording", "colour"), [(ENGLISH, "colour"), (get_wording("fa"), "رنگی")], ids=["en", "fa"])
def test_pictures_that_somebody_brought_are_called_as_their_owner_calls_them(
    tmp_path: Path, wording: Wording, colour: str
) -> None:
    facts = build_facts(build_results())
    assert facts.dataset is not None
    train = facts.steps["train"]
    steps = {**facts.steps, "train": dataclasses.replace(train, spec={**train.spec, "dataset": "dst_1"})}
    samples = tuple([np.stack([picture] * 3, axis=-1) for picture in one] for one in facts.dataset.samples)
    brought = dataclasses.replace(
        facts.dataset, name="dst_1", title="my animals", input_shape=(3, 8, 8), samples=samples
    )
    desk = Builder(read_evidence(dataclasses.replace(facts, steps=steps, dataset=brought)), wording, tmp_path)
    assert desk.name_dataset() == "my animals"
    blocks = iterate_blocks(Report("", "", "", [], [build_data(desk)]))
    assert any(colour in block.text for block in blocks if isinstance(block, Paragraph))
