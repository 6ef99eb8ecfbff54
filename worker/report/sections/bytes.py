"""Results of quantization, of counting bytes, and of the final model."""

from __future__ import annotations

from functools import partial

from worker.report import facts as names
from worker.report.analysis.claims import (
    analyse_quantization,
    analyse_widest,
    cite,
)
from worker.report.analysis.classes import analyse_confusions, analyse_final_classes
from worker.report.analysis.evidence import COMPRESSED_SUFFIX, Evidence
from worker.report.analysis.pruning import analyse_final, analyse_sizes
from worker.report.analysis.results import Model, read_sentences
from worker.report.analysis.techniques import find_techniques
from worker.report.analysis.trainings import analyse_trainings
from worker.report.content import Block, Bullets, Column, Figure, Listing, Section, Table
from worker.report.figures.compression import Mark, draw_bit_widths, draw_front, draw_ledger, draw_overview
from worker.report.figures.training import draw_confusion, draw_quantization
from worker.report.language.values import Value, code, count, decimals, kilobytes, percent, points, ratio, slashed
from worker.report.sections.builder import Builder, Cells
from worker.report.sections.layer_rows import list_layer_rows
from worker.report.sections.pruning import report_classes

MEASURES = ("formula", "float32", "packed", "entropy", "file")


def build_widest(desk: Builder) -> Section | None:
    """Training at the widest width, by epoch, with precision, recall and F1 beside the float model's."""
    evidence = desk.evidence
    if not evidence.widths:
        return None
    bits, model = next(iter(evidence.widths.items()))
    blocks: list[Block] = []
    history = model.history
    baseline = {"loss": evidence.baseline.validation.loss, "accuracy": evidence.baseline.validation.accuracy}
    if history:
        draw = partial(draw_quantization, desk.canvas, histories={bits: history}, baseline=baseline)
        blocks.append(desk.paragraph("widest.training", bits=count(bits), epochs=count(len(history))))
        blocks.append(desk.figure("widest", draw, source=cite(model, "history"), bits=count(bits)))
        rows: Cells = [
            [
                count(row["epoch"]), decimals(row["train_loss"], 4), percent(row["train_accuracy"]),
                decimals(row["validation_loss"], 4), percent(row["validation_accuracy"]),
            ]
            for row in history
        ]  # fmt: skip
        columns = desk.columns("#epoch", "#train_loss", "#train_accuracy", "#validation_loss", "#validation_accuracy")
        blocks.append(desk.table("widest_training", columns, rows, source=cite(model, "history"), bits=count(bits)))
    blocks += desk.argue(analyse_widest(evidence))
    blocks.append(_compare_scores(desk, bits, model))
    return Section("widest", desk.say("heading.widest", bits=count(bits)), blocks)


def _compare_scores(desk: Builder, bits: int, model: Model) -> Table:
    scores = ("precision", "recall", "f1-score")
    rows: Cells = [
        [
            name,
            percent(one.test.accuracy),
            *(decimals(one.macro[score], 4) for score in scores),
            decimals(one.test.loss, 4),
        ]
        for name, one in ((desk.term(f"model.{names.TRAIN}"), desk.evidence.baseline), (desk.name_width(bits), model))
    ]
    columns = desk.columns("model", "#accuracy", "#precision", "#recall", "#f1", "#loss")
    source = f"{cite(desk.evidence.baseline, 'evaluation.test')}; {cite(model, 'evaluation.test')}"
    return desk.table("widest_scores", columns, rows, source=source, bits=count(bits))


