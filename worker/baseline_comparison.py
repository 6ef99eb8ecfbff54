"""Compares a model with the one that it was made from: what was lost, and whether that means much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.catalog import HealthProblem
from worker.core.health import describe_problems, is_chance
from worker.core.measure import Metrics, compute_wilson_interval
from worker.paired import Correctness, compute_difference, read_correctness
from worker.workspace import Workspace

SPLITS = ("validation", "test")
BUSY_MACHINE = "the machine was busy"
"""How a warning about the machine, rather than about a model, begins."""


@dataclass(frozen=True)
class Score:
    """One model on one split, as `compute_difference` reads it."""

    num_correct: int
    num_examples: int
    correctness: Correctness | None

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy."""
        return compute_wilson_interval(self.num_correct, self.num_examples)


def describe_drop_intervals(before: Mapping[str, Any], metrics: Metrics) -> dict[str, Any]:
    """`accuracy_drop_interval`: split → the interval of the drop in points, and what it rests on.

    before: the summary of the model that the job started from.
    """
    measured = {"validation": metrics.validation, "test": metrics.test}
    intervals = {}
    for split in SPLITS:
        counts = before["evaluation"][split]
        score = Score(counts["num_correct"], counts["num_examples"], read_correctness(before.get("correctness"), split))
        now = Score(measured[split].num_correct, measured[split].num_examples, metrics.correctness[split])
        intervals[split] = compute_difference(score, now).to_json()
    return intervals


def list_problems(summary: Mapping[str, Any], labels: Sequence[int]) -> list[str]:
    """Values of HealthProblem that a stored model has. labels: pictures of its validation split by class.

    Of a model stored before its health was recorded, its counts alone can be judged.
    """
    health = summary.get("health")
    if health is not None:
        return list(health["problems"])
    counts = summary["evaluation"]["validation"]
    chance = is_chance(counts["num_correct"], counts["num_examples"], max(labels) / sum(labels))
    return [str(HealthProblem.CHANCE)] if chance else []


def warn_of_health(
    context: Workspace,
    name: str,
    health: Mapping[str, Any],
    class_names: Sequence[str],
    drop: Mapping[str, Any] | None,
) -> None:
    """A warning for each problem of a model, and one where the model that it is held against has some.

    drop: its `accuracy_drop`.
    """
    for sentence in describe_problems(health, class_names):
        context.warn(f"{name}: {sentence}")
    if drop is not None and drop["baseline_problems"]:
        context.warn(
            f"the model that it started from, {drop['baseline_model_id']}, is not sound "
            f"({', '.join(drop['baseline_problems'])}): a drop against it, however small, says nothing good"
        )


def warn_of_load(context: Workspace, name: str, latency: Mapping[str, Any]) -> None:
    """A warning where a time was taken beside other work."""
    load = latency["load"]
    if load["is_busy"]:
        others = load["other_cores"]
        told = "it took turns with others" if others is None else f"others kept {others:.1f} of its cores busy"
        context.warn(f"{BUSY_MACHINE} while {name} was timed: {told}, and its latency may be too long")


def is_answering(metrics: Metrics) -> bool:
    """Whether every answer is a finite number."""
    return HealthProblem.NOT_FINITE not in metrics.health.problems
