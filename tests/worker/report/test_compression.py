"""What each technique bought and what the file is held against: sections that are absent where nothing is known."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.worker.report.small_study import (
    ABLATION,
    ENGLISH,
    FILE_CONTROLS,
    PERSIAN,
    build_facts,
    build_results,
)
from worker.controls import ControlKind
from worker.paired import Correctness
from worker.report.analysis.claims import analyse_controls, analyse_file_controls
from worker.report.analysis.evidence import Evidence, read_evidence
from worker.report.analysis.techniques import UNEXPLAINED, find_techniques
from worker.report.content import Figure, Section, Table
from worker.report.language.techniques import name_techniques
from worker.report.language.wording import Wording, strip_isolates
from worker.report.sections.builder import Builder
from worker.report.sections.compression import build_ablation, build_file_controls
from worker.techniques import AppliedTechnique, Technique


def read(**compressed: Any) -> Evidence:
    results = build_results()
    results["compress"] |= copy.deepcopy(compressed)
    return read_evidence(build_facts(results))


def get_rows(section: Section | None) -> list[list[str]]:
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    return [[strip_isolates(cell) for cell in row] for row in table.rows]


@pytest.mark.parametrize("wording", [ENGLISH, PERSIAN])
def test_a_study_whose_compression_recorded_neither_has_neither_section(wording: Wording, tmp_path: Path) -> None:
    older, left_out = build_results(), build_results()
    del older["compress"]["ablation"]
    del left_out["compress"]
    evidence = [read_evidence(build_facts(results)) for results in (older, left_out)]
    for one in [*evidence, read(ablation=None, controls=None), read(ablation=[], controls=[])]:
        desk = Builder(one, wording, tmp_path)
        assert build_ablation(desk) is None
        assert build_file_controls(desk) is None
        assert desk.findings == []


def test_the_ablation_has_a_row_for_each_technique_and_a_figure_of_the_same(tmp_path: Path) -> None:
    section = build_ablation(Builder(read(ablation=ABLATION), ENGLISH, tmp_path))
    rows = get_rows(section)
    assert [row[0] for row in rows] == [
        "float32 checkpoint",
        "8 bit, calibrated and batch norm folded",
        "entropy coding",
        "teacher trained further and shifted pictures",
        "channel pruning and distillation",
        "4 bit training (LSQ) and pruned to 80.0 % (LAMP)",
        "pruned to 90.0 % (LAMP) and plain pictures",
        "rate-distortion rounding",
        "scales and biases refitted",
        "short mantissas",
    ]
    assert rows[0][1:] == ["float32", "39.06", "–", "91.00", "0.00"]
    assert rows[5][1:] == ["file", "1.46", "67.39", "90.70", "0.30"]
    assert section is not None
    (figure,) = [block for block in section.blocks if isinstance(block, Figure)]
    assert figure.path.stat().st_size > 10_000


def test_an_ablation_that_an_older_version_told_in_words_is_named_as_well(tmp_path: Path) -> None:
    told = ["float32 checkpoint", "8 bit integers, calibrated, batch norm folded", "further pruned to 92.5 %", "magic"]
    rows = [{key: value for key, value in row.items() if key != "applied"} for row in ABLATION[:4]]
    old = [row | {"technique": sentence} for row, sentence in zip(rows, told, strict=True)]
    shown = get_rows(build_ablation(Builder(read(ablation=old), PERSIAN, tmp_path)))
    assert [row[0] for row in shown] == [
        "وزن‌های float32",
        "۸ بیت، واسنجی‌شده و ادغام نرمال‌سازی دسته‌ای",
        "هرس تا ۹۲٫۵ درصد (LAMP)",
        "magic",
    ]


def test_the_file_is_held_against_each_of_its_controls(tmp_path: Path) -> None:
    evidence = read(controls=FILE_CONTROLS)
    rows = get_rows(build_file_controls(Builder(evidence, ENGLISH, tmp_path)))
    assert [row[0] for row in rows[1:]] == [ENGLISH.term(f"file_control.{kind}") for kind in ControlKind]
    assert rows[2][1:] == ["1.03", "90.00", "12", "90.00", "84.00", "6.00"]
    # 894 of 1,000 against 897, 840 and 861.
    found = analyse_file_controls(evidence)
    assert [finding.key for finding in found] == ["file_control.same", "file_control.higher", "file_control.higher"]
    assert "“as sparse, pruned at random” (1.03 KB beside 0.98 KB)" in found[1].say(ENGLISH)
    assert "«به همان تُنُکی، هرس تصادفی»" in strip_isolates(found[1].say(PERSIAN))


def test_a_control_of_no_known_kind_stands_under_the_name_that_was_stored(tmp_path: Path) -> None:
    old = [{key: value for key, value in row.items() if key != "kind"} for row in FILE_CONTROLS]
    controls = [old[0], old[1] | {"name": "frozen"}, old[2] | {"kind": None, "name": "thawed", "problems": ["chance"]}]
    evidence = read(controls=controls)
    for wording in (ENGLISH, PERSIAN):
        shown = [row[0] for row in get_rows(build_file_controls(Builder(evidence, wording, tmp_path)))[1:]]
        assert shown == [wording.term("file_control.unpruned"), "frozen", "thawed"]
        said = [strip_isolates(finding.say(wording)) for finding in analyse_file_controls(evidence)]
        assert ["frozen" in said[1], "thawed" in said[2]] == [True, True]


def test_a_better_control_is_told_and_an_unsound_one_proves_nothing() -> None:
    controls = copy.deepcopy(FILE_CONTROLS)
    controls[0]["test_accuracy"], controls[1]["problems"] = 0.94, ["one_class"]
    found = analyse_file_controls(read(controls=controls))
    assert [finding.key for finding in found] == ["file_control.lower", "file_control.unsound", "file_control.higher"]


def test_a_control_is_compared_picture_by_picture_where_its_answers_were_kept() -> None:
    results = build_results()
    results["compress"]["controls"] = copy.deepcopy(FILE_CONTROLS)
    right, other = (Correctness("digits", 1000, (1 << num_right) - 1).to_json() for num_right in (894, 897))
    results["compress"]["correctness"] = {"test": right}
    results["compress"]["controls"][0]["test_correctness"] = other
    found = analyse_file_controls(read_evidence(build_facts(results)))
    assert found[0].values["basis"].raw["kind"] == "paired"
    assert found[1].values["basis"].raw["kind"] == "not_recorded"


def test_a_study_with_controls_of_its_file_alone_does_not_say_that_it_has_none() -> None:
    results = {name: result for name, result in build_results().items() if not name.startswith("control")}
    results["compress"]["controls"] = FILE_CONTROLS
    keys = {finding.key for finding in analyse_controls(read_evidence(build_facts(results)))}
    assert "controls.absent" not in keys
    assert "file_control.same" in keys


@pytest.mark.parametrize("wording", [ENGLISH, PERSIAN])
def test_every_technique_has_a_label_and_an_explanation(wording: Wording) -> None:
    for technique in Technique:
        assert name_techniques(wording, [AppliedTechnique(technique=technique, bit_width=4, sparsity=0.5)])
        assert (f"technique.{technique}" in wording) == (technique not in UNEXPLAINED)


def test_techniques_are_found_by_their_names_not_by_words() -> None:
    results = build_results()
    results["compress"] |= {"techniques": ["in words of another day"], "applied": [{"technique": "refitting"}]}
    facts = build_facts(results)
    assert Technique.REFITTING in find_techniques(facts)
    words = dataclasses.replace(facts.steps["compress"], result={"techniques": ["a teacher that knows lamps"]})
    found = find_techniques(dataclasses.replace(facts, steps={**facts.steps, "compress": words}))
    assert {Technique.WEIGHT_PRUNING, Technique.TRAINED_TEACHER}.isdisjoint(found)
