"""Appendices: settings, surroundings, hashes, layers, words."""

from __future__ import annotations

from worker.report import facts as names
from worker.report.analysis.claims import (
    cite,
)
from worker.report.analysis.results import read_environment
from worker.report.content import Block, Column, Section
from worker.report.facts import StepFact
from worker.report.language.values import Value, code, count, percent
from worker.report.language.wording import get_wording
from worker.report.sections.builder import Builder, Cells
from worker.report.sections.layer_rows import MOST_ROWS, list_layer_rows

HASH_LINE = 32
_UNRECORDED = ""


def _ordered_steps(desk: Builder) -> list[StepFact]:
    steps = desk.evidence.facts.steps
    ordered = [steps[name] for name in names.STEPS if name in steps]
    return ordered + [step for name, step in steps.items() if name not in names.STEPS]


def _name_step(desk: Builder, step: StepFact) -> str:
    return desk.wording.name("step", step.name)


def list_jobs(desk: Builder) -> Section:
    """The steps of the study with their settings."""
    jobs: Cells = [
        [
            _name_step(desk, step), code(step.kind), code(step.job_id), Value("decimals0", step.seconds),
            desk.term("yes" if step.reused else "no"),
        ]
        for step in _ordered_steps(desk)
    ]  # fmt: skip
    blocks: list[Block] = [
        desk.paragraph("appendix.jobs", study=code(desk.evidence.facts.job_id)),
        desk.table("jobs", desk.columns("step", "kind", "job", "#seconds", "reused"), jobs),
    ]
    settings: Cells = []
    for step in _ordered_steps(desk):
        pairs = [
            f"`{name}={_show_setting(value)}`" for name, value in sorted(step.spec.items()) if _is_telling(name, value)
        ]
        settings.append([_name_step(desk, step), " ".join(pairs)])
    columns = [Column(desk.term("head.step"), weight=1), Column(desk.term("head.settings"), weight=4.2)]
    return desk.appendix("jobs", [*blocks, desk.table("settings", columns, settings)])


def _is_telling(name: str, value: object) -> bool:
    return value is not None and name not in ("kind", "name", "labels", "max_attempts", "max_runtime_s")


def _show_setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def list_environment(desk: Builder) -> Section:
    """What computed the numbers."""
    facts = desk.evidence.facts
    rows: Cells = [[desk.term("setting.seed"), code(desk.evidence.seed)]]
    rows += _list_surroundings(desk)
    rows += [
        [f"`{name}`", code(_show_setting(value))]
        for name, value in sorted(facts.spec.items())
        if _is_telling(name, value) and name != "seed" and not isinstance(value, dict)
    ]
    columns = [Column(desk.term("head.what"), weight=1), Column(desk.term("head.value"), weight=2.4)]
    return desk.appendix(
        "environment",
        [
            desk.paragraph("appendix.environment"),
            desk.table("environment", columns, rows, source=f"`{facts.job_id}`"),
        ],
    )


def _list_surroundings(desk: Builder) -> Cells:
    """What computed the steps, as each of them recorded it: one row where all agree, else the steps are named."""
    steps = _ordered_steps(desk)
    recorded: dict[str, dict[str, list[str]]] = {}
    for step in steps:
        for name, value in (read_environment(step) or {_UNRECORDED: _UNRECORDED}).items():
            recorded.setdefault(name, {}).setdefault(str(value), []).append(_name_step(desk, step))
    rows: Cells = []
    for name, values in recorded.items():
        label = desk.term("environment.unrecorded") if name == _UNRECORDED else desk.wording.name("environment", name)
        for value, named in values.items():
            shown = "–" if value == _UNRECORDED else f"`{value}`"
            who = "" if len(named) == len(steps) else f" ({desk.wording.list_words(named)})"
            rows.append([label, f"{shown}{who}"])
    return rows


def list_artifacts(desk: Builder) -> Section:
    """Every stored file with its hash."""
    rows: Cells = []
    for step in _ordered_steps(desk):
        for artifact in step.artifacts:
            if artifact.kind == "log":
                continue
            digest = f"`{artifact.sha256[:HASH_LINE]}`\n`{artifact.sha256[HASH_LINE:]}`"
            rows.append([_name_step(desk, step), f"`{artifact.name}`", count(artifact.num_bytes), digest])
    columns = [
        Column(desk.term("head.step"), weight=1.1),
        Column(desk.term("head.artifact"), weight=1.9),
        Column(desk.term("head.size_bytes"), numeric=True, weight=0.9),
        Column("SHA-256", weight=2.6),
    ]
    return desk.appendix("artifacts", [desk.paragraph("appendix.artifacts"), desk.table("artifacts", columns, rows)])


def list_layers(desk: Builder) -> Section:
    """Zeros of every model by layer."""
    listed = [(name, model) for name, model in [*desk.models(), *desk.control_models()] if model.layers]
    blocks: list[Block] = [desk.paragraph("appendix.layers")]
    if any(len(model.layers) > MOST_ROWS for _, model in listed):
        blocks.append(desk.paragraph("appendix.layers_shared"))
    for name, model in listed:
        bits = next((bits for bits, width in desk.evidence.widths.items() if width is model), None)
        part = "layer_sparsity" if bits else "sparsity.layers"
        rows: Cells = [
            [
                head,
                count(layer.total),
                count(layer.zeros),
                count(layer.total - layer.zeros),
                percent(layer.sparsity),
            ]
            for head, layer in list_layer_rows(desk, model.layers)
        ]
        zeros, total = sum(layer.zeros for layer in model.layers), sum(layer.total for layer in model.layers)
        rows.append([desk.term("total"), count(total), count(zeros), count(total - zeros), percent(zeros / total)])
        table = desk.table(
            "model_layers", desk.columns("layer", "#weights", "#zeros", "#nonzeros", "#sparsity"), rows,
            source=cite(model, part), emphasis=[len(rows) - 1],
            model=Value("text", name),
        )  # fmt: skip
        key = f"layers-{model.step.name.replace('_', '-')}{f'-{bits}' if bits else ''}"
        blocks.append(type(table)(key, table.caption, table.columns, table.rows, table.source, table.emphasis))
    return desk.appendix("layers", blocks)


def list_glossary(desk: Builder) -> Section:
    """The glossary."""
    english, persian = get_wording("en"), get_wording("fa")
    keys = [key for key in desk.wording.variables if key.startswith("word.")]
    rows = [[english.term(key), persian.term(key), desk.term(key.replace("word.", "meaning."))] for key in keys]
    columns = [
        Column(desk.term("head.english"), weight=1.1),
        Column(desk.term("head.persian"), weight=1.1),
        Column(desk.term("head.meaning"), weight=3),
    ]
    return desk.appendix("glossary", [desk.table("glossary", columns, rows)])
