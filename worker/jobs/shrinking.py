"""The way of `compress` from a float model to ever smaller files: narrow, prune while quantized, encode.

Every candidate is measured as it would be stored: encoded, its bytes counted, its integers evaluated on validation.
Imported inside `run` only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from worker.catalog import Effort, PruningScope
from worker.core.checkpoint import snapshot
from worker.core.coding import decode_network, encode_network
from worker.core.integer import IntegerNetwork, round_floats
from worker.core.models import get_widths
from worker.core.pruning.channels import prune_channels
from worker.core.pruning.gradual import GradualPruner
from worker.core.quantization import calibrate, quantize_model
from worker.core.quantization.deploy import build_integer_model
from worker.core.training import SoftTargets, TrainingSettings, compute_soft_targets, evaluate, fit
from worker.jobs.base import JobContext, Progress
from worker.jobs.compress import CompressSpec
from worker.jobs.products import Baseline, Stage
from worker.jobs.steps import extract_network, keep_step, rebuild_model

CALIBRATION_EXAMPLES = 1024
CHANNELS_MULTIPLE = 16
"""Narrowed layers keep a multiple of so many channels where they are wide: half the time per epoch."""
MANTISSA_BITS = 5
"""Scales and biases are rounded to so many bits: an error of 1.6 % at most, far below a step of the integers."""
BATCH_SIZE = 128
CALIBRATED = "8 bit, calibrated"
SAFETY = 0.15
"""Share of the allowed drop that is kept in reserve on validation: choosing the smallest of several candidates
favours those that were lucky there, and the test set is not asked."""


@dataclass(frozen=True)
class Rung:
    """One stretch of training while quantized, at whose end `sparsity` of the narrowed weights are zero."""

    sparsity: float
    epochs: int
    learning_rate: float


@dataclass(frozen=True)
class Plan:
    """What an effort spends. channel_sparsity: how much narrower the network is made before it is quantized."""

    narrow_epochs: int
    rungs: tuple[Rung, ...]
    channel_sparsity: float = 0.4
    bit_width: int = 4
    activation_bit_width: int = 4


PLANS = {
    Effort.QUICK: Plan(3, (Rung(0.86, 8, 0.04), Rung(0.88, 4, 0.03))),
    Effort.STANDARD: Plan(8, (Rung(0.86, 14, 0.04), Rung(0.91, 10, 0.03), Rung(0.94, 10, 0.03), Rung(0.96, 10, 0.03))),
    Effort.THOROUGH: Plan(
        30,
        (Rung(0.88, 60, 0.04), Rung(0.93, 60, 0.03), Rung(0.96, 60, 0.03), Rung(0.97, 60, 0.03), Rung(0.98, 60, 0.03)),
    ),
}


@dataclass(frozen=True)
class Candidate:
    """A file that could be the answer. accuracy and drop (points) are on validation, measured on its integers."""

    name: str
    num_bytes: int
    accuracy: float
    drop: float
    within: bool
    safe: bool
    """Within, with the reserve to spare."""
    sparsity: float
    bit_width: int


class Shrinker:
    """Follows the plan of a spec. Finished steps are kept in the job's scratch folder and not repeated."""

    def __init__(self, spec: CompressSpec, context: JobContext, baseline: Baseline) -> None:
        self.spec, self.context, self.baseline = spec, context, baseline
        self.plan = PLANS[spec.effort]
        self.files: dict[str, bytes] = {}
        self.device = next(baseline.model.parameters()).device

    @functools.cached_property
    def soft_targets(self) -> SoftTargets:
        """What the dense model says of every training picture."""
        return compute_soft_targets(self.baseline.model, self.baseline.data)

    def run(self) -> list[Candidate]:
        """Every candidate, in the order they were made. The first needs no training and is the way out."""
        torch.manual_seed(self.spec.seed)
        stretches = [self.plan.narrow_epochs, *(rung.epochs for rung in self.plan.rungs)]
        marks = [3 + 90 * sum(stretches[:count]) / sum(stretches) for count in range(len(stretches) + 1)]
        candidates = [self.measure(CALIBRATED, self.quantize(self.baseline.model, 8, 8), 3)]
        narrow = self.narrow(Stage(self.context, "narrowing", marks[0], marks[1], series="narrow_"))
        model = self.quantize(narrow, self.plan.bit_width, self.plan.activation_bit_width)
        for position, rung in enumerate(self.plan.rungs):
            first, last = marks[position + 1 : position + 3]
            stage = Stage(
                self.context, f"pruning to {100 * rung.sparsity:.0f} % while quantized", first, last,
                series=f"rung{position}_",
            )  # fmt: skip
            self.train(model, rung, stage, f"rung-{position}")
            candidates.append(
                self.measure(f"{self.plan.bit_width} bit, {100 * rung.sparsity:.1f} % pruned", model, last)
            )
            if candidates[-1].drop > self.spec.max_accuracy_drop + 2:
                break
        return candidates

    def narrow(self, stage: Stage) -> nn.Module:
        """The baseline with fewer channels, retrained."""
        info = self.baseline.info
        narrow = prune_channels(
            self.baseline.model, self.plan.channel_sparsity, info.input_shape, multiple_of=CHANNELS_MULTIPLE
        )

        def compute() -> dict[str, Any]:
            self.fit(narrow, self.plan.narrow_epochs, 0.05, stage, keep_best=True)
            return {"widths": list(get_widths(info.architecture, narrow)), "state": snapshot(narrow)}

        return rebuild_model(self.baseline, keep_step(self.context.scratch, "narrow", compute))

    def quantize(self, model: nn.Module, bit_width: int, activation_bit_width: int) -> nn.Module:
        """A calibrated copy whose layers compute on quantized values."""
        data = self.baseline.data
        sample = data.normalize(data.train.images[:CALIBRATION_EXAMPLES].to(self.device))
        return quantize_model(
            model,
            bit_width,
            calibrate(model, sample),
            mean=data.mean,
            std=data.std,
            activation_bit_width=activation_bit_width,
        )

    def train(self, model: nn.Module, rung: Rung, stage: Stage, name: str) -> None:
        """Trains one rung in place."""

        def compute() -> dict[str, Any]:
            steps = rung.epochs * math.ceil(len(self.baseline.data.train) / BATCH_SIZE)
            pruner = GradualPruner(model, rung.sparsity, int(0.6 * steps), scope=PruningScope.LAMP)
            self.fit(model, rung.epochs, rung.learning_rate, stage, keep_best=False, after_step=pruner)
            return {"state": snapshot(model)}

        model.load_state_dict(keep_step(self.context.scratch, name, compute)["state"])

    def fit(
        self,
        model: nn.Module,
        epochs: int,
        learning_rate: float,
        stage: Stage,
        *,
        keep_best: bool,
        after_step: Callable[[nn.Module], None] | None = None,
    ) -> None:
        """Trains towards the labels and the dense model's outputs."""
        fit(
            model,
            self.baseline.data,
            TrainingSettings(
                epochs=epochs,
                learning_rate=learning_rate,
                batch_size=BATCH_SIZE,
                warmup=0.15,
                distillation_weight=0.7,
                seed=self.spec.seed,
                keep_best=keep_best,
            ),
            soft_targets=self.soft_targets,
            after_step=after_step,
            on_batch=stage.on_batch,
            on_epoch=stage.on_epoch,
        )

    def measure(self, name: str, model: nn.Module, percent: float) -> Candidate:
        """Encodes a quantized model and evaluates its integers on validation."""
        data = self.baseline.data
        network = round_floats(extract_network(self.baseline, model), MANTISSA_BITS)
        self.files[name] = encode_network(network)
        accuracy = evaluate(build_integer_model(network).to(self.device), data, data.validation).accuracy
        zeros = sum(int((layer.weight == 0).sum()) for layer in network.layers)
        candidate = Candidate(
            name=name,
            num_bytes=len(self.files[name]),
            accuracy=accuracy,
            drop=self.baseline.drop(accuracy),
            within=self.baseline.allows(accuracy, self.spec.max_accuracy_drop),
            safe=self.baseline.allows(accuracy, (1 - SAFETY) * self.spec.max_accuracy_drop),
            sparsity=zeros / sum(layer.weight.size for layer in network.layers),
            bit_width=max(layer.bit_width for layer in network.layers),
        )
        self.context.report(
            Progress(
                phase="encoding",
                percent=round(percent, 1),
                message=(
                    f"{name}: {candidate.num_bytes} bytes "
                    f"({self.baseline.reference_bytes / candidate.num_bytes:.1f}x smaller), "
                    f"drop {candidate.drop:.2f} points on validation"
                ),
                metrics={"file_bytes": candidate.num_bytes, "candidate_accuracy": accuracy},
                metrics_step=len(self.files),
            )
        )
        return candidate

    def load(self, candidate: Candidate) -> IntegerNetwork:
        """The network of a candidate, from its bytes."""
        return decode_network(self.files[candidate.name])

    def describe_techniques(self, candidate: Candidate) -> list[str]:
        """What went into a candidate, for the report."""
        network = self.load(candidate)
        coding = [
            "batch norm folded into scales and biases",
            f"scales and biases rounded to {MANTISSA_BITS} mantissa bits",
            "context-modelled entropy coding",
        ]
        if candidate.name == CALIBRATED:
            return ["8 bit quantization, calibrated, without training", *coding]
        weights, inputs = self.plan.bit_width, self.plan.activation_bit_width
        return [
            f"channel pruning, hidden widths {list(self.baseline.info.widths)} to {list(network.widths)}",
            "distillation from the dense model",
            f"quantization-aware training with learned step sizes, {weights} bit weights, {inputs} bit activations",
            "gradual layer-adaptive weight pruning (LAMP) while quantized",
            *coding,
        ]


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The smallest one within the drop and its reserve, else just within; where there is none, the most accurate."""
    for eligible in (
        [candidate for candidate in candidates if candidate.safe],
        [candidate for candidate in candidates if candidate.within],
    ):
        if eligible:
            return min(eligible, key=lambda candidate: candidate.num_bytes)
    return max(candidates, key=lambda candidate: candidate.accuracy)


def find_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other one beats in both bytes and accuracy, smallest first."""
    front: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (one.num_bytes, -one.accuracy)):
        if not front or candidate.accuracy > front[-1].accuracy:
            front.append(candidate)
    return front
