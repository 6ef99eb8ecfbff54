"""A training that began anew at a gentler rate, or did not learn, is told where its step is told; a good one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.worker.report.small_study import ENGLISH, PERSIAN, build_facts, build_results
from tests.worker.report.test_analysis import Results, say
from worker.learning import Attempt, Outcome, Trouble
from worker.report.analysis.evidence import read_evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.trainings import analyse_trainings
from worker.report.content import Section
from worker.report.facts import STEPS
from worker.report.language.wording import get_wording
from worker.report.sections.builder import Builder
from worker.report.sections.registry import build_sections

FORGOT = Attempt(0.2, 1, 0.3, Trouble.FORGOT, ended=False)
AT_CHANCE = Attempt(0.05, 4, 0.11, Trouble.AT_CHANCE)
GOOD = Attempt(0.05, 4, 0.9)


def record(results: Results, step: str, *outcomes: Outcome) -> None:
    results[step]["trainings"] = [{"stage": "fine-tuning", **outcome.to_json()} for outcome in outcomes]


def find(results: Results, *steps: str) -> list[Finding]:
    return analyse_trainings(read_evidence(build_facts(results)), *(steps or STEPS))


@pytest.mark.parametrize(
    ("outcome", "key"),
    [
        pytest.param(Outcome((GOOD,), 0, True, 0.1, 0.5), None, id="all well"),
        pytest.param(Outcome((FORGOT, GOOD), 1, True, 0.1, 0.9), "training.gentler", id="a gentler rate"),
        pytest.param(
            Outcome((Attempt(0.2, 4, 0.9, Trouble.UNSTABLE), AT_CHANCE), 0, True, 0.1, 0.1),
            "training.no_better",
            id="the gentler rate was no better",
        ),
        pytest.param(
            Outcome((Attempt(0.2, 4, 0.9, Trouble.UNSTABLE),), 0, True, 0.1, 0.1),
            "training.as_it_went",
            id="nothing else was tried",
        ),
        pytest.param(
            Outcome((FORGOT, AT_CHANCE), None, False, 0.1, 0.9), "training.start_kept", id="the start is kept"
        ),
        pytest.param(Outcome((AT_CHANCE,), 0, False, 0.1, 0.09), "training.not_learned", id="what is kept is no good"),
    ],
)
def test_how_a_training_ended_decides_what_is_said(outcome: Outcome, key: str | None) -> None:
    results = build_results()
    record(results, "compress", outcome)
    assert [finding.key for finding in find(results)] == ([] if key is None else [key])


def test_the_numbers_are_those_of_the_attempts() -> None:
    results = build_results()
    record(results, "step_by_step", Outcome((FORGOT, GOOD), 1, True, 0.1, 0.9))
    (finding,) = find(results)
    english, persian = say(finding)
    assert english == (
        "Training `fine-tuning` of the step *step-by-step* began anew at a learning rate of 0.05 instead of 0.2, at "
        "which the network forgot most of what it knew."
    )
    assert "۰٫۰۵ به جای ۰٫۲" in persian
    assert finding.source.endswith("`result.trainings[0]`")
    results["step_by_step"]["trainings"][0]["attempts"][0]["learning_rate"] = 0.4
    assert "0.05 instead of 0.4" in say(find(results)[0])[0]
    record(results, "step_by_step", Outcome((FORGOT, AT_CHANCE), 1, False, 0.1, 0.82))
    english, persian = say(find(results)[0])
    assert "(rates tried: 2, the lowest 0.05). It went from 82.00 to 11.00 %" in english
    assert english.endswith("where the largest class alone makes 10.00 %.")
    assert "۸۲٫۰۰" in persian


def test_each_training_that_went_wrong_is_told_by_itself() -> None:
    results = build_results()
    gentler = Outcome((FORGOT, GOOD), 1, True, 0.1, 0.9)
    record(results, "compress", gentler, Outcome((GOOD,), 0, True, 0.1, 0.5), gentler)
    assert [finding.source[-4:-1] for finding in find(results, "compress")] == ["[0]", "[2]"]


def test_results_of_earlier_versions_say_nothing_of_their_trainings() -> None:
    results = build_results()
    assert find(results) == []
    del results["compress"]
    assert find(results, "compress") == []


@pytest.mark.parametrize("trouble", list(Trouble))
def test_every_trouble_has_its_words(trouble: Trouble) -> None:
    assert ENGLISH.term(f"trouble.{trouble}") != PERSIAN.term(f"trouble.{trouble}")


NAMES = ("training_results", "one_shot", "step_by_step", "widths", "channels", "final", "controls")


def build_results_of(results: Results, language: str, folder: Path) -> tuple[Builder, list[Section]]:
    desk = Builder(read_evidence(build_facts(results)), get_wording(language), folder)
    (section,) = build_sections(desk, ["results", *NAMES])
    return desk, list(section.sections)


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "fa"])
def test_the_section_of_each_step_tells_of_its_trainings(language: str, tmp_path: Path) -> None:
    results = build_results()
    desk, sections = build_results_of(results, language, tmp_path)
    lengths = [len(section.blocks) for section in sections]
    assert [finding for finding in desk.findings if finding.key.startswith("training.")] == []
    for step in STEPS:
        record(results, step, Outcome((FORGOT, GOOD), 1, True, 0.1, 0.9))
    desk, sections = build_results_of(results, language, tmp_path)
    told = [finding.source.split("`")[1] for finding in desk.findings if finding.key.startswith("training.")]
    assert sorted(told) == sorted(step.job_id for step in desk.evidence.facts.steps.values())
    grown = [len(section.blocks) - before for section, before in zip(sections, lengths, strict=True)]
    # Widths and controls end with a list that there is anyway.
    assert grown == [1, 1, 1, 0, 1, 1, 0]
