"""What a compressed file is held against: as many epochs spent in other ways, encoded and measured alike.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from worker.catalog import PruningMethod
from worker.core.checkpoint import match_widths, snapshot
from worker.core.coding import decode_network, encode_network
from worker.core.models import build_model
from worker.core.quantization.deploy import build_integer_model
from worker.core.resume import keep_step, rebuild_model
from worker.core.training import evaluate, get_device
from worker.jobs.candidates import Candidate
from worker.jobs.compress_timetable import name_control
from worker.jobs.efforts import Rung
from worker.jobs.shrinking import DENSE_RATE, Shrinker


@dataclass(frozen=True)
class Control:
    """A file that was not the aim. epochs: of training from the same start as the chosen one's; drops in points."""

    name: str
    num_bytes: int
    sparsity: float
    widths: tuple[int, ...]
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    validation_drop: float
    test_drop: float
    problems: tuple[str, ...] = ()
    """Values of HealthProblem: against a control that is not sound, anything looks good."""


class Controls:
    """Runs each for the epochs of the rungs that the chosen file has behind it."""

    def __init__(self, shrinker: Shrinker, chosen: Candidate) -> None:
        self.shrinker, self.chosen, self.baseline = shrinker, chosen, shrinker.baseline
        rungs = [trained.rung for trained in shrinker.find_ancestry(chosen) if trained.rung is not None]
        self.rungs = rungs or list(shrinker.plan.rungs)
        self.quantized_epochs = sum(rung.epochs for rung in self.rungs)

    def measure(
        self, name: str, position: int, model: nn.Module, rungs: list[Rung], *, begun: float = 0.0, **how: Any
    ) -> Control:
        """Trains a float network quantized along `rungs`; position: among the controls. begun: share of the control's
        training that is done already.
        """
        shrinker, baseline = self.shrinker, self.baseline
        quantized = self.quantize(model)
        for number, rung in enumerate(rungs):
            step = f"control-{position}-{number}"
            shares = [begun + (1 - begun) * done / len(rungs) for done in (number, number + 1)]
            stage = shrinker.open_stage(
                f"control: {name}", name_control(position), f"control{position}_{number}_", *shares
            )
            shrinker.train(quantized, rung, stage, step, **how)
        encoded = shrinker.gallery.encode(f"control {name}", functools.partial(shrinker.extract, quantized))
        network = decode_network(encoded.file)
        integers = build_integer_model(network).to(get_device(baseline.model))
        if encoded.problems:
            shrinker.context.warn(
                f"control {name}: it is not sound ({', '.join(encoded.problems)}): beside it anything looks good"
            )
        test = evaluate(integers, baseline.data, baseline.data.test).accuracy
        return Control(
            name=name,
            num_bytes=len(encoded.file),
            sparsity=encoded.sparsity,
            widths=network.widths,
            epochs=self.quantized_epochs,
            validation_accuracy=encoded.accuracy,
            test_accuracy=test,
            validation_drop=baseline.drop(encoded.accuracy),
            test_drop=100 * (baseline.test.accuracy - test),
            problems=encoded.problems,
        )

    def measure_unpruned(self) -> Control:
        """The narrowed network for as many epochs at the same width, every weight kept."""
        rungs = [replace(rung, sparsity=0.0) for rung in self.rungs]
        return self.measure("not pruned", 0, self.shrinker.narrowed, rungs)

    def measure_random(self) -> Control:
        """The same schedule to the sparsity of the chosen file, but which weights go is drawn by lot."""
        *rungs, last = self.rungs
        rungs = [*rungs, replace(last, sparsity=max(last.sparsity, self.chosen.sparsity))]
        return self.measure("pruned at random", 1, self.shrinker.narrowed, rungs, method=PruningMethod.RANDOM)

    def measure_small(self) -> Control:
        """A dense network of about the same bytes, trained from scratch for as long as narrowing and rungs took, then
        quantized for as long as the rungs took. The teacher is everybody's.
        """
        shrinker = self.shrinker
        epochs = shrinker.plan.narrow_epochs + self.quantized_epochs
        small = self.build(self.small_widths)
        begun = epochs / (epochs + self.quantized_epochs)
        stage = shrinker.open_stage("control: small dense, from scratch", name_control(2), "control2_", 0.0, begun)

        def compute() -> dict[str, Any]:
            outcome = shrinker.fit(small, epochs, DENSE_RATE, stage, soft_targets=shrinker.soft_targets)
            return {"widths": list(self.small_widths), "state": snapshot(small), "training": outcome}

        kept = keep_step(shrinker.folder, "control-2", compute)
        shrinker.trainings.add(stage.phase, kept["training"])
        trained = rebuild_model(self.baseline, kept)
        rungs = [replace(rung, sparsity=0.0) for rung in self.rungs]
        control = self.measure("small dense", 2, trained, rungs, begun=begun)
        return replace(control, epochs=epochs + self.quantized_epochs)

    @functools.cached_property
    def small_widths(self) -> tuple[int, ...]:
        """Those whose file, still untrained, comes nearest to the chosen one's bytes."""
        num_bytes = self.chosen.num_bytes
        return match_widths(
            self.baseline.info,
            num_bytes,
            8 * num_bytes // self.shrinker.plan.bit_width,
            lambda widths: len(encode_network(self.shrinker.extract(self.quantize(self.build(widths))))),
            lambda parameters, counted: round(parameters * num_bytes / counted),
        )

    def build(self, widths: tuple[int, ...]) -> nn.Module:
        """A network of the baseline's kind with fresh weights."""
        info = self.baseline.info
        torch.manual_seed(self.shrinker.spec.seed)
        model = build_model(info.architecture, widths, input_shape=info.input_shape, num_classes=len(info.class_names))
        return model.to(get_device(self.baseline.model))

    def quantize(self, model: nn.Module) -> nn.Module:
        """At the widths of the plan."""
        plan = self.shrinker.plan
        return self.shrinker.quantize(model, plan.bit_width, plan.activation_bit_width)


def measure_controls(shrinker: Shrinker, chosen: Candidate) -> list[Control]:
    """The three, in the order of the class."""
    controls = Controls(shrinker, chosen)
    return [controls.measure_unpruned(), controls.measure_random(), controls.measure_small()]