def build_widths(desk: Builder) -> Section | None:
    """All widths beside one another."""
    evidence = desk.evidence
    if not evidence.widths:
        return None
    source = f"`{next(iter(evidence.widths.values())).step.job_id}` · `result.widths`"
    blocks: list[Block] = []
    histories = {bits: model.history for bits, model in evidence.widths.items()}
    if all(histories.values()) and len(histories) > 1:
        baseline = {"loss": evidence.baseline.validation.loss, "accuracy": evidence.baseline.validation.accuracy}
        draw = partial(draw_quantization, desk.canvas, histories=histories, baseline=baseline)
        blocks.append(desk.figure("width_training", draw, source=source))
    rows: Cells = []
    emphasis = []
    listed = [
        (desk.term("model.train"), evidence.baseline),
        *((desk.name_width(b), m) for b, m in evidence.widths.items()),
    ]
    for place, (name, model) in enumerate(listed):
        scores = [decimals(model.macro[score]) for score in ("precision", "recall", "f1-score")]
        drops: list[Value | str] = ["–", "–"]
        if place:
            drops = [points(evidence.drop(model, "validation")), points(evidence.drop(model))]
            if list(evidence.widths)[place - 1] == evidence.best_width:
                emphasis.append(place)
        rows.append(
            [name, percent(model.test.accuracy), *drops, *scores, kilobytes(model.file_bytes), ratio(model.ratio)]
        )
    columns = desk.columns(
        "model", "#accuracy", "#drop_validation", "#drop_test", "#precision", "#recall", "#f1", "#file", "#ratio"
    )
    blocks.append(desk.table("widths", columns, rows, source=source, emphasis=emphasis))
    marks = {b: Mark(m.test.accuracy, m.test.interval, m.file_bytes) for b, m in evidence.widths.items()}
    draw_marks = partial(draw_bit_widths, desk.canvas, marks=marks, baseline=evidence.baseline.test.accuracy)
    blocks.append(desk.figure("widths", draw_marks, source=source))
    blocks += desk.list_findings([*analyse_quantization(evidence), *analyse_trainings(evidence, names.QUANTIZE)])
    return desk.section("widths", blocks)


def build_sizes(desk: Builder) -> Section:
    """The formula by layer, the ledger by model."""
    evidence = desk.evidence
    widths = list(evidence.widths) or [8, 6, 4, 2]
    rows: Cells = [
        [head, count(layer.total), *(kilobytes(layer.total * bits / 8) for bits in (32, *widths))]
        for head, layer in list_layer_rows(desk, evidence.baseline.layers)
    ]
    total = sum(layer.total for layer in evidence.baseline.layers)
    rows.append([desk.term("total"), count(total), *(kilobytes(total * bits / 8) for bits in (32, *widths))])
    rows.append([desk.term("row.ratio"), "", *(ratio(32 / bits) for bits in (32, *widths))])
    columns = [
        *desk.columns("layer", "#weights"),
        *(Column(desk.name_width(bits), numeric=True) for bits in (32, *widths)),
    ]
    source = cite(evidence.baseline, "sparsity.layers")
    blocks: list[Block] = [
        desk.paragraph("sizes.formula"),
        desk.table("formula", columns, rows, source=source, emphasis=[len(rows) - 2, len(rows) - 1]),
    ]
    ledger: Cells = [
        [name, *(kilobytes(model.sizes.get(measure)) for measure in MEASURES), ratio(model.ratio)]
        for name, model in desk.models()
    ]
    columns = [
        *desk.columns("model"),
        *(Column(desk.term(f"measure.{measure}"), numeric=True) for measure in MEASURES),
        *desk.columns("#ratio"),
    ]
    source = cite_all(evidence, "size")
    blocks.append(desk.table("ledger", columns, ledger, source=source))
    if evidence.final is not None:
        draw = partial(draw_ledger, desk.canvas, entries=evidence.final.sizes)
        blocks.append(desk.figure("ledger", draw, source=cite(evidence.final, "size")))
    figure = "ledger" if evidence.final is not None else None
    return desk.section("sizes", [*blocks, *desk.argue(analyse_sizes(evidence), figure=figure)])


def build_final(desk: Builder) -> Section | None:
    """The final model: metrics, mistakes, and how to get it."""
    evidence, final = desk.evidence, desk.evidence.final
    if final is None:
        return None
    candidates = final.candidates
    figure = "front" if len(candidates) > 1 else None
    blocks: list[Block] = [
        *desk.argue(analyse_final(evidence), figure=figure, table="final"),
        *desk.list_findings(analyse_trainings(evidence, names.COMPRESS)),
        _describe_final(desk, final),
    ]
    if len(candidates) > 1:
        chosen = final.chosen_candidate
        reserve = evidence.find_reserve(chosen)
        draw = partial(
            draw_front,
            desk.canvas,
            tried=[(one.num_bytes, one.accuracy) for one in candidates],
            front=[(one.num_bytes, one.accuracy) for one in final.front],
            threshold=evidence.baseline.validation.accuracy - evidence.max_drop / 100,
            safe=None if reserve is None else evidence.baseline.validation.accuracy - reserve.max_drop / 100,
            chosen=(chosen.num_bytes, chosen.accuracy),
        )
        blocks.append(desk.figure("front", draw, source=cite(final, "candidates")))
    labels = evidence.class_names
    confusion = partial(draw_confusion, desk.canvas, matrix=final.matrix, class_names=labels)
    found = [*analyse_confusions(final, labels), *analyse_final_classes(evidence)]
    blocks += [
        *desk.argue(found, figure="final_confusion", table="final_classes"),
        report_classes(desk, "final_classes", final),
        desk.figure("final_confusion", confusion, source=cite(final, "confusion_matrix"), width=0.86),
        desk.paragraph("final.download"),
        Listing(_write_download(final), "bash"),
        desk.paragraph("final.reload"),
        Listing(_write_reload(), "python"),
    ]
    return desk.section("final", blocks)


