"""Prune a stored model."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from worker.catalog import PruningMethod, PruningPattern, PruningSchedule, PruningScope
from worker.jobs.base import JobContext, JobOutcome, JobSpec, ModelId


class PruneSpec(JobSpec):
    """Removes weights or channels: to a given sparsity, or to the highest one within an accuracy drop."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model_id": "latest", "schedule": "one_shot", "max_accuracy_drop": 1.0}]}
    )

    kind: Literal["prune"] = "prune"
    model_id: ModelId
    pattern: PruningPattern = PruningPattern.WEIGHTS
    method: PruningMethod = PruningMethod.MAGNITUDE
    scope: PruningScope = PruningScope.GLOBAL
    schedule: PruningSchedule = Field(
        PruningSchedule.ONE_SHOT,
        description="`one_shot` removes everything at once; the others go step by step and retrain in between.",
    )
    sparsity: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Fraction to remove (of weights, or of channels). Without it: the highest one whose "
        "validation drop is at most `max_accuracy_drop`.",
    )
    max_accuracy_drop: float = Field(1.0, ge=0, le=100, description="Percentage points on validation.")
    steps: int = Field(6, ge=1, le=100, description="Steps of a step-by-step schedule.")
    epochs_per_step: int = Field(1, ge=0, le=100, description="Retraining after each step.")
    fine_tune_epochs: int = Field(0, ge=0, le=500, description="Retraining after the last step.")
    learning_rate: float = Field(0.02, gt=0, le=10)
    distillation: bool = Field(True, description="Retrain towards the outputs of the dense model too.")


def run(spec: PruneSpec, context: JobContext) -> JobOutcome:
    raise NotImplementedError
