"""How each training of a job went, for its result and its warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from worker.core.baseline import Baseline
from worker.core.resume import Checkpoints, Step, keep_trained
from worker.learning import Outcome, Trouble, read_outcome
from worker.progress import Reporter

_SAID = {
    Trouble.NOT_FINITE: "its loss was not finite",
    Trouble.FORGOT: "the network forgot most of what it knew",
    Trouble.WORSE_THAN_START: "it ended worse than it began",
    Trouble.AT_CHANCE: "it was not better than guessing the largest class",
    Trouble.UNSTABLE: "its loss rose above that of guessing",
}


@dataclass(frozen=True)
class StageOutcome:
    """How the training of one stage went."""

    stage: str
    outcome: Outcome

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return {"stage": self.stage, **self.outcome.to_json()}


class TrainingLog:
    """Collects the outcomes of trainings by stage, in the order in which they ended, and warns of what went wrong."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.outcomes: list[StageOutcome] = []

    def add(self, stage: str, stored: Mapping[str, Any] | None) -> None:
        """Takes what `Outcome.to_json` wrote. None: of a step that was kept before outcomes were."""
        if stored is None:
            return
        outcome = read_outcome(stored)
        self.outcomes.append(StageOutcome(stage, outcome))
        warning = describe_trouble(stage, outcome)
        if warning is not None:
            self.reporter.warn(warning)

    def to_json(self) -> list[dict[str, Any]]:
        """As a result holds them."""
        return [one.to_json() for one in self.outcomes]


@dataclass(frozen=True)
class Tracker:
    """Who follows a computation of several trainings, and what is kept of them."""

    reporter: Reporter
    checkpoints: Checkpoints
    trainings: TrainingLog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trainings", TrainingLog(self.reporter))

    def train(
        self, name: str, stage: str, baseline: Baseline, model: nn.Module, train: Callable[[], Step]
    ) -> tuple[nn.Module, Step]:
        """Trains a float network by `keep_trained`, and notes the outcome that the step holds as `training`."""
        trained, step = keep_trained(self.checkpoints, name, baseline, model, train)
        self.trainings.add(stage, step.get("training"))
        return trained, step


def describe_trouble(stage: str, outcome: Outcome) -> str | None:
    """One line about a training that went wrong at the rate asked for, or altogether; None where all was well."""
    first = outcome.attempts[0]
    if first.reason is None:
        return None
    said = f"{stage}: at a learning rate of {first.learning_rate:g}, {_SAID[first.reason]}"
    if not outcome.learned:
        rates = ", ".join(f"{attempt.learning_rate:g}" for attempt in outcome.attempts)
        kept = "what it began with is kept" if outcome.kept is None else "what is kept has not learned"
        return f"{said}; learning rates tried: {rates}; {kept}"
    if outcome.kept is not None and outcome.attempts[outcome.kept].learning_rate != first.learning_rate:
        return f"{said}; trained again from the start at {outcome.attempts[outcome.kept].learning_rate:g}"
    return f"{said}; what was tried instead was no better"
