"""Abstract, analysis and conclusion."""

from __future__ import annotations

from worker.report import facts as names
from worker.report.analysis.claims import (
    analyse_channels,
    analyse_controls,
    analyse_fit,
    analyse_quantization,
)
from worker.report.analysis.classes import analyse_classes
from worker.report.analysis.evidence import Order
from worker.report.analysis.findings import Finding
from worker.report.analysis.health import analyse_health
from worker.report.analysis.pruning import (
    analyse_final,
    analyse_plain_files,
    analyse_search,
    analyse_sizes,
    compare_pruning,
    conclude,
)
from worker.report.content import Block, Paragraph, Section
from worker.report.language.values import Value, code, count, percent, text
from worker.report.sections.builder import Builder
from worker.report.sections.bytes import draw_all_models, list_all_models

ENDS = ("found", "none", "beyond", "test")
"""How a search ended, and what test says of it, whether it is good or bad."""


def build_abstract(desk: Builder) -> Section:
    """The run in one paragraph."""
    evidence = desk.evidence
    opening = desk.say(
        "abstract.opening" if evidence.initial_model_id is None else "abstract.opening_fine_tuned",
        architecture=code(evidence.architecture),
        dataset=text(desk.name_dataset()),
    )
    closing = desk.say("abstract.closing")
    said = " ".join([opening, *desk.claim(*conclude(evidence), *analyse_health(evidence)), closing])
    blocks: list[Block] = [Paragraph(said), draw_all_models(desk)]
    return Section("abstract", desk.term("section.abstract"), blocks, numbered=False)


def build_analysis(desk: Builder) -> Section:
    """The questions of the assignment, answered from the numbers."""
    evidence = desk.evidence
    questions: list[tuple[str, list[Finding]]] = [
        ("question_health", analyse_health(evidence)),
        ("question_network", analyse_fit(evidence)),
        ("question_classes", analyse_classes(evidence)),
        (
            "question_pruning",
            [
                *_only(analyse_search(evidence, evidence.one_shot, names.ONE_SHOT), *ENDS),
                *_only(analyse_search(evidence, evidence.step_by_step, names.STEP_BY_STEP), *ENDS),
                *_only(compare_pruning(evidence), "compare"),
                *analyse_plain_files(evidence),
            ],
        ),
        ("question_controls", analyse_controls(evidence)),
        ("question_quantization", analyse_quantization(evidence)),
        ("question_channels", analyse_channels(evidence)),
        ("question_compression", [*analyse_final(evidence), *analyse_sizes(evidence)]),
    ]
    parts = [
        desk.section(key, [*desk.list_findings(findings)])
        for key, findings in questions
        if findings and not (key == "question_pruning" and evidence.one_shot is None and evidence.step_by_step is None)
    ]
    return desk.section("analysis", [desk.paragraph("analysis.opening"), list_all_models(desk)], *parts)


def _only(findings: list[Finding], *words: str) -> list[Finding]:
    """The findings whose key has one of the words between its dots."""
    return [finding for finding in findings if set(words) & set(finding.key.split("."))]


def build_conclusion(desk: Builder) -> Section:
    """What holds at the end of this run, and what it does not show."""
    evidence = desk.evidence
    limits = ["limits.one_seed", "limits.test_set"]
    if not evidence.controls and not evidence.file_controls:
        limits.append("limits.no_controls")
    spec = evidence.facts.spec
    if spec.get("effort") == "quick":
        limits.append("limits.quick")
    # The floor's sentence says the accuracy too; each other answer stands beside whether it is more than chance.
    said = {finding.key.split(".")[1]: finding for finding in conclude(evidence)}
    floor = [finding for finding in analyse_fit(evidence) if finding.key.startswith("floor.")]
    findings = floor or [said["baseline"]]
    findings += [said[name] for name in ("pruning",) if name in said]
    findings += [finding for finding in compare_pruning(evidence) if finding.key.startswith("compare.accuracy")]
    findings += [said[name] for name in ("width", "no_width", "final") if name in said]
    verdicts = {f"final.{order}" for order in Order}
    findings += [finding for finding in analyse_final(evidence) if finding.key in verdicts]
    return desk.section(
        "conclusion",
        [
            *desk.list_findings(findings),
            Paragraph(" ".join(desk.say(key, **_limit_values(key, desk)) for key in limits)),
        ],
    )


def _limit_values(key: str, desk: Builder) -> dict[str, Value]:
    if key == "limits.one_seed":
        return {"seed": count(desk.evidence.seed)}
    if key == "limits.test_set":
        test = desk.evidence.baseline.test
        reach = (test.interval[1] - test.interval[0]) / 2
        return {"examples": count(test.num_examples), "reach": percent(reach)}
    return {}
