"""A whole study of one network as child jobs of the other kinds, and a written report of what they measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from worker.catalog import Architecture, ArtifactKind, DatasetName, Effort, Optimizer, PruningSchedule
from worker.compression_plan import PLANS as COMPRESSION_PLANS
from worker.compression_plan.parts import CONTROLS_FACTOR, compute_controls_factor
from worker.controls import CONTROLS, ControlKind
from worker.dataset_refs import DatasetRef, Describe, get_facts, is_stored
from worker.job_spec import FinishedStep, JobContext, JobOutcome, JobSpec, Step, StepArtifact
from worker.jobs.compress import CompressSpec
from worker.jobs.prune import PruneSpec
from worker.jobs.quantize import QuantizeSpec
from worker.jobs.train import TrainSpec
from worker.memory_estimate import (
    RETRAINING_BATCH,
    MemoryEstimate,
    estimate_compress,
    estimate_prune,
    estimate_quantize,
    estimate_train,
    find_shape_field,
    outline_named,
)
from worker.network_names import NetworkName, is_batch_normalised, is_built_in
from worker.network_widths import WIDTH_RULES, Widths, check_widths
from worker.progress import Progress
from worker.report.facts import ArtifactFact, DatasetFact, ModuleFact, StepFact, StudyFacts
from worker.results.compress import CompressResult
from worker.results.model_result import ModelResult
from worker.results.prune import PruneResult
from worker.results.study import StudyResult, StudyStep
from worker.results.train import TrainResult

BIT_WIDTHS = (8, 6, 4, 2)
SAMPLES_PER_CLASS = 12
"""Pictures of each class that the report shows."""


class StudySpec(JobSpec):
    """Trains a network, prunes it at once and step by step, quantizes it to 8, 6, 4 and 2 bits, narrows it, compresses
    it, runs the controls, and writes a report. Each step is a job of its own; one that was done before is not repeated.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataset": "digits", "architecture": "lenet5"}], "allOf": WIDTH_RULES}
    )

    kind: Literal["study"] = "study"
    dataset: DatasetRef = DatasetName.FASHION_MNIST
    architecture: NetworkName = str(Architecture.FASHION_CNN)
    widths: Widths = None
    effort: Literal["quick", "standard"] = Field(
        "quick",
        description="`quick`: under 15 minutes for FashionMNIST on two cores; `standard`: several times as long.",
    )
    max_accuracy_drop: float = Field(
        1.0, ge=0, le=100, description="Percentage points on validation that pruning and compressing may cost."
    )
    controls: bool = Field(
        True,
        description="Also measure what the claims are held against: the same retraining without pruning, random "
        "pruning, and a small dense network of about the same bytes.",
    )
    file_controls: bool = Field(
        False,
        description="Also hold the compressed file against files made with as many epochs in other ways: not pruned, "
        f"pruned at random, small and dense. Compressing then takes about {CONTROLS_FACTOR:.1f} times as long, and "
        "more where training takes nearly all of the time.",
    )
    language: Literal["en", "fa"] = Field("en", description="Of the report: English or Persian.")
    epochs: int | None = Field(None, ge=1, le=500, description="Epochs of training; by default by effort and data set.")
    max_train_examples: int | None = Field(None, ge=10, description="Train on this many examples only.")
    max_runtime_s: int = Field(
        7200,
        ge=1,
        le=604_800,
        description="Seconds after which a step is stopped, or the study's own part; waiting does not count.",
    )

    @field_validator("widths")
    @classmethod
    def _check_widths(cls, widths: tuple[int, ...] | None, info: ValidationInfo) -> tuple[int, ...] | None:
        return check_widths(widths, info.data.get("architecture"))

    def estimate_memory(self, describe: Describe) -> MemoryEstimate:
        """Estimates its largest step. Raises InvalidSpec where the pictures are too small for the network."""
        facts = get_facts(self.dataset, describe)
        layers = outline_named(self.architecture, self.widths, facts)
        steps = [
            estimate_train(layers, facts, RETRAINING_BATCH, Optimizer.ADAMW),
            estimate_prune(layers, facts),
            estimate_quantize(layers, facts, is_trained=True),
            estimate_compress(layers, facts),
        ]
        return max(steps, key=lambda step: step.num_bytes)

    def find_memory_field(self, estimate: MemoryEstimate, describe: Describe) -> str:  # noqa: ARG002
        """Names the data set or the shape."""
        return find_shape_field(estimate, has_widths=self.widths is not None)


