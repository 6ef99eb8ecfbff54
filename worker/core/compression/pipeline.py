"""The way of `compress` from a float model to ever smaller files: narrow, prune while quantized, round, encode.

Every candidate is measured as it would be stored: encoded, its bytes counted, its integers evaluated on validation.
Imported inside `run` only.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from worker.catalog import PruningMethod, PruningScope
from worker.core.augmentation import count_views
from worker.core.baseline import Baseline
from worker.core.checkpoint import copy_model, snapshot
from worker.core.fit_progress import Stage
from worker.core.integer import IntegerNetwork
from worker.core.learning import Attempt
from worker.core.models import get_widths, has_batch_norm
from worker.core.pruning.channels import prune_channels
from worker.core.pruning.gradual import GradualPruner
from worker.core.quantization import calibrate, quantize_model
from worker.core.resume import MANTISSA_BITS, extract_rounded, keep_step, open_folder, rebuild_model
from worker.core.training import SoftTargets, TrainingSettings, compute_soft_targets, evaluate, fit
from worker.core.training_log import TrainingLog
from worker.jobs.base import JobContext
from worker.jobs.candidates import Candidate, Gallery
from worker.jobs.compress import CompressSpec
from worker.jobs.compress_timetable import ASKING, CALIBRATING, NARROWING, TEACHER, name_rung, plan_time
from worker.jobs.efforts import PLANS, Rung
from worker.jobs.ladder import Climb, find_next
from worker.jobs.plain import PlainQuantizer
from worker.jobs.quantizing import take_sample
from worker.jobs.rounding import Rounder, search_trade_off
from worker.timetable import VIEW_WEIGHT, VIEWS

CHANNELS_MULTIPLE = 8
"""Narrowed layers keep a multiple of so many channels where they are wide: it fills vector registers."""
SMALL_NETWORK = 100_000
"""Networks of fewer weights are narrowed by SMALL_NETWORK_SPARSITY at most: they have less to spare."""
SMALL_NETWORK_SPARSITY = 0.4
BATCH_SIZE = 128
DENSE_RATE = 0.05
"""Peak learning rate of what is not quantized yet."""
CALIBRATED_BIT_WIDTH = 8
CALIBRATED = f"{CALIBRATED_BIT_WIDTH} bit, calibrated"
HOPELESS = 2.0
"""A rung so many points beyond the drop is the last: more training will not bring it back."""


@dataclass(frozen=True)
class Trained:
    """A quantized network as it left its training; rung: the last stretch of that, None for one without."""

    model: nn.Module
    candidate: Candidate
    rung: Rung | None
    learned: bool = True

    @property
    def sparsity(self) -> float:
        """That its rung aimed at."""
        return 0.0 if self.rung is None else self.rung.sparsity


class Shrinker:
    """Follows the plan of a spec. Finished steps are kept in the job's scratch folder and not repeated."""

    def __init__(self, spec: CompressSpec, context: JobContext, baseline: Baseline) -> None:
        self.spec, self.context, self.baseline = spec, context, baseline
        self.plan = PLANS[spec.effort]
        self.folder = open_folder(context.scratch, f"{type(spec).version} {self.plan}")
        # Mirrored views of pictures that are never mirrored are not asked about.
        num_views = count_views(self.plan.max_shift) // (1 if baseline.data.is_mirrorable else 2)
        self.timetable = plan_time(self.plan, num_views=num_views, has_controls=spec.controls)
        self.trainings = TrainingLog(context)
        self.gallery = Gallery(context, self.folder, baseline, spec.max_accuracy_drop, self.timetable)
        self.plain = PlainQuantizer(self.gallery, self.trainings, spec.seed)
        self.trained: list[Trained] = []
        """In the order they were made; the first is the calibrated one."""

    @functools.cached_property
    def soft_targets(self) -> SoftTargets:
        """What the teacher says of every training picture, shifted in every way that training shifts it."""
        teacher, asked = self.teacher, 0
        began = time.perf_counter()

        def on_view(number: int, count: int) -> None:
            nonlocal asked, began
            if asked:
                self.timetable.observe(VIEWS, VIEW_WEIGHT, time.perf_counter() - began)
                began = time.perf_counter()
            asked += 1
            message = f"asking the teacher about every picture, view {number} of {count}"
            self.gallery.report(ASKING, (number - 1) / count, phase="asking the teacher", message=message)

        return compute_soft_targets(teacher, self.baseline.data, self.plan.max_shift, on_view=on_view)

    @functools.cached_property
    def teacher(self) -> nn.Module:
        """The dense model, trained on where the plan says so and where it gains by it: it then teaches more."""
        epochs, info = self.plan.teacher_epochs, self.baseline.info
        if epochs == 0:
            return self.baseline.model
        teacher = copy_model(self.baseline.model, info)
        stage = self.open_stage("training the teacher", TEACHER, "teacher_")

        def compute() -> dict[str, Any]:
            resume_file = self.folder / "teacher.state"
            outcome = self.fit(teacher, epochs, DENSE_RATE, stage, soft_targets=None, resume_file=resume_file)
            return {"widths": list(info.widths), "state": snapshot(teacher), "training": outcome}

        kept = keep_step(self.folder, "teacher", compute)
        self.trainings.add(stage.phase, kept["training"])
        teacher = rebuild_model(self.baseline, kept)
        data = self.baseline.data
        has_gained = evaluate(teacher, data, data.validation).accuracy > self.baseline.validation.accuracy
        return teacher if has_gained else self.baseline.model

    @property
    def is_teacher_trained(self) -> bool:
        """Whether somebody better than the baseline teaches."""
        return self.teacher is not self.baseline.model

    def run(self) -> list[Candidate]:
        """Every candidate, in the order they were made. The first needs no training and is the way out."""
        torch.manual_seed(self.spec.seed)
        width = CALIBRATED_BIT_WIDTH
        self.keep(CALIBRATED, self.quantize(self.baseline.model, width, width), None, CALIBRATING)
        self.climb_while_safe(self.quantize(self.narrowed, self.plan.bit_width, self.plan.activation_bit_width))
        candidates = [trained.candidate for trained in self.trained]
        is_way_out_needed = not any(trained.candidate.within for trained in self.trained[1:])
        if self.leaves_room(self.start) and (self.start.rung is not None or is_way_out_needed):
            candidates += search_trade_off(self.gallery, self.rounder, self.start.candidate)
        return candidates + self.plain.search(candidates)

    @property
    def start(self) -> Trained:
        """What rounding starts from: the sparsest one that leaves room for it, the first where there is none."""
        return max(filter(self.leaves_room, self.trained), key=lambda one: one.sparsity, default=self.trained[0])

    def leaves_room(self, trained: Trained) -> bool:
        """Whether rounding may still make it less accurate, and be within the drop and its reserve."""
        return trained.learned and self.gallery.is_good(trained.candidate)

    @functools.cached_property
    def rounder(self) -> Rounder:
        """Rounds what the training ended with."""
        return Rounder(self.baseline, self.start.model, self.spec.seed)

    def climb_while_safe(self, model: nn.Module) -> None:
        """The rungs that `find_next` asks for, each trained in place and measured where it ends."""
        states = [copy.deepcopy(model.state_dict())]
        climbs: list[Climb] = []
        while (step := find_next(self.plan, climbs)) is not None:
            model.load_state_dict(states[step.start + 1])
            trained = self.climb(model, step.rung)
            states.append(trained.model.state_dict())
            climbs.append(
                Climb(
                    step.rung,
                    learned=trained.learned,
                    is_good=self.leaves_room(trained),
                    is_hopeless=trained.candidate.drop > self.spec.max_accuracy_drop + HOPELESS,
                )
            )

    def climb(self, model: nn.Module, rung: Rung) -> Trained:
        """Trains the next rung in place and measures where it ends."""
        position = len(self.trained) - 1
        part = name_rung(position)
        stage = self.open_stage(f"pruning to {100 * rung.sparsity:.1f} % while quantized", part, f"rung{position}_")
        learned = self.train(model, rung, stage, part)
        name = f"{self.plan.bit_width} bit, {100 * rung.sparsity:.1f} % pruned"
        return self.keep(name, copy.deepcopy(model), rung, part, learned=learned)

    def open_stage(self, phase: str, part: str, series: str, begin: float = 0.0, end: float = 1.0) -> Stage:
        """The stage of a fit that is a part of the timetable, from one share of it to another."""
        return Stage(self.context, phase, series=series, timetable=self.timetable, part=part, begin=begin, end=end)

    def keep(self, name: str, model: nn.Module, rung: Rung | None, part: str, *, learned: bool = True) -> Trained:
        """Measures a network that is trained as far as it will be. part: of the timetable, which ends here."""
        build = functools.partial(self.extract, model)
        candidate = self.gallery.measure(name, build, part, is_plain=rung is None)
        self.trained.append(Trained(model, candidate, rung, learned))
        return self.trained[-1]

    def extract(self, model: nn.Module) -> IntegerNetwork:
        """A quantized network as it is stored."""
        return extract_rounded(self.baseline, model)

    @functools.cached_property
    def narrowed(self) -> nn.Module:
        """The teacher with fewer channels, retrained."""
        info = self.baseline.info
        sparsity = self.plan.channel_sparsity
        if sum(parameter.numel() for parameter in self.teacher.parameters()) < SMALL_NETWORK:
            sparsity = min(sparsity, SMALL_NETWORK_SPARSITY)
        narrow = prune_channels(self.teacher, sparsity, info.input_shape, multiple_of=CHANNELS_MULTIPLE)
        stage = self.open_stage("narrowing", NARROWING, "narrow_")

        def compute() -> dict[str, Any]:
            outcome = self.fit(
                narrow,
                self.plan.narrow_epochs,
                DENSE_RATE,
                stage,
                soft_targets=self.soft_targets,
                resume_file=self.folder / "narrow.state",
            )
            widths = list(get_widths(info.architecture, narrow))
            return {"widths": widths, "state": snapshot(narrow), "training": outcome}

        kept = keep_step(self.folder, "narrow", compute)
        self.trainings.add(stage.phase, kept["training"])
        return rebuild_model(self.baseline, kept)

    def quantize(self, model: nn.Module, bit_width: int, activation_bit_width: int) -> nn.Module:
        """A calibrated copy whose layers compute on quantized values."""
        data = self.baseline.data
        return quantize_model(
            model,
            bit_width,
            calibrate(model, take_sample(model, data)),
            mean=data.mean,
            std=data.std,
            activation_bit_width=activation_bit_width,
        )

    def find_ancestry(self, candidate: Candidate) -> list[Trained]:
        """Whom a candidate's weights came from, one rung after the other, without the calibrated one."""
        if candidate.is_plain:
            return []
        last = self.start
        if candidate.trade_off is None:
            last = next(trained for trained in self.trained if trained.candidate == candidate)
        # A rung that went too far is no ancestor of a later one between, nor is one that has not learned.
        rungs = [trained for trained in self.trained[1:] if trained.sparsity <= last.sparsity]
        return [trained for trained in rungs if trained.learned or trained is last]

    def train(
        self,
        model: nn.Module,
        rung: Rung,
        stage: Stage,
        name: str,
        method: PruningMethod = PruningMethod.MAGNITUDE,
    ) -> bool:
        """Trains one rung in place; whether it learned. name: of the step that is kept."""

        def compute() -> dict[str, Any]:
            steps = rung.epochs * math.ceil(len(self.baseline.data.train) / BATCH_SIZE)
            pruner = GradualPruner(model, rung.sparsity, int(0.6 * steps), scope=PruningScope.LAMP, method=method)
            outcome = self.fit(
                model,
                rung.epochs,
                rung.learning_rate,
                stage,
                soft_targets=self.soft_targets,
                pruner=pruner,
                is_plain=rung.is_plain,
            )
            return {"state": snapshot(model), "training": outcome}

        kept = keep_step(self.folder, name, compute)
        self.trainings.add(stage.phase, kept["training"])
        model.load_state_dict(kept["state"])
        return bool(kept["training"]["learned"])

    def fit(
        self,
        model: nn.Module,
        epochs: int,
        learning_rate: float,
        stage: Stage,
        *,
        soft_targets: SoftTargets | None,
        pruner: GradualPruner | None = None,
        resume_file: Path | None = None,
        is_plain: bool = False,
    ) -> dict[str, Any]:
        """Trains towards the labels and, where there are any, the soft targets. is_plain: on pictures as stored.

        Returns how it went, as a result holds it. Without a pruner the best epoch is kept; with one the last, as only
        that one is as sparse as it should be.
        """
        if is_plain and soft_targets is not None:
            soft_targets = soft_targets.select_plain()

        def on_retry(given_up: Attempt, next_rate: float) -> None:
            if pruner is not None:
                pruner.restart()
            stage.on_retry(given_up, next_rate)

        history = fit(
            model,
            self.baseline.data,
            TrainingSettings(
                epochs=epochs,
                learning_rate=learning_rate,
                batch_size=BATCH_SIZE,
                warmup=0.15,
                distillation_weight=0.7,
                flip=not is_plain,
                max_shift=0 if is_plain else self.plan.max_shift,
                seed=self.spec.seed,
                keep_best=pruner is None,
            ),
            soft_targets=soft_targets,
            after_step=pruner,
            on_batch=stage.on_batch,
            on_epoch=stage.on_epoch,
            on_retry=on_retry,
            resume_file=resume_file,
        )
        outcome = history.describe_outcome()
        assert outcome is not None  # noqa: S101
        return outcome

    def describe_teaching(self, candidate: Candidate) -> list[str]:
        """Who taught a candidate, and on which pictures."""
        taught = ["distillation from the dense model"]
        if self.is_teacher_trained:
            taught.append(f"the teacher trained for up to {self.plan.teacher_epochs} more epochs")
        if self.plan.max_shift:
            taught.append(f"training pictures shifted by up to {self.plan.max_shift} px")
        plain = sum(one.rung.epochs for one in self.find_ancestry(candidate) if one.rung and one.rung.is_plain)
        if plain:
            taught.append(f"the last {plain} epochs on training pictures as they are stored")
        return taught

    def describe_techniques(self, candidate: Candidate) -> list[str]:
        """What went into a candidate, for the report."""
        network = self.gallery.load(candidate)
        info = self.baseline.info
        coding = [
            *(["batch norm folded into scales and biases"] if has_batch_norm(info.architecture) else []),
            f"scales and biases rounded to {MANTISSA_BITS} mantissa bits",
            "context-modelled entropy coding",
        ]
        if candidate.trade_off is not None:
            coding = [
                f"rate-distortion rounding of the integers: a bit is worth {candidate.trade_off:.2e} nats per picture",
                "scale and bias of each channel fitted anew after rounding",
                *coding,
            ]
        plain = self.plain.get(candidate)
        if plain is not None:
            return [*plain.describe(), *coding]
        if candidate.bit_width == CALIBRATED_BIT_WIDTH:
            return [f"{CALIBRATED_BIT_WIDTH} bit quantization, calibrated, without training", *coding]
        weights, inputs = self.plan.bit_width, self.plan.activation_bit_width
        return [
            f"channel pruning, hidden widths {_join(info.widths)} to {_join(network.widths)}",
            *self.describe_teaching(candidate),
            f"quantization-aware training with learned step sizes, {weights} bit weights, {inputs} bit activations",
            "gradual layer-adaptive weight pruning (LAMP) while quantized",
            *coding,
        ]


def _join(widths: Sequence[int]) -> str:
    """`32-64-128`, as reports write widths."""
    return "-".join(str(width) for width in widths)
