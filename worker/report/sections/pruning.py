"""Results of training and of pruning: the network, its mistakes, the searches, and both ways beside their controls."""

from __future__ import annotations

from functools import partial

from worker.report import facts as names
from worker.report.analysis.claims import (
    analyse_channels,
    analyse_controls,
    analyse_fit,
    cite,
)
from worker.report.analysis.classes import analyse_classes
from worker.report.analysis.confusions import count_errors, rank_pairs
from worker.report.analysis.pruning import analyse_plain_files, analyse_search, compare_pruning
from worker.report.analysis.results import Measured, Model
from worker.report.analysis.trainings import analyse_trainings
from worker.report.content import Block, Section, Table
from worker.report.figures.compression import Mark, draw_intervals, draw_layers, draw_sparsity
from worker.report.figures.training import draw_confusion, draw_training
from worker.report.language.values import (
    Value,
    class_name,
    code,
    count,
    decimals,
    kilobytes,
    percent,
    points,
    significant,
)
from worker.report.sections.builder import Builder, Cells
from worker.report.sections.layer_rows import list_layer_rows

SHOWN_PAIRS = 8
SHORTEST_CURVE = 3
"""Different sparsities that a curve needs to be one."""


def build_results(desk: Builder) -> Section:
    """Opens the results; what was measured follows in sections of its own."""
    example = cite(desk.evidence.baseline, "evaluation").replace("`", "")
    return desk.section("results", [desk.paragraph("results.opening", example=code(example))])


def build_training(desk: Builder) -> Section:
    """Curves and accuracy of the trained network."""
    baseline = desk.evidence.baseline
    history, best = baseline.history, baseline.best_epoch
    blocks: list[Block] = [
        *desk.argue(analyse_fit(desk.evidence), figure="training" if history else None, table="baseline"),
        *desk.list_findings(analyse_trainings(desk.evidence, names.TRAIN)),
    ]
    if best is not None:
        blocks.append(
            desk.figure(
                "training", partial(draw_training, desk.canvas, history=history, best_epoch=best),
                source=cite(baseline, "history"), epochs=count(len(history)),
            )
        )  # fmt: skip
    rows = [_describe_split(desk.term(f"split.{name}"), one) for name, one in _splits(baseline)]
    columns = desk.columns("split", "#right", "#pictures", "#split_accuracy", "#interval", "#loss")
    blocks.append(desk.table("baseline", columns, rows, source=cite(baseline, "evaluation")))
    return desk.section("training_results", blocks)


def _splits(model: Model) -> list[tuple[str, Measured]]:
    return [("validation", model.validation), ("test", model.test)]


def _describe_split(name: str, measured: Measured) -> list[Value | str]:
    return [
        name,
        count(measured.num_correct),
        count(measured.num_examples),
        percent(measured.accuracy),
        Value("interval", measured.interval),
        decimals(measured.loss, 4),
    ]


def report_classes(desk: Builder, key: str, model: Model) -> Table:
    """scikit-learn's classification report."""
    rows: Cells = []
    for label in desk.evidence.class_names:
        row = model.class_scores[label]
        scores = [decimals(row[score]) for score in ("precision", "recall", "f1-score")]
        rows.append([class_name(label), *scores, count(int(row["support"]))])
    for average, key_of_name in (("macro avg", "macro_avg"), ("weighted avg", "weighted_avg")):
        row = model.class_scores[average]
        scores = [decimals(row[score]) for score in ("precision", "recall", "f1-score")]
        rows.append([desk.term(key_of_name), *scores, count(int(row["support"]))])
    return desk.table(
        key, desk.columns("class", "#precision", "#recall", "#f1", "#pictures"), rows,
        source=cite(model, "classification_report"), emphasis=[len(rows) - 2, len(rows) - 1],
        accuracy=percent(model.test.accuracy),
    )  # fmt: skip