@dataclass(frozen=True)
class Plan:
    """What an effort spends, in epochs. quantization_epochs: None leaves them to each bit width."""

    train_epochs: int
    pruning_steps: int
    epochs_per_step: int
    quantization_epochs: int | None
    channel_epochs: int
    compress_s: float
    """What `compress` may cost, in seconds on two cores."""


PLANS = {
    Effort.QUICK: Plan(10, 3, 1, 4, 2, compress_s=200),
    Effort.STANDARD: Plan(16, 6, 2, 5, 4, compress_s=1300),
}
SMALL_DATASETS: Mapping[str, float] = {DatasetName.DIGITS: 2.0}
"""Data sets with few pictures are trained on for so many times the epochs."""
_DRAWN_TESTS = frozenset(name for name in DatasetName if name.facts.is_test_drawn)
LEAST_SPARSITY = 0.001
"""Below it a network counts as not pruned."""

# Seconds on two cores, with fashion_cnn on FashionMNIST: what the progress bar and its remaining time are made of.
_EPOCH_S = 9.0
_RETRAINING_EPOCH_S = 12.0
_QUANTIZED_EPOCH_S = 14.0
_SMALL_EPOCH_S = 4.0
_SEARCH_S = 30.0
_REPORT_S = 20.0


class Recipe:
    """The steps of a study as specs of the other kinds."""

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.effort = Effort(spec.effort)
        self.plan = PLANS[self.effort]
        self.epochs = spec.epochs or round(self.plan.train_epochs * SMALL_DATASETS.get(spec.dataset, 1.0))
        self.main_s = sum(step.expected_s for step in self.build_main("mdl_0").values())
        self.controls_s = 2 * self._retraining_s(self.plan.pruning_steps) + self.epochs * _SMALL_EPOCH_S

    def build_training(self) -> Step:
        """The baseline."""
        return Step(self._train("train", self.spec.widths), self.epochs * _EPOCH_S)

    def build_main(self, model_id: str) -> dict[str, Step]:
        """What starts from the baseline and from nothing else."""
        from_baseline = {"model_id": model_id, "max_accuracy_drop": self.spec.max_accuracy_drop}
        plan = self.plan
        num_epochs = (plan.quantization_epochs or 2) * len(BIT_WIDTHS)
        return {
            "one_shot": Step(
                PruneSpec(**self._common("one_shot"), **from_baseline, schedule=PruningSchedule.ONE_SHOT), _SEARCH_S
            ),
            "step_by_step": Step(
                PruneSpec(
                    **self._common("step_by_step"),
                    **from_baseline,
                    schedule=PruningSchedule.GEOMETRIC,
                    steps=plan.pruning_steps,
                    epochs_per_step=plan.epochs_per_step,
                ),
                self._retraining_s(plan.pruning_steps + 1),
            ),
            "quantize": Step(
                QuantizeSpec(
                    **self._common("quantize"), **from_baseline, bit_widths=BIT_WIDTHS, epochs=plan.quantization_epochs
                ),
                num_epochs * _QUANTIZED_EPOCH_S,
            ),
            "channels": Step(
                PruneSpec(
                    **self._common("channels"),
                    **from_baseline,
                    pattern="channels",
                    scope="uniform",
                    sparsity=0.5,
                    fine_tune_epochs=plan.channel_epochs,
                ),
                plan.channel_epochs * _EPOCH_S,
            ),
            "compress": Step(
                CompressSpec(
                    **self._common("compress"), **from_baseline, effort=self.effort, controls=self.spec.file_controls
                ),
                plan.compress_s
                * (compute_controls_factor(COMPRESSION_PLANS[self.effort]) if self.spec.file_controls else 1),
            ),
        }

    def build_controls(
        self, model_id: str, retrained_epochs: int, sparsity: float, small_widths: tuple[int, ...] | None
    ) -> dict[str, Step]:
        """What the claims are held against. retrained_epochs, sparsity: of `step_by_step`. small_widths: None where the
        network has none to choose, and no small dense one can be built.

        Where that ended without zeros, retraining alone and random pruning would control nothing, and are left out.
        """
        # As many steps as the pruned model that is claimed has behind it.
        steps = retrained_epochs // self.plan.epochs_per_step
        is_moot = sparsity < LEAST_SPARSITY or not steps
        controls = {}
        for kind, design in CONTROLS.items():
            if design.is_fresh:
                if small_widths is None:
                    continue
                controls[kind.step] = Step(self._train(kind.step, small_widths), self.epochs * _SMALL_EPOCH_S)
            elif not is_moot:
                spec = PruneSpec(
                    **self._common(kind.step),
                    model_id=model_id,
                    schedule=PruningSchedule.GEOMETRIC,
                    steps=steps,
                    epochs_per_step=self.plan.epochs_per_step,
                    method=design.method,
                    sparsity=sparsity if design.is_pruned else 0,
                )
                controls[kind.step] = Step(spec, self._retraining_s(steps))
        return controls

    def _retraining_s(self, steps: int) -> float:
        return steps * self.plan.epochs_per_step * _RETRAINING_EPOCH_S

    def _train(self, name: str, widths: tuple[int, ...] | None) -> TrainSpec:
        spec = self.spec
        # Without batch norm SGD at the usual rate is too much.
        gentle = not is_batch_normalised(spec.architecture)
        return TrainSpec(
            **self._common(name),
            dataset=spec.dataset,
            architecture=spec.architecture,
            widths=widths,
            epochs=self.epochs,
            optimizer=Optimizer.ADAMW if gentle else Optimizer.SGD,
            learning_rate=0.003 if gentle else 0.1,
            max_train_examples=spec.max_train_examples,
        )

    def _common(self, name: str) -> dict[str, Any]:
        spec = self.spec
        return {
            "name": name if spec.name is None else f"{spec.name}: {name}"[:100],
            "labels": spec.labels,
            "seed": spec.seed,
            "max_attempts": spec.max_attempts,
            "max_runtime_s": spec.max_runtime_s,
        }


