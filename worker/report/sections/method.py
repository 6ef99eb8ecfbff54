"""What was done: the data and the network, and how pruning, quantization and counting work."""

from __future__ import annotations

from functools import partial

import numpy as np

from worker.report.analysis import examples
from worker.report.analysis.claims import cite
from worker.report.analysis.reserve import describe_protocol
from worker.report.analysis.results import is_distilled, read_trainings
from worker.report.content import Block, Column, Formula, Listing, Section, Table
from worker.report.facts import StepFact
from worker.report.figures.compression import draw_quantizer
from worker.report.figures.training import draw_samples
from worker.report.language.values import Value, class_name, code, count, decimals, limit, percent, plain, slashed
from worker.report.sections.builder import Builder, Cells
from worker.report.sections.layer_rows import list_layer_rows, name_others, split_rows

SPLITS = ("train", "validation", "test")


def build_data(desk: Builder) -> Section:
    """The data set, the network and how it was trained."""
    evidence = desk.evidence
    dataset = evidence.facts.dataset
    blocks: list[Block] = []
    if f"data.{evidence.dataset}" in desk.wording:
        blocks.append(desk.paragraph(f"data.{evidence.dataset}"))
    elif dataset is not None:
        channels, height, width = dataset.input_shape
        size = {"height": count(height), "width": count(width), "classes": count(len(dataset.class_names))}
        blocks.append(desk.paragraph("data.own_gray" if channels == 1 else "data.own_colour", **size))
    if dataset is not None:
        source = f"`{evidence.baseline.step.job_id}` · `spec.dataset`"
        totals = [sum(dataset.counts[split]) for split in SPLITS]
        rows: Cells = [
            [class_name(name), *(count(dataset.counts[split][label]) for split in SPLITS)]
            for label, name in enumerate(dataset.class_names)
        ]
        rows.append([desk.term("total"), *(count(total) for total in totals)])
        used = evidence.baseline.num_train_examples
        is_limited = used is not None and used < totals[0]
        columns = desk.columns("class", "#train", "#validation", "#test")
        blocks += [
            desk.paragraph(
                "data.split_own" if dataset.is_test_drawn else "data.split",
                train=count(totals[0]),
                validation=count(totals[1]),
                test=count(totals[2]),
                mean=slashed(dataset.mean),
                std=slashed(dataset.std),
            ),
            *([desk.paragraph("data.used", train=count(totals[0]), used=count(used))] if is_limited else []),
            desk.figure(
                "samples" if dataset.input_shape[0] == 1 else "photographs",
                partial(draw_samples, desk.canvas, dataset=dataset),
                source=source,
                width=0.9,
            ),
            desk.table("split", columns, rows, source=source, emphasis=[len(rows) - 1]),
        ]
    return desk.section(
        "data",
        [],
        desk.section("dataset", blocks),
        desk.section("network", _describe_network(desk)),
        desk.section("training", [*_describe_start(desk), desk.paragraph("training.method"), _list_settings(desk)]),
    )


def _describe_start(desk: Builder) -> list[Block]:
    """What the training began with, where that were no fresh weights."""
    model_id, replaced = desk.evidence.initial_model_id, desk.evidence.replaced_layer
    if model_id is None:
        return []
    if replaced is None:
        return [desk.paragraph("training.fine_tuned", model=code(model_id))]
    return [desk.paragraph("training.fine_tuned_to_other_classes", model=code(model_id), layer=code(replaced))]


def _describe_network(desk: Builder) -> list[Block]:
    evidence = desk.evidence
    step = evidence.baseline.step
    blocks: list[Block] = []
    if evidence.architecture in ("fashion_cnn", "lenet5"):
        blocks.append(desk.paragraph(f"network.{evidence.architecture}"))
    modules = evidence.facts.modules
    if not modules:
        rows: Cells = [[head, count(layer.total)] for head, layer in list_layer_rows(desk, evidence.baseline.layers)]
        return [*blocks, desk.table("weights", desk.columns("layer", "#weights"), rows, source=f"`{step.job_id}`")]
    shown, others = split_rows([module.parameters for module in modules])
    rows = [
        [
            code(module.name),
            desk.wording.name("layer", module.kind),
            code("×".join(str(size) for size in module.shape)),
            count(module.parameters),
            count(module.macs),
        ]
        for module in (modules[place] for place in shown)
    ]
    if others:
        hidden = [modules[place] for place in others]
        shared = [sum(module.parameters for module in hidden), sum(module.macs or 0 for module in hidden)]
        rows.append([name_others(desk, len(others)), "", "", *map(count, shared)])
    total, macs = sum(module.parameters for module in modules), sum(module.macs or 0 for module in modules)
    rows.append([desk.term("total"), "", "", count(total), count(macs)])
    size = evidence.baseline.reference_bytes
    blocks.append(
        desk.table(
            "architecture",
            desk.columns("layer", "kind", "shape", "#parameters", "#macs"),
            rows,
            source=cite(evidence.baseline, "model_id"),
            emphasis=[len(rows) - 1],
            architecture=code(evidence.architecture),
        )
    )
    blocks.append(
        desk.paragraph("network.size", parameters=count(total), kilobytes=Value("kilobytes", size), macs=count(macs))
    )
    return blocks


