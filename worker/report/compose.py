"""A study's facts → a whole report in one language, with its figures drawn and every finding on record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.report.analysis.evidence import Evidence, read_evidence
from worker.report.analysis.findings import Finding
from worker.report.content import Labels, Report, number_parts
from worker.report.facts import StudyFacts
from worker.report.language.values import kilobytes, percent, text, times_smaller
from worker.report.language.wording import Wording, get_wording
from worker.report.sections.builder import Builder
from worker.report.sections.registry import build_sections


@dataclass(frozen=True)
class Composition:
    """A report with its numbering, its language and its findings."""

    report: Report
    labels: Labels
    wording: Wording
    findings: tuple[Finding, ...]
    evidence: Evidence


def compose(facts: StudyFacts, language: str, folder: Path) -> Composition:
    """Writes the report of a study. folder: where the figures are put as PNG. Raises KeyError for another language."""
    evidence, wording = read_evidence(facts), get_wording(language)
    desk = Builder(evidence, wording, folder)
    sections = build_sections(desk)
    dataset = desk.name_dataset()
    kind = f"kind.{evidence.architecture}"
    network = wording.term(kind if kind in wording else "kind.other")
    report = Report(
        language=language,
        title=wording.say("title", network=text(network), dataset=text(dataset)),
        subtitle=wording.term("subtitle"),
        facts=_list_facts(desk),
        sections=sections,
    )
    words = {kind: wording.term(f"reference.{kind}") for kind in ("tab", "fig", "sec", "app")}
    digits = {ord(digit): wording.numerals.localize(digit) for digit in "0123456789"}
    labels = number_parts(report, words, digits)
    return Composition(report, labels, wording, tuple(desk.findings), evidence)


def _list_facts(desk: Builder) -> list[tuple[str, str]]:
    evidence = desk.evidence
    baseline, final = evidence.baseline, evidence.final
    listed = [
        (desk.term("fact.study"), f"`{evidence.facts.job_id}`"),
        (desk.term("fact.network"), f"`{evidence.architecture}`"),
        (desk.term("fact.baseline"), desk.say("fact.accuracy", accuracy=percent(baseline.test.accuracy))),
    ]
    if final is not None:
        said = desk.say(
            "fact.final",
            accuracy=percent(final.test.accuracy),
            kilobytes=kilobytes(final.file_bytes),
            ratio=times_smaller(final.ratio),
        )
        listed.append((desk.term("fact.compressed"), said))
    effort = evidence.facts.spec.get("effort")
    if effort:
        listed.append((desk.term("fact.effort"), f"`{effort}`"))
    return listed


def describe(made: Composition) -> dict[str, Any]:
    """The report as data: what was said and of which numbers, and the steps and artifacts that they come from."""
    facts = made.evidence.facts
    return {
        "study": facts.job_id,
        "language": made.report.language,
        "title": made.report.title,
        "spec": dict(facts.spec),
        "environment": dict(facts.environment),
        "findings": [finding.to_json(made.wording) for finding in made.findings],
        "steps": {
            name: {
                "job_id": step.job_id,
                "kind": step.kind,
                "spec": dict(step.spec),
                "result": dict(step.result),
                "seconds": step.seconds,
                "reused": step.reused,
                "artifacts": [
                    {"name": one.name, "kind": one.kind, "sha256": one.sha256, "num_bytes": one.num_bytes}
                    for one in step.artifacts
                ],
            }
            for name, step in facts.steps.items()
        },
    }