def run(spec: StudySpec, context: JobContext) -> JobOutcome:
    """Train; prune, quantize, narrow, compress; hold that against the controls; write it down."""
    recipe = Recipe(spec)
    later_s = _REPORT_S + (recipe.controls_s if spec.controls else 0.0)
    steps = dict(context.run_steps({"train": recipe.build_training()}, later_s=later_s + recipe.main_s))
    model_id = str(steps["train"].output_model_id)
    steps |= context.run_steps(recipe.build_main(model_id), later_s=later_s)
    final, smallest = steps["compress"], CompressResult.read(steps["compress"].result)
    if spec.controls:
        small_widths = None
        if is_built_in(spec.architecture):
            small_widths = find_small_widths(steps["train"], smallest.file_bytes)
        else:
            name = CONTROLS[ControlKind.SMALL_DENSE].name
            context.warn(f"control {name}: left out, since {spec.architecture} has no widths to choose")
        pruned = PruneResult.read(steps["step_by_step"].result)
        retrained, sparsity = pruned.chosen.retrained_epochs, pruned.sparsity.total
        controls = recipe.build_controls(model_id, retrained, sparsity, small_widths)
        steps |= context.run_steps(controls, later_s=_REPORT_S)
    context.report(Progress(phase="writing the report", message="every step has ended; the report is being written"))
    findings = _write_report(spec, context, steps)
    results = {name: ModelResult.read(step.result) for name, step in steps.items()}
    for name, one in results.items():
        if one.health is not None and one.health.problems:
            problems = ", ".join(one.health.problems)
            context.warn(f"{name}: its model is not sound ({problems}): its numbers say nothing good of it")
    compressed = _find_artifact(final, ArtifactKind.COMPRESSED)
    shutil.copyfile(compressed.path, context.artifact_path(compressed.name, ArtifactKind.COMPRESSED))
    result = StudyResult(
        model_id=final.output_model_id,
        evaluation=smallest.evaluation,
        accuracy_drop=smallest.accuracy_drop,
        sparsity=smallest.sparsity,
        size=smallest.size,
        accuracy_drop_interval=smallest.accuracy_drop_interval,
        health=smallest.health,
        file_bytes=smallest.file_bytes,
        compression_ratio=smallest.compression_ratio,
        steps={name: _describe_step(step, results[name]) for name, step in steps.items()},
        findings=findings,
    )
    return JobOutcome(result.to_json(), final.output_model_id)


