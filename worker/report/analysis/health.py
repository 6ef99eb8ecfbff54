"""The analysis of health: models whose numbers say nothing good of them, however good they look. See `analysis`."""

from __future__ import annotations

from collections.abc import Iterator

from worker.catalog import HealthProblem
from worker.names import MOST_LISTED
from worker.report.analysis.claims import cite
from worker.report.analysis.evidence import Evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import Model
from worker.report.language.values import Value, class_name, code, count, percent, term


def analyse_health(evidence: Evidence) -> list[Finding]:
    """A finding for each problem of each model and control; none where all are sound."""
    return [finding for name, model in _list_models(evidence) for finding in _describe(evidence, name, model)]


def _list_models(evidence: Evidence) -> Iterator[tuple[Value, Model]]:
    singles = (evidence.baseline, evidence.one_shot, evidence.step_by_step, evidence.channels, evidence.final)
    for model in (*singles, *evidence.controls.values()):
        if model is not None:
            yield term(f"model.{model.step.name}"), model
    for bits, model in evidence.widths.items():
        yield Value("bits", bits), model


def _describe(evidence: Evidence, name: Value, model: Model) -> list[Finding]:
    health = model.health
    if health is None:
        return []
    values: dict[str, dict[str, Value]] = {
        HealthProblem.ONE_CLASS: {
            "class": class_name(evidence.class_names[health.most_answered_class]),
            "share": percent(health.most_answered_share),
        },
        HealthProblem.CHANCE: {
            "accuracy": percent(health.accuracy),
            "largest": percent(health.largest_class_share),
        },
        HealthProblem.DEAD_LAYER: {"layers": code(", ".join(health.dead_layers[:MOST_LISTED]))},
        HealthProblem.NOT_FINITE: {"pictures": count(health.num_not_finite)},
    }
    keys = {problem: f"health.{problem}" for problem in health.problems}
    if HealthProblem.DEAD_LAYER in keys and len(health.dead_layers) > MOST_LISTED:
        keys[HealthProblem.DEAD_LAYER] = "health.dead_layers"
        values[HealthProblem.DEAD_LAYER]["number"] = count(len(health.dead_layers))
    source = cite(model, "health")
    return [Finding(key, {"model": name, **values[problem]}, source) for problem, key in keys.items()]