def _list_settings(desk: Builder) -> Table:
    baseline = desk.evidence.baseline
    spec = baseline.step.spec
    optimizer = spec.get("optimizer")
    dataset = desk.evidence.facts.dataset
    is_mirrored, max_shift = baseline.augmentation
    if is_mirrored and dataset is not None:  # the spec alone, of a training that did not tell
        is_mirrored = dataset.is_mirrorable
    shown: list[tuple[str, Value | str | None]] = [
        (
            "optimizer",
            None if optimizer is None else desk.wording.name("optimizer", optimizer),
        ),
        ("learning_rate", _number(_find_rate(baseline.step))),
        ("batch_size", _number(spec.get("batch_size"))),
        ("epochs", _number(spec.get("epochs"))),
        ("best_epoch", _number(baseline.best_epoch)),
        ("weight_decay", _number(spec.get("weight_decay"))),
        ("label_smoothing", _number(spec.get("label_smoothing"))),
        ("flip", None if is_mirrored is None else desk.term("yes" if is_mirrored else "no")),
        ("max_shift", _number(max_shift)),
        ("patience", _number(spec.get("patience"))),
        ("precision", None if baseline.precision is None else code(baseline.precision)),
        (
            "num_train_examples",
            None if baseline.num_train_examples is None else count(baseline.num_train_examples),
        ),
        ("seed", _number(desk.evidence.seed)),
        ("seconds", Value("decimals0", baseline.step.seconds)),
    ]
    rows = [[desk.term(f"setting.{name}"), value] for name, value in shown if value is not None]
    return desk.table(
        "training",
        desk.columns("setting", "#value"),
        rows,
        source=f"`{baseline.step.job_id}` · `spec`; {cite(baseline)}",
    )


def _find_rate(step: StepFact) -> float | None:
    """As asked for; where the network chose it, that of the first attempt."""
    asked: float | None = step.spec.get("learning_rate")
    if asked is not None:
        return asked
    attempts = [attempt for training in read_trainings(step) for attempt in training.attempts]
    return attempts[0].learning_rate if attempts else None


def _number(value: float | None) -> Value | None:
    return None if value is None else plain(value)


def build_method(desk: Builder) -> Section:
    """How every number of the results comes about."""
    evidence = desk.evidence
    allowed = limit(evidence.max_drop)
    parts = [
        desk.section(
            "protocol",
            [
                desk.paragraph("protocol.split"),
                Formula(r"\Delta = 100\,(a_{\mathrm{base}} - a)"),
                desk.paragraph("protocol.drop", limit=allowed),
                Formula(
                    r"\frac{1}{1+z^2/n}\left(\hat p+\frac{z^2}{2n}\pm z\sqrt{\frac{\hat p(1-\hat p)}{n}"
                    r"+\frac{z^2}{4n^2}}\right),\qquad \hat p=\frac{k}{n},\quad z=1.96"
                ),
                desk.paragraph("protocol.intervals"),
                *desk.argue(describe_protocol(evidence)),
            ],
        ),
        desk.section("apply_pruning", _explain_pruning(desk)),
    ]
    if evidence.one_shot is not None or evidence.step_by_step is not None:
        parts.append(desk.section("searches", _explain_searches(desk, allowed)))
    parts.append(desk.section("linear_quantize", _explain_quantization(desk)))
    if evidence.widths:
        parts.append(
            desk.section(
                "qat",
                [
                    desk.paragraph("qat.idea"),
                    Formula(
                        r"\frac{\partial \hat x}{\partial x}\approx"
                        r"\mathbf{1}\left[q_{\min}\le x/s\le q_{\max}\right],\qquad"
                        r"\frac{\partial \hat x}{\partial s}\approx\left\lfloor x/s\right\rceil - x/s"
                    ),
                    desk.paragraph("qat.steps"),
                    desk.paragraph("qat.integers"),
                ],
            )
        )
    if evidence.channels is not None:
        parts.append(desk.section("channel_method", [desk.paragraph("channel_method.idea")]))
    parts.append(desk.section("size_method", _explain_sizes(desk)))
    if evidence.controls:
        parts.append(desk.section("control_method", [desk.paragraph("control_method.idea")]))
    return desk.section("method", [desk.paragraph("method.opening")], *parts)


