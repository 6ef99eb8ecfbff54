"""What the report says of how its numbers come about, as far as it depends on the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.worker.report.small_study import ENGLISH, PERSIAN, build_facts, build_results
from worker.report.analysis.evidence import read_evidence
from worker.report.analysis.techniques import find_techniques
from worker.report.content import Paragraph, Report, Table, iterate_blocks
from worker.report.facts import ModuleFact
from worker.report.language.wording import Wording, strip_isolates
from worker.report.sections.appendices import list_environment as build_environment
from worker.report.sections.builder import Builder
from worker.report.sections.method import build_data, build_method


def test_batch_norm_folding_is_a_technique_only_where_there_is_a_batch_norm() -> None:
    results = build_results()
    # As compression recorded it before it looked at the network.
    results["compress"]["techniques"].append("batch norm folded into scales and biases")
    facts = build_facts(results)
    modules = [ModuleFact("fc1", "Linear", (32, 64), 2080, 2048)]
    assert "batch_norm_folding" not in find_techniques(dataclasses.replace(facts, modules=modules))
    modules.append(ModuleFact("norm", "BatchNorm2d", (32,), 64, None))
    assert "batch_norm_folding" in find_techniques(dataclasses.replace(facts, modules=modules))


@pytest.mark.parametrize("language", [ENGLISH, PERSIAN])
def test_the_network_is_shown_module_by_module_with_its_totals(language: Wording, tmp_path: Path) -> None:
    modules = (ModuleFact("fc1", "Linear", (32, 64), 2080, 2048), ModuleFact("norm", "BatchNorm2d", (32,), 64, None))
    facts = dataclasses.replace(build_facts(build_results()), modules=modules)
    section = build_data(Builder(read_evidence(facts), language, tmp_path))
    blocks = iterate_blocks(Report(language.language, "", "", [], [section]))
    (table,) = [block for block in blocks if isinstance(block, Table) and block.key == "architecture"]
    first, second, total = ([strip_isolates(cell) for cell in row] for row in table.rows)
    numerals = language.numerals
    assert [first[0], first[2]] == ["`fc1`", "`32×64`"]
    assert first[3:] == [numerals.localize("2,080"), numerals.localize("2,048")]
    assert second[3:] == [numerals.localize("64"), "–"]
    assert total[3:] == [numerals.localize("2,144"), numerals.localize("2,048")]


@pytest.mark.parametrize("replaced", [None, "fc"])
@pytest.mark.parametrize("language", [ENGLISH, PERSIAN])
def test_a_study_of_a_stored_model_says_what_its_training_began_with(
    language: Wording, replaced: str | None, tmp_path: Path
) -> None:
    fresh = build_facts(build_results())
    train = fresh.steps["train"]
    spec = {**train.spec, "initial_model_id": "mdl_9", "dataset": None, "architecture": None, "learning_rate": None}
    # The rate that the network chose is that of its first attempt.
    training = {
        "stage": "training", "kept": 0, "learned": True, "start_accuracy": 0.1, "chance_accuracy": 0.1,
        "attempts": [{"learning_rate": 0.015625, "reason": None, "best_validation_accuracy": 0.9}],
    }  # fmt: skip
    result = {**train.result, "replaced_layer": replaced, "architecture": "onnx", "trainings": [training]}
    tuned = dataclasses.replace(
        fresh,
        spec={**fresh.spec, "initial_model_id": "mdl_9", "dataset": None, "architecture": None},
        steps={**fresh.steps, "train": dataclasses.replace(train, spec=spec, result=result)},
    )
    sections = {
        name: build_data(Builder(read_evidence(facts), language, tmp_path))
        for name, facts in (("fresh", fresh), ("tuned", tuned))
    }
    said = {
        name: [
            strip_isolates(block.text)
            for block in iterate_blocks(Report(language.language, "", "", [], [section]))
            if isinstance(block, Paragraph)
        ]
        for name, section in sections.items()
    }
    assert not any("mdl_9" in line for line in said["fresh"])
    (line,) = [line for line in said["tuned"] if "mdl_9" in line]
    assert ("`fc`" in line) is (replaced is not None)
    (settings,) = [
        block
        for block in iterate_blocks(Report(language.language, "", "", [], [sections["tuned"]]))
        if isinstance(block, Table) and block.key == "training"
    ]
    shown = [strip_isolates(str(value)) for _, value in settings.rows]
    assert any(language.numerals.localize("15625") in value for value in shown)
    evidence = read_evidence(tuned)
    assert evidence.architecture == "onnx"
    assert evidence.dataset == (fresh.dataset.name if fresh.dataset else "None")


def list_environment(results: Mapping[str, Mapping[str, Any]], language: Wording, folder: Path) -> dict[str, list[str]]:
    """What → every value that the appendix gives for it."""
    desk = Builder(read_evidence(build_facts(results)), language, folder)
    appendix = build_environment(desk)
    (table,) = [block for block in appendix.blocks if isinstance(block, Table)]
    shown: dict[str, list[str]] = {}
    for what, value in table.rows:
        shown.setdefault(str(what), []).append(strip_isolates(str(value)))
    return shown


def test_the_appendix_shows_what_computed_the_steps_and_names_those_that_differ(tmp_path: Path) -> None:
    results = build_results()
    for result in results.values():
        result["environment"] = {"tonok": "0.1.0", "processor": "two cores"}
    shown = list_environment(results, ENGLISH, tmp_path)
    assert (shown["Tonok"], shown["processor"]) == (["`0.1.0`"], ["`two cores`"])
    results["train"]["environment"]["processor"] = "an H200"
    assert list_environment(results, ENGLISH, tmp_path)["processor"][0] == "`an H200` (training)"
    assert list_environment(results, PERSIAN, tmp_path)["پردازنده"][0] == "`an H200` (آموزش)"
    del results["train"]["environment"]
    rows = list_environment(results, ENGLISH, tmp_path)
    assert rows["steps of an earlier version, which recorded nothing"] == ["– (training)"]


def read_method(results: Mapping[str, Mapping[str, Any]], language: Wording, folder: Path) -> str:
    section = build_method(Builder(read_evidence(build_facts(results)), language, folder))
    blocks = iterate_blocks(Report(language.language, "", "", [], [section]))
    return strip_isolates(" ".join(block.text for block in blocks if isinstance(block, Paragraph)))


@pytest.mark.slow
def test_the_method_tells_the_reserve_that_compression_recorded(tmp_path: Path) -> None:
    results = build_results()
    assert "keeps 15 % of the allowed drop in reserve" in read_method(results, ENGLISH, tmp_path)
    results["compress"]["reserve_shares"] = {"trained": 0.2, "rounded": 0.4}
    assert "at most 0.80 points are accepted, and 40 %" in read_method(results, ENGLISH, tmp_path)
    assert "حداکثر ۰٫۸۰ واحد درصد" in read_method(results, PERSIAN, tmp_path)
    del results["compress"]["reserve_shares"]
    assert "reserve" not in read_method(results, ENGLISH, tmp_path)