def _describe_final(desk: Builder, final: Model) -> Table:
    evidence = desk.evidence
    rows: Cells = [
        [desk.term("row.model_id"), code(final.model_id)],
        [desk.term("row.accuracy"), percent(final.test.accuracy)],
        [desk.term("row.interval"), Value("interval", final.test.interval)],
        [desk.term("row.drop_validation"), points(evidence.drop(final, "validation"))],
        [desk.term("row.drop_test"), points(evidence.drop(final))],
        [desk.term("row.macro"), slashed([final.macro[key] for key in ("precision", "recall", "f1-score")])],
        [desk.term("row.sparsity"), percent(final.sparsity)],
        [desk.term("row.macs"), count(final.macs)],
        [desk.term("row.file_bytes"), count(final.file_bytes)],
        [desk.term("row.file"), kilobytes(final.file_bytes)],
        [desk.term("row.ratio"), ratio(final.ratio)],
    ]
    path = next((one for one in final.step.artifacts if one.name.endswith(COMPRESSED_SUFFIX)), None)
    if path is not None:
        rows.append([desk.term("row.sha256"), f"`{path.sha256[:32]}`\n`{path.sha256[32:]}`"])
    columns = [Column(desk.term("head.quantity"), weight=1), Column(desk.term("head.value"), weight=1.6)]
    return desk.table("final", columns, rows, source=cite(final))


def _write_download(final: Model) -> str:
    return f'curl -fsS "$api/v1/models/{final.model_id}/download?format=compressed" \\\n     -o compressed.tonok'


def _write_reload() -> str:
    return (
        "from pathlib import Path\n"
        "from worker.core.checkpoint import load_compressed\n\n"
        "# The model computes on the stored integers. x: (B, 1, H, W), normalised.\n"
        'model, network = load_compressed(Path("compressed.tonok"))\n'
        "logits = model(x)"
    )


def build_techniques(desk: Builder) -> Section | None:
    """What else went into the models, each explained."""
    evidence = desk.evidence
    found = find_techniques(evidence.facts)
    if not found:
        return None
    items = [desk.say(f"technique.{key}") for key in found]
    blocks: list[Block] = [desk.paragraph("techniques.opening"), Bullets(items)]
    said = read_sentences(evidence.final.step) if evidence.final is not None else []
    if said:
        blocks.append(desk.paragraph("techniques.recorded", field=code("result.techniques")))
        blocks.append(Listing("\n".join(f"- {line}" for line in said), "text"))
    return desk.section("techniques", blocks)


def cite_all(evidence: Evidence, part: str = "") -> str:
    """Where every model's numbers come from; the bit widths are rows of one job."""
    singles = (evidence.baseline, evidence.one_shot, evidence.step_by_step, evidence.channels, evidence.final)
    sources = [cite(model, part) for model in singles if model is not None]
    widths = {f"`{model.step.job_id}` · `result.widths`" for model in evidence.widths.values()}
    return "; ".join([*sources, *widths])


def list_all_models(desk: Builder) -> Table:
    """Every model with its accuracy and its bytes: the table of tables."""
    evidence = desk.evidence
    listed = desk.models()
    rows: Cells = [
        [
            name, percent(model.test.accuracy), Value("interval", model.test.interval),
            "–" if model is evidence.baseline else points(evidence.drop(model)), percent(model.sparsity),
            kilobytes(model.file_bytes), ratio(model.ratio),
        ]
        for name, model in listed
    ]  # fmt: skip
    columns = desk.columns("model", "#accuracy", "#interval", "#drop_test", "#sparsity", "#file", "#ratio")
    source = cite_all(evidence)
    emphasis = [len(rows) - 1] if evidence.final else []
    return desk.table("all_models", columns, rows, source=source, emphasis=emphasis)


def draw_all_models(desk: Builder) -> Figure:
    """Every model on the plane of bytes and accuracy."""
    evidence = desk.evidence
    marks = [
        Mark(model.test.accuracy, model.test.interval, model.file_bytes, name, model is evidence.final)
        for name, model in desk.models()
    ]
    source = cite_all(evidence)
    return desk.figure(
        "overview", partial(draw_overview, desk.canvas, marks=marks, floor=evidence.floor), source=source
    )
