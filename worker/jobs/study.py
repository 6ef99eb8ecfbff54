"""A whole study of one network as child jobs of the other kinds, and a written report of what they measured."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, Field

from worker.catalog import Architecture, ArtifactKind, DatasetName, Effort, Optimizer, PruningSchedule
from worker.compression_plan import PLANS as COMPRESSION_PLANS
from worker.compression_plan.parts import CONTROLS_FACTOR, compute_controls_factor
from worker.controls import CONTROLS, ControlKind
from worker.dataset_refs import Describe
from worker.job_spec import FinishedStep, JobContext, JobOutcome, Step
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
    outline_layers,
)
from worker.network_names import is_batch_normalised, is_built_in
from worker.progress import Progress
from worker.results.compress import CompressResult
from worker.results.model_result import ModelResult
from worker.results.prune import PruneResult
from worker.results.study import StudyResult, StudyStep
from worker.study_report import find_artifact, write_study_report
from worker.training_start import START_RULES, TrainingStart

BIT_WIDTHS = (8, 6, 4, 2)


class StudySpec(TrainingStart):
    """Trains or fine-tunes a network, prunes it at once and step by step, quantizes it to 8, 6, 4 and 2 bits, narrows
    it, compresses it, runs the controls, and writes a report. Each step is a job of its own; one that was done before
    is not repeated.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"dataset": "digits", "architecture": "lenet5"}], "allOf": START_RULES}
    )

    kind: Literal["study"] = "study"
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

    def estimate_memory(self, describe: Describe) -> MemoryEstimate | None:
        """Estimates its largest step. Raises InvalidSpec where the network does not fit the pictures."""
        network = self.describe_network(describe)
        if network is None:
            return None
        facts, layers = self.find_facts(describe), outline_layers(network)
        steps = [
            estimate_train(layers, facts, RETRAINING_BATCH, Optimizer.ADAMW),
            estimate_prune(layers, facts),
            estimate_quantize(layers, facts, is_trained=True),
            estimate_compress(layers, facts),
        ]
        return max(steps, key=lambda step: step.num_bytes)

    def find_memory_field(self, estimate: MemoryEstimate, describe: Describe) -> str:  # noqa: ARG002
        """Names the data set or the shape."""
        return self.find_start_field(estimate)


@dataclass(frozen=True)
class Plan:
    """What an effort spends, in epochs. quantization_epochs: None leaves them to each bit width."""

    train_epochs: int
    fine_tuning_epochs: int
    pruning_steps: int
    epochs_per_step: int
    quantization_epochs: int | None
    channel_epochs: int
    compress_s: float
    """What `compress` may cost, in seconds on two cores."""


PLANS = {
    Effort.QUICK: Plan(10, 4, 3, 1, 4, 2, compress_s=200),
    Effort.STANDARD: Plan(16, 8, 6, 2, 5, 4, compress_s=1300),
}
SMALL_DATASETS: Mapping[str, float] = {DatasetName.DIGITS: 2.0}
"""Data sets with few pictures are trained on for so many times the epochs."""
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
        planned = self.plan.train_epochs if spec.initial_model_id is None else self.plan.fine_tuning_epochs
        self.epochs = spec.epochs or round(planned * SMALL_DATASETS.get(spec.dataset or "", 1.0))
        self.main_s = sum(step.expected_s for step in self.build_main("mdl_0").values())
        self.controls_s = 2 * self._retraining_s(self.plan.pruning_steps) + self.epochs * _SMALL_EPOCH_S

    def build_training(self) -> Step:
        """The baseline."""
        if self.spec.initial_model_id is None:
            return Step(self._train("train", self.spec.widths), self.epochs * _EPOCH_S)
        spec = TrainSpec(
            **self._common("train"),
            initial_model_id=self.spec.initial_model_id,
            dataset=self.spec.dataset,
            epochs=self.epochs,
            max_train_examples=self.spec.max_train_examples,
        )
        return Step(spec, self.epochs * _EPOCH_S)

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
        """From scratch."""
        spec = self.spec
        # Without batch norm SGD at the usual rate is too much.
        gentle = not is_batch_normalised(spec.architecture or Architecture.FASHION_CNN)
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
        if spec.architecture is not None and is_built_in(spec.architecture):
            small_widths = find_small_widths(steps["train"], smallest.file_bytes)
        else:
            name = CONTROLS[ControlKind.SMALL_DENSE].name
            network = spec.architecture or f"the network of {spec.initial_model_id}"
            context.warn(f"control {name}: left out, since {network} has no widths to choose")
        pruned = PruneResult.read(steps["step_by_step"].result)
        retrained, sparsity = pruned.chosen.retrained_epochs, pruned.sparsity.total
        controls = recipe.build_controls(model_id, retrained, sparsity, small_widths)
        steps |= context.run_steps(controls, later_s=_REPORT_S)
    context.report(Progress(phase="writing the report", message="every step has ended; the report is being written"))
    findings = write_study_report(spec, spec.language, context, steps, spec.max_train_examples)
    results = {name: ModelResult.read(step.result) for name, step in steps.items()}
    for name, one in results.items():
        if one.health is not None and one.health.problems:
            problems = ", ".join(one.health.problems)
            context.warn(f"{name}: its model is not sound ({problems}): its numbers say nothing good of it")
    compressed = find_artifact(final, ArtifactKind.COMPRESSED)
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

    _, info = load_checkpoint(find_artifact(trained, ArtifactKind.CHECKPOINT).path)
    return match_widths(
        info,
        file_bytes,
        file_bytes // 4,
        lambda widths: count_checkpoint_bytes(info, widths),
        lambda parameters, counted: parameters + (file_bytes - counted) // 4,
    )


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