def build_classes(desk: Builder) -> Section:
    """The classification report and what is taken for what."""
    baseline, labels = desk.evidence.baseline, desk.evidence.class_names
    source = cite(baseline, "confusion_matrix")
    blocks: list[Block] = [
        *desk.argue(analyse_classes(desk.evidence), figure="confusion", table="classes"),
        report_classes(desk, "classes", baseline),
        desk.figure(
            "confusion", partial(draw_confusion, desk.canvas, matrix=baseline.matrix, class_names=labels),
            source=source, width=0.86,
        ),
    ]  # fmt: skip
    pairs = rank_pairs(baseline.matrix, labels)[:SHOWN_PAIRS]
    if pairs:
        errors = count_errors(baseline.matrix)
        rows: Cells = [
            [
                class_name(pair.one), class_name(pair.other), count(pair.forth), count(pair.back), count(pair.total),
                percent(pair.total / errors),
            ]
            for pair in pairs
        ]  # fmt: skip
        columns = desk.columns("first_class", "second_class", "#forth", "#back", "#both", "#share_of_errors")
        blocks.append(desk.table("confusions", columns, rows, source=source, errors=count(errors)))
    return desk.section("classes", blocks)


def build_one_shot(desk: Builder) -> Section | None:
    """The search without retraining."""
    return _build_search(desk, names.ONE_SHOT, desk.evidence.one_shot)


def build_step_by_step(desk: Builder) -> Section | None:
    """The search with retraining, and its zeros by layer."""
    return _build_search(desk, names.STEP_BY_STEP, desk.evidence.step_by_step)


def _build_search(desk: Builder, key: str, model: Model | None) -> Section | None:
    """Its curve as picture and numbers, and what it ended with. key: a step's name."""
    if model is None:
        return None
    blocks: list[Block] = [
        *desk.argue(analyse_search(desk.evidence, model, key), figure=f"curve_{key}", table=f"probes_{key}"),
        *desk.list_findings(analyse_trainings(desk.evidence, key)),
        draw_curves(desk, key, {key: model}),
        list_probes(desk, key, model),
    ]
    if key == names.STEP_BY_STEP:
        rows: Cells = [
            [head, count(layer.zeros), count(layer.total), percent(layer.sparsity)]
            for head, layer in list_layer_rows(desk, model.layers)
        ]
        zeros, total = sum(layer.zeros for layer in model.layers), sum(layer.total for layer in model.layers)
        rows.append([desk.term("total"), count(zeros), count(total), percent(zeros / total)])
        columns = desk.columns("layer", "#zeros", "#weights", "#sparsity")
        source = cite(model, "sparsity")
        blocks.append(desk.table("check_sparsity", columns, rows, source=source, emphasis=[len(rows) - 1]))
    return desk.section(key, blocks)


def draw_curves(desk: Builder, key: str, models: dict[str, Model]) -> Block:
    """Accuracy on validation against sparsity, of one or several searches."""
    evidence = desk.evidence
    labels = {name: desk.term(f"model.{name}") for name in models}
    channels = names.CHANNELS in models
    return desk.figure(
        f"curve_{key}",
        partial(
            draw_sparsity,
            desk.canvas,
            curves={
                labels[name]: [(probe.sparsity, probe.accuracy) for probe in model.curve]
                for name, model in models.items()
            },
            baseline=evidence.baseline.validation.accuracy,
            max_drop=evidence.max_drop,
            chosen={labels[name]: model.chosen_probe.sparsity for name, model in models.items()},
            axis="channels" if channels else "sparsity",
        ),
        source="; ".join(cite(model, "curve") for model in models.values()),
    )


def list_probes(desk: Builder, key: str, model: Model) -> Table:
    """Every probe of a search as numbers; the chosen one bold."""
    probes, chosen = model.curve, model.chosen_probe
    rows: Cells = [
        [
            percent(probe.sparsity), percent(probe.accuracy), points(probe.drop),
            desk.term("yes" if probe.within else "no"), count(probe.retrained_epochs),
        ]
        for probe in probes
    ]  # fmt: skip
    columns = desk.columns("#sparsity", "#validation_accuracy", "#drop", "within", "#retrained")
    emphasis = [place for place, probe in enumerate(probes) if probe == chosen]
    return desk.table(f"probes_{key}", columns, rows, source=cite(model, "curve"), emphasis=emphasis)


