"""Abstract, analysis, conclusion and appendices."""

from __future__ import annotations

from worker.report import facts as names
from worker.report.analysis.claims import (
    analyse_channels,
    analyse_controls,
    analyse_fit,
    analyse_quantization,
    cite,
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
from worker.report.content import Block, Column, Paragraph, Section
from worker.report.facts import StepFact
from worker.report.language.values import Value, code, count, percent
from worker.report.language.wording import get_wording
from worker.report.sections.builder import Builder, Cells
from worker.report.sections.bytes import draw_all_models, list_all_models

HASH_LINE = 32
_UNRECORDED = ""
LONG_WORD = 36
ENDS = ("found", "none", "beyond", "test")
"""How a search ended, and what test says of it, whether it is good or bad."""


def build_abstract(desk: Builder) -> Section:
    """The run in one paragraph."""
    evidence = desk.evidence
    known = evidence.dataset in ("fashion_mnist", "digits")
    dataset = desk.term(f"dataset.{evidence.dataset}") if known else evidence.dataset
    opening = desk.say("abstract.opening", architecture=code(evidence.architecture), dataset=Value("text", dataset))
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
    if not evidence.controls:
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


def build_appendices(desk: Builder) -> list[Section]:
    """Settings, surroundings, hashes, layers, words."""
    return [
        _appendix(desk, "jobs", _list_jobs(desk)),
        _appendix(desk, "environment", _list_environment(desk)),
        _appendix(desk, "artifacts", _list_artifacts(desk)),
        _appendix(desk, "layers", _list_layers(desk)),
        _appendix(desk, "glossary", _list_words(desk)),
    ]


def _appendix(desk: Builder, key: str, blocks: list[Block]) -> Section:
    return Section(f"appendix_{key}", desk.term(f"section.appendix_{key}"), blocks, appendix=True)


def _ordered_steps(desk: Builder) -> list[StepFact]:
    steps = desk.evidence.facts.steps
    ordered = [steps[name] for name in names.STEPS if name in steps]
    return ordered + [step for name, step in steps.items() if name not in names.STEPS]


def _name_step(desk: Builder, step: StepFact) -> str:
    return desk.wording.name("step", step.name)


def _list_jobs(desk: Builder) -> list[Block]:
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
    return [*blocks, desk.table("settings", columns, settings)]


def _is_telling(name: str, value: object) -> bool:
    return value is not None and name not in ("kind", "name", "labels", "max_attempts", "max_runtime_s")


def _show_setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list_environment(desk: Builder) -> list[Block]:
    facts = desk.evidence.facts
    rows: Cells = [[desk.term("setting.seed"), code(desk.evidence.seed)]]
    rows += _list_surroundings(desk)
    rows += [
        [f"`{name}`", code(_show_setting(value))]
        for name, value in sorted(facts.spec.items())
        if _is_telling(name, value) and name != "seed" and not isinstance(value, dict)
    ]
    columns = [Column(desk.term("head.what"), weight=1), Column(desk.term("head.value"), weight=2.4)]
    return [
        desk.paragraph("appendix.environment"),
        desk.table("environment", columns, rows, source=f"`{facts.job_id}`"),
    ]


def _list_surroundings(desk: Builder) -> Cells:
    """What computed the steps, as each of them recorded it: one row where all agree, else the steps are named."""
    steps = _ordered_steps(desk)
    recorded: dict[str, dict[str, list[str]]] = {}
    for step in steps:
        for name, value in (step.result.get("environment") or {_UNRECORDED: _UNRECORDED}).items():
            recorded.setdefault(name, {}).setdefault(str(value), []).append(_name_step(desk, step))
    rows: Cells = []
    for name, values in recorded.items():
        label = desk.term("environment.unrecorded") if name == _UNRECORDED else desk.wording.name("environment", name)
        for value, named in values.items():
            shown = "–" if value == _UNRECORDED else f"`{value}`"
            who = "" if len(named) == len(steps) else f" ({desk.wording.list_words(named)})"
            rows.append([label, f"{shown}{who}"])
    return rows


def _list_artifacts(desk: Builder) -> list[Block]:
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
    return [desk.paragraph("appendix.artifacts"), desk.table("artifacts", columns, rows)]


def _list_layers(desk: Builder) -> list[Block]:
    listed = [(name, model) for name, model in [*desk.models(), *desk.control_models()] if model.layers]
    blocks: list[Block] = [desk.paragraph("appendix.layers")]
    for name, model in listed:
        bits = next((bits for bits, width in desk.evidence.widths.items() if width is model), None)
        part = "layer_sparsity" if bits else "sparsity.layers"
        rows: Cells = [
            [
                code(layer.name),
                count(layer.total),
                count(layer.zeros),
                count(layer.total - layer.zeros),
                percent(layer.sparsity),
            ]
            for layer in model.layers
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
    return blocks


def _list_words(desk: Builder) -> list[Block]:
    english, persian = get_wording("en"), get_wording("fa")
    keys = [key for key in desk.wording.variables if key.startswith("word.")]
    rows = [[english.term(key), persian.term(key), desk.term(key.replace("word.", "meaning."))] for key in keys]
    columns = [
        Column(desk.term("head.english"), weight=1.1),
        Column(desk.term("head.persian"), weight=1.1),
        Column(desk.term("head.meaning"), weight=3),
    ]
    return [desk.table("glossary", columns, rows)]