def _explain_pruning(desk: Builder) -> list[Block]:
    example = examples.prune_example()
    return [
        desk.paragraph("apply_pruning.idea"),
        Listing(
            'masks = apply_pruning(model, method="magnitude", sparsity=0.5, scope="global")\n'
            "report = check_sparsity(model)      # report.sparsity, report.layers[i].num_zeros"
        ),
        desk.paragraph("apply_pruning.steps"),
        # A matrix is read from left to right in Persian too: a formula, not a table.
        Formula(f"{_write_matrix(example.before)}\\quad\\longrightarrow\\quad {_write_matrix(example.after)}"),
        desk.paragraph(
            "apply_pruning.example",
            asked=percent(examples.PRUNED),
            zeros=count(example.num_zeros),
            weights=count(example.num_weights),
            threshold=decimals(example.threshold, 2),
            sparsity=percent(example.sparsity),
        ),
        desk.paragraph("apply_pruning.check"),
    ]


def _write_matrix(rows: list[list[float]]) -> str:
    lines = [" & ".join(f"{value:.2f}" if value else "0" for value in row) for row in rows]
    body = " \\\\ ".join(lines)
    return rf"\begin{{pmatrix}}{body}\end{{pmatrix}}"


def _explain_searches(desk: Builder, allowed: Value) -> list[Block]:
    evidence = desk.evidence
    blocks: list[Block] = []
    if evidence.one_shot is not None:
        blocks.append(desk.paragraph("searches.one_shot", limit=allowed))
    if evidence.step_by_step is not None:
        spec = evidence.step_by_step.step.spec
        blocks.append(desk.paragraph("searches.step_by_step", steps=plain(spec.get("steps", 0))))
        if spec.get("schedule") == "geometric":
            blocks.append(Formula(r"S_t = 1-\left(1-S_T\right)^{t/T},\qquad t=1,\dots,T"))
            blocks.append(desk.paragraph("searches.geometric"))
        if is_distilled(evidence.step_by_step.step):
            blocks.append(desk.paragraph("searches.distillation"))
    return blocks


def _explain_quantization(desk: Builder) -> list[Block]:
    example = examples.quantize_example()
    rows: Cells = [
        [decimals(one.x, 2), decimals(one.scaled, 3), count(one.q), decimals(one.returned, 4), decimals(one.error, 4)]
        for one in example.values
    ]
    columns = [Column("$x$", numeric=True), Column("$x/s$", numeric=True), Column("$q$", numeric=True)]
    columns += [Column(r"$\hat x$", numeric=True), Column(r"$\hat x-x$", numeric=True)]
    x, returned = np.linspace(-1.2, 1.2, 1201, dtype=np.float32), {}
    for bits in (2, 4, 8):
        scale = 1 / examples.compute_levels(bits)[1]
        returned[bits] = (scale * examples.quantize(x, scale, bits)).tolist()
    return [
        desk.paragraph("linear_quantize.idea"),
        Formula(
            r"q=\operatorname{clamp}\left(\left\lfloor \frac{x}{s}\right\rceil+z,\ q_{\min},\ q_{\max}\right),\qquad"
            r"\hat x=s\,(q-z)"
        ),
        desk.paragraph("linear_quantize.range"),
        Formula(
            r"s=\frac{\max\left|x\right|}{q_{\max}},\quad z=0\qquad\text{;}\qquad "
            r"s=\frac{x_{\max}-x_{\min}}{2^{b}-1},\quad z=-\left\lfloor \frac{x_{\min}}{s}\right\rceil"
        ),
        desk.paragraph("linear_quantize.error"),
        desk.table(
            "quantization_example", columns, rows,
            bits=count(examples.BIT_WIDTH), scale=decimals(example.scale, 4), qmin=count(example.qmin),
            qmax=count(example.qmax),
        ),
        desk.figure("quantizer", partial(draw_quantizer, desk.canvas, returned=returned, x=x.tolist())),
    ]  # fmt: skip


def _explain_sizes(desk: Builder) -> list[Block]:
    rows: Cells = [
        [desk.term(f"measure.{name}"), desk.term(f"measure_text.{name}")]
        for name in ("formula", "float32", "packed", "entropy", "file")
    ]
    columns = [Column(desk.term("head.measure"), weight=1), Column(desk.term("head.bytes_of"), weight=3.2)]
    return [
        desk.paragraph("size_method.formula"),
        Formula(
            r"\mathrm{KB}=\frac{1}{8\cdot 1024}\sum_{\ell} "
            r"\frac{n_{\ell}^{\mathrm{in}}\,n_{\ell}^{\mathrm{out}}\,k_{\ell}^{2}}{g_{\ell}}\,b_{\ell}"
        ),
        desk.paragraph("size_method.ledger"),
        desk.table("measures", columns, rows),
    ]