def find_small_widths(trained: FinishedStep, file_bytes: int) -> tuple[int, ...]:
    """Widths of the baseline's architecture whose float32 checkpoint comes nearest to the compressed file's bytes.

    Whole checkpoints are compared: with few weights a good part of one is its header.
    """
    from worker.core.checkpoint import count_checkpoint_bytes, load_checkpoint, match_widths

    _, info = load_checkpoint(_find_artifact(trained, ArtifactKind.CHECKPOINT).path)
    return match_widths(
        info,
        file_bytes,
        file_bytes // 4,
        lambda widths: count_checkpoint_bytes(info, widths),
        lambda parameters, counted: parameters + (file_bytes - counted) // 4,
    )


def _find_artifact(step: FinishedStep, kind: ArtifactKind) -> StepArtifact:
    """The only one of its kind."""
    (found,) = [artifact for artifact in step.artifacts if artifact.kind == kind]
    return found


def _write_report(spec: StudySpec, context: JobContext, steps: Mapping[str, FinishedStep]) -> list[Any]:
    """Writes the documents; returns what the report finds, each finding with its numbers, as JSON."""
    from worker.environment import describe_environment
    from worker.report import write_report

    facts = StudyFacts(
        job_id=context.job_id,
        spec=spec.model_dump(mode="json"),
        steps={
            name: StepFact(
                name=name,
                job_id=step.job_id,
                kind=step.kind,
                spec=step.spec,
                result=step.result,
                artifacts=[ArtifactFact(one.name, one.kind, one.sha256, one.num_bytes) for one in step.artifacts],
                seconds=step.seconds,
                reused=step.is_reused,
            )
            for name, step in steps.items()
        },
        environment={
            **describe_environment(context.threads),
            "precision": str(TrainResult.read(steps["train"].result).precision),
        },
        dataset=_describe_dataset(spec, context),
        modules=_list_modules(steps["train"]),
    )
    paths = {
        suffix: context.artifact_path(f"report-{spec.language}.{suffix}", ArtifactKind.REPORT)
        for suffix in ("pdf", "docx", "html", "json")
    }
    write_report(facts, spec.language, paths)
    findings: list[Any] = json.loads(paths["json"].read_text(encoding="utf-8"))["findings"]
    return findings


def _describe_dataset(spec: StudySpec, context: JobContext) -> DatasetFact:
    from worker.datasets import count_classes, load_dataset, take_samples

    whole = load_dataset(spec.dataset, context.datasets, spec.seed)
    brought = context.dataset_summary(spec.dataset) if is_stored(spec.dataset) else {}
    data = whole.limit_train(spec.max_train_examples)
    return DatasetFact(
        name=data.name,
        class_names=data.class_names,
        input_shape=data.input_shape,
        counts=count_classes(data),
        mean=data.mean,
        std=data.std,
        samples=take_samples(data, SAMPLES_PER_CLASS),
        is_mirrorable=data.is_mirrorable,
        title=brought.get("name"),
        is_test_drawn=brought.get("is_test_drawn", spec.dataset in _DRAWN_TESTS),
    )


def _list_modules(trained: FinishedStep) -> list[ModuleFact]:
    from worker.core.checkpoint import load_checkpoint
    from worker.core.graph import outline_modules
    from worker.core.models.build import get_record

    model, _ = load_checkpoint(_find_artifact(trained, ArtifactKind.CHECKPOINT).path)
    macs = get_record(model).macs
    return [
        ModuleFact(one.name, one.kind, one.shape, one.parameters, macs.get(one.name)) for one in outline_modules(model)
    ]


def _describe_step(step: FinishedStep, result: ModelResult) -> StudyStep:
    return StudyStep(
        job_id=step.job_id,
        kind=step.kind,
        model_id=step.output_model_id,
        seconds=round(step.seconds, 1),
        is_reused=step.is_reused,
        evaluation=result.evaluation,
        accuracy_drop=result.accuracy_drop,
        accuracy_drop_interval=result.accuracy_drop_interval,
        health=result.health,
        sparsity=result.sparsity.total,
        size=result.size,
        macs=result.macs,
    )
