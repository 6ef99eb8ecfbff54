"""What each technique bought on the way to the compressed file, and what that file is held against."""

from __future__ import annotations

from functools import partial

from worker.report import facts as names
from worker.report.analysis.claims import analyse_file_controls, cite
from worker.report.content import Section
from worker.report.figures.ablation import AblationStep, draw_ablation
from worker.report.language.techniques import name_techniques
from worker.report.language.values import count, kilobytes, percent, points
from worker.report.language.wording import strip_isolates
from worker.report.sections.builder import Builder, Cells


def build_ablation(desk: Builder) -> Section | None:
    """The way from the checkpoint to the file, a technique at a time."""
    evidence, final = desk.evidence, desk.evidence.final
    if final is None or not final.ablation:
        return None
    # An older version's sentence that names no known technique stands for itself.
    labels = [name_techniques(desk.wording, row.applied) or row.technique for row in final.ablation]
    rows: Cells = [
        [
            label,
            desk.term(f"measure.{row.measure}"),
            kilobytes(row.bytes_after),
            # The first is held against itself.
            percent(1 - row.bytes_after / row.bytes_before if place else None),
            percent(row.accuracy_after),
            points(row.drop_after),
        ]
        for place, (label, row) in enumerate(zip(labels, final.ablation, strict=True))
    ]
    steps = [
        AblationStep(strip_isolates(label), row.bytes_after, row.drop_after)
        for label, row in zip(labels, final.ablation, strict=True)
    ]
    columns = desk.columns("added", "measure", "#kilobytes", "#saved", "#validation_accuracy", "#drop_validation")
    source = cite(final, "ablation")
    draw = partial(draw_ablation, desk.canvas, steps=steps, max_drop=evidence.max_drop)
    return desk.section(
        "ablation",
        [
            desk.paragraph("ablation.opening"),
            desk.figure("ablation", draw, source=source),
            desk.table("ablation", columns, rows, source=source, emphasis=[len(rows) - 1]),
        ],
    )


def build_file_controls(desk: Builder) -> Section | None:
    """The compressed file beside files that spent as many epochs in other ways."""
    evidence, final = desk.evidence, desk.evidence.final
    controls = evidence.file_controls
    if final is None or not controls:
        return None
    rows: Cells = [
        [
            desk.term(f"model.{names.COMPRESS}"), kilobytes(final.file_bytes), percent(final.sparsity), "–",
            percent(final.validation.accuracy), percent(final.test.accuracy), points(evidence.drop(final)),
        ]
    ]  # fmt: skip
    rows += [
        [
            one.label, kilobytes(one.row.num_bytes), percent(one.row.sparsity), count(one.row.epochs),
            percent(one.row.validation_accuracy), percent(one.row.test_accuracy), points(one.row.test_drop),
        ]
        for one in controls
    ]  # fmt: skip
    columns = desk.columns(
        "model", "#file", "#sparsity", "#retrained", "#validation_accuracy", "#accuracy", "#drop_test"
    )
    table = desk.table("file_controls", columns, rows, source=cite(final, "controls"), emphasis=[0])
    findings = desk.list_findings(analyse_file_controls(evidence))
    return desk.section("file_controls", [desk.paragraph("file_controls.opening"), table, *findings])
