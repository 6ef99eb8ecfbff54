"""Prune a stored model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from worker.catalog import ArtifactKind, PruningMethod, PruningPattern, PruningSchedule, PruningScope
from worker.dataset_refs import Describe
from worker.job_spec import JobContext, JobOutcome, JobSpec, ModelId, describe_rules
from worker.memory_estimate import MemoryEstimate, estimate_prune, find_facts, read_layers
from worker.progress import Progress
from worker.results.prune import PruneResult

if TYPE_CHECKING:
    from worker.core.pruning.search import PruningResult

LARGEST_CHANNEL_SPARSITY = 0.9
DEFAULT_STEPS = {"steps": 6, "epochs_per_step": 1}
"""Of a step-by-step schedule; a one-shot one has neither."""


_NULL = {"type": "null"}


class PruneSpec(JobSpec):
    """Removes weights or channels: to a given sparsity, or to the highest one within an accuracy drop."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model_id": "latest", "schedule": "one_shot", "max_accuracy_drop": 1.0}],
            "allOf": [
                *describe_rules("schedule", ["one_shot"], "one_shot", steps=_NULL, epochs_per_step=_NULL),
                *describe_rules(
                    "pattern",
                    ["channels"],
                    "weights",
                    scope={"enum": ["uniform", "global"]},
                    sparsity={"anyOf": [{"type": "number", "maximum": LARGEST_CHANNEL_SPARSITY}, _NULL]},
                ),
            ],
        }
    )

    version: ClassVar[int] = 5
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
        ge=0,
        lt=1,
        description="Fraction to remove (of weights, or of channels). Without it: the highest one whose "
        "validation drop is at most `max_accuracy_drop`. 0 retrains and removes nothing: the control.",
    )
    max_accuracy_drop: float = Field(1.0, ge=0, le=100, description="Percentage points on validation.")
    steps: int | None = Field(
        None, ge=1, le=100, validate_default=True, description="Steps of a step-by-step schedule; by default 6."
    )
    epochs_per_step: int | None = Field(
        None, ge=0, le=100, validate_default=True, description="Retraining after each step; by default 1 epoch."
    )
    fine_tune_epochs: int = Field(0, ge=0, le=500, description="Retraining after the last step.")
    learning_rate: float = Field(0.02, gt=0, le=10)
    distillation: bool = Field(True, description="Retrain towards the outputs of the dense model too.")

    @field_validator("steps", "epochs_per_step")
    @classmethod
    def _check_steps(cls, number: int | None, info: ValidationInfo) -> int | None:
        if info.data.get("schedule") is PruningSchedule.ONE_SHOT:
            if number is not None:
                raise ValueError("a one_shot schedule has no steps: leave it out, or choose linear, cubic or geometric")
            return None
        return DEFAULT_STEPS[str(info.field_name)] if number is None else number

    @field_validator("scope")
    @classmethod
    def _check_scope(cls, scope: PruningScope, info: ValidationInfo) -> PruningScope:
        channels = info.data.get("pattern") is PruningPattern.CHANNELS
        if channels and scope not in (PruningScope.UNIFORM, PruningScope.GLOBAL):
            raise ValueError("channels are ranked uniform or global; lamp and erk are for single weights")
        return scope

    @field_validator("sparsity")
    @classmethod
    def _check_sparsity(cls, sparsity: float | None, info: ValidationInfo) -> float | None:
        channels = info.data.get("pattern") is PruningPattern.CHANNELS
        if channels and sparsity is not None and sparsity > LARGEST_CHANNEL_SPARSITY:
            raise ValueError(f"at most {LARGEST_CHANNEL_SPARSITY} of the channels can be removed")
        return sparsity

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:
        """Estimates it from the stored model's shape."""
        summary = describe(self.model_id)
        layers = read_layers(summary)
        return None if layers is None else estimate_prune(layers, find_facts(summary, describe))


def run(spec: PruneSpec, context: JobContext) -> JobOutcome:
    """Searches or prunes as asked, then measures, draws and saves what it found."""
    from worker.core.measured_model import store_float_model
    from worker.core.models.build import get_record
    from worker.core.pruning.search import PruningPlan, find_highest_sparsity
    from worker.core.resume import FolderCheckpoints
    from worker.model_files import open_baseline, publish

    baseline = open_baseline(context, spec.model_id)
    plan = PruningPlan(
        pattern=spec.pattern,
        method=spec.method,
        scope=spec.scope,
        schedule=spec.schedule,
        sparsity=spec.sparsity,
        max_drop=spec.max_accuracy_drop,
        steps=spec.steps or 1,
        epochs_per_step=spec.epochs_per_step or 0,
        fine_tune_epochs=spec.fine_tune_epochs,
        learning_rate=spec.learning_rate,
        distillation=spec.distillation,
        seed=spec.seed,
    )
    found = find_highest_sparsity(baseline, plan, context, FolderCheckpoints(context.scratch))
    context.report(Progress(phase="measuring", percent=97))
    path = context.artifact_path(f"pruned-{spec.pattern}-{spec.schedule}.safetensors", ArtifactKind.CHECKPOINT)
    measured = store_float_model(path, found.model, baseline.info.architecture, baseline.data, baseline)
    model_id = publish(context, measured, spec.name)
    _plot_curve(spec, context, path.stem, found, baseline.validation.accuracy)
    result = measured.fields | {
        "model_id": model_id,
        "chosen": asdict(found.chosen),
        "asked_sparsity": found.chosen.asked_sparsity,
        "reached_sparsity": found.chosen.sparsity,
        "sparsity_difference": found.chosen.difference,
        "curve": [asdict(probe) for probe in sorted(found.probes, key=lambda probe: probe.sparsity)],
        "within_max_accuracy_drop": found.chosen.within if spec.sparsity is None else None,
        "distillation": spec.distillation and found.chosen.retrained_epochs > 0,
        "baseline_macs": sum(get_record(baseline.model).macs.values()),
        "baseline_latency": measured.summary.baseline_latency,
        "history": [asdict(retraining) for retraining in found.retrainings],
        "trainings": [training.to_json() for training in found.trainings],
    }
    return JobOutcome(PruneResult.model_validate(result).to_json(), model_id)


def _plot_curve(
    spec: PruneSpec, context: JobContext, name: str, found: PruningResult, baseline_accuracy: float
) -> None:
    from worker.report.figures.canvas import make_titled
    from worker.report.figures.compression import draw_sparsity

    label = spec.schedule.replace("_", "-")
    draw_sparsity(
        make_titled(f"Validation accuracy against sparsity of {spec.pattern}"),
        context.artifact_path(f"{name}-curve.png", ArtifactKind.PLOT),
        {label: [(probe.sparsity, probe.accuracy) for probe in found.probes]},
        baseline=baseline_accuracy,
        max_drop=spec.max_accuracy_drop,
        chosen={label: found.chosen.sparsity},
        axis="channels" if spec.pattern == "channels" else "sparsity",
    )