def build_comparison(desk: Builder) -> Section | None:
    """One-shot against step-by-step."""
    evidence = desk.evidence
    one_shot, stepped = evidence.one_shot, evidence.step_by_step
    if one_shot is None or stepped is None:
        return None
    models = {names.ONE_SHOT: one_shot, names.STEP_BY_STEP: stepped}
    rows: Cells = [
        [
            desk.term(f"model.{name}"), percent(model.test.accuracy), Value("interval", model.test.interval),
            points(evidence.drop(model, "validation")), points(evidence.drop(model)), percent(model.sparsity),
            kilobytes(model.sizes["packed"]),
        ]
        for name, model in models.items()
    ]  # fmt: skip
    columns = desk.columns("model", "#accuracy", "#interval", "#drop_validation", "#drop_test", "#sparsity", "#packed")
    layers = [layer.name for layer in stepped.layers]
    shares = {desk.term(f"model.{name}"): [layer.sparsity for layer in model.layers] for name, model in models.items()}
    both = "; ".join(cite(model, "sparsity.layers") for model in models.values())
    blocks: list[Block] = [
        *desk.argue(compare_pruning(evidence), figure="curve_comparison", table="comparison"),
        desk.table("comparison", columns, rows, source="; ".join(cite(model) for model in models.values())),
        draw_curves(desk, "comparison", models),
        desk.figure("layers", partial(draw_layers, desk.canvas, names=layers, columns=shares), source=both),
        *desk.argue(analyse_plain_files(evidence)),
    ]
    return desk.section("comparison", blocks)


def build_controls(desk: Builder) -> Section | None:
    """Each claim beside its control."""
    evidence = desk.evidence
    controls = desk.control_models()
    if not controls:
        return None
    claims = [(desk.term(f"model.{names.TRAIN}"), evidence.baseline)]
    for name, model in ((names.ONE_SHOT, evidence.one_shot), (names.STEP_BY_STEP, evidence.step_by_step)):
        if model is not None:
            claims.append((desk.term(f"model.{name}"), model))
    if evidence.final is not None:
        claims.append((desk.term(f"model.{names.COMPRESS}"), evidence.final))
    listed = [*claims, *controls]
    rows: Cells = [
        [
            name, percent(model.test.accuracy), Value("interval", model.test.interval), percent(model.sparsity),
            kilobytes(model.file_bytes),
        ]
        for name, model in listed
    ]  # fmt: skip
    marks = [
        Mark(model.test.accuracy, model.test.interval, label=name, is_main=(name, model) in controls)
        for name, model in listed
    ]
    source = "; ".join(f"`{model.step.job_id}`" for _, model in listed)
    columns = desk.columns("model", "#accuracy", "#interval", "#sparsity", "#file")
    return desk.section(
        "controls",
        [
            desk.paragraph("controls.opening"),
            desk.table("controls", columns, rows, source=source),
            desk.figure(
                "controls", partial(draw_intervals, desk.canvas, marks=marks, baseline=evidence.baseline.test.accuracy),
                source=source,
            ),
            *desk.list_findings([*analyse_controls(evidence), *analyse_trainings(evidence, *names.CONTROL_STEPS)]),
        ],
    )  # fmt: skip


def build_channels(desk: Builder) -> Section | None:
    """Channel pruning: what it saves in work and in bytes."""
    evidence, model = desk.evidence, desk.evidence.channels
    if model is None:
        return None
    before, times = evidence.baseline, (model.baseline_latency, model.latency)
    rows: Cells = [
        [desk.term("row.accuracy"), percent(before.test.accuracy), percent(model.test.accuracy)],
        [
            desk.term("row.weights"),
            count(sum(layer.total for layer in before.layers)),
            count(sum(layer.total for layer in model.layers)),
        ],
        [desk.term("row.macs"), count(model.baseline_macs), count(model.macs)],
        [desk.term("row.latency"), *(significant(None if one is None else one.median_ms) for one in times)],
        [desk.term("row.file"), kilobytes(before.file_bytes), kilobytes(model.file_bytes)],
    ]
    if model.hidden_widths:
        rows.append([desk.term("row.widths"), "–", code("-".join(str(width) for width in model.hidden_widths))])
    places = {probe.sparsity for probe in model.curve}
    return desk.section(
        "channels",
        [
            *desk.argue(analyse_channels(evidence)),
            *desk.list_findings(analyse_trainings(evidence, names.CHANNELS)),
            desk.table("channels", desk.columns("quantity", "#before", "#after"), rows, source=cite(model)),
            *([draw_curves(desk, "channels", {names.CHANNELS: model})] if len(places) >= SHORTEST_CURVE else []),
        ],
    )
