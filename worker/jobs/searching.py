"""The searches of `prune`: probes of (sparsity, validation accuracy), each recorded, and the models between them.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from worker.catalog import PruningPattern, PruningSchedule
from worker.core.checkpoint import copy_model, describe_checkpoint, snapshot
from worker.core.datasets import Split
from worker.core.models import get_widths
from worker.core.pruning import apply_masks_, apply_pruning, check_sparsity
from worker.core.pruning.channels import count_channels, count_largest_group, prune_channels
from worker.core.pruning.methods import compute_weight_gradients
from worker.core.pruning.schedules import compute_sparsities
from worker.core.training import SoftTargets, TrainingSettings, compute_soft_targets, evaluate, fit
from worker.jobs.asked import Difference, choose_highest, describe_difference, find_difference, search_edge
from worker.jobs.base import JobContext, Progress
from worker.jobs.products import Baseline
from worker.jobs.prune import PruneSpec
from worker.jobs.stages import Stage
from worker.jobs.steps import keep_step, rebuild_model
from worker.jobs.trainings import TrainingLog

GRADIENT_EXAMPLES = 512
COARSE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The sparsities that a one-shot search tries first: the curve."""
FINEST_STEP = 0.002
"""A one-shot search ends when the highest sparsity within the drop is known to so much."""
STEP_CEILING = {PruningPattern.WEIGHTS: 0.99, PruningPattern.CHANNELS: 0.85}
"""How far a step-by-step search without a given sparsity plans its steps."""
REFINEMENTS = 1
"""Sparsities tried between the last step within the drop and the first beyond it."""


@dataclass(frozen=True)
class Probe:
    """One measured point. `retrained_epochs` counts from the dense model; the accuracy is on validation.

    sparsity is what was reached; asked_sparsity what was asked for, None of a model that is left as it was. difference:
    why they are not the same, None where they are.
    """

    sparsity: float
    accuracy: float
    drop: float
    within: bool
    retrained_epochs: int
    asked_sparsity: float | None = None
    difference: Difference | None = None


@dataclass(frozen=True)
class Retraining:
    """The epochs that followed one step, at whose `sparsity` the zeros stood, whatever was asked."""

    sparsity: float
    epochs: list[dict[str, Any]]
    asked_sparsity: float | None = None


@dataclass(frozen=True)
class Found:
    """The model a search ends with, every probe on the way, which one it is, and what was retrained."""

    model: nn.Module
    probes: tuple[Probe, ...]
    chosen: Probe
    retrainings: tuple[Retraining, ...] = ()

    def probes_json(self) -> list[dict[str, Any]]:
        """The curve as numbers, by sparsity."""
        return [asdict(probe) for probe in sorted(self.probes, key=lambda probe: probe.sparsity)]

    def history_json(self) -> list[dict[str, Any]]:
        """Each stretch of retraining in the order it was done, its epochs as numbers."""
        return [asdict(retraining) for retraining in self.retrainings]


class Pruner:
    """Prunes copies of the baseline as a spec says, and measures them on validation."""

    def __init__(self, spec: PruneSpec, context: JobContext, baseline: Baseline) -> None:
        self.spec, self.context, self.baseline = spec, context, baseline
        self.architecture = baseline.info.architecture
        self.num_channels = count_channels(baseline.model)
        self.own_sparsity = self.compute_sparsity(baseline.model)
        self.trainings = TrainingLog(context)

    @functools.cached_property
    def soft_targets(self) -> SoftTargets:
        """What the dense model says of every training picture."""
        return compute_soft_targets(self.baseline.model, self.baseline.data)

    def prune(self, model: nn.Module, sparsity: float) -> nn.Module:
        """A pruned copy. sparsity: fraction of the *baseline's* weights or channels that is gone afterwards."""
        spec, data = self.spec, self.baseline.data
        torch.manual_seed(spec.seed)  # Random channel scores: the same probe is the same model.
        gradients = None
        if spec.method == "taylor":
            split = Split(data.train.images[:GRADIENT_EXAMPLES], data.train.labels[:GRADIENT_EXAMPLES])
            gradients = compute_weight_gradients(model, data, split)
        if spec.pattern is PruningPattern.CHANNELS:
            kept_before = count_channels(model) / self.num_channels
            return prune_channels(
                model,
                max(0.0, 1 - (1 - sparsity) / kept_before),
                self.baseline.info.input_shape,
                method=spec.method,
                scope=spec.scope,
                gradients=gradients,
            )
        pruned = copy_model(model, self.baseline.info)
        apply_pruning(pruned, spec.method, sparsity, scope=spec.scope, gradients=gradients, seed=spec.seed)
        return pruned.eval()

    def compute_sparsity(self, model: nn.Module) -> float:
        """What is gone: of the weights, or of the baseline's channels."""
        if self.spec.pattern is PruningPattern.CHANNELS:
            return 1 - count_channels(model) / self.num_channels
        return check_sparsity(model).sparsity

    @functools.cached_property
    def granularity(self) -> float:
        """The largest step in which sparsities count: a group of channels; of weights, one in each layer."""
        model = self.baseline.model
        if self.spec.pattern is PruningPattern.CHANNELS:
            return count_largest_group(model, self.baseline.info.input_shape) / self.num_channels
        layers = check_sparsity(model).layers
        return len(layers) / sum(layer.num_weights for layer in layers)

    def measure(self, model: nn.Module, retrained_epochs: int = 0, *, asked: float | None = None) -> Probe:
        """The sparsity really reached and the accuracy on validation."""
        data = self.baseline.data
        accuracy = evaluate(model, data, data.validation).accuracy
        sparsity = self.compute_sparsity(model)
        within = self.baseline.allows(accuracy, self.spec.max_accuracy_drop)
        difference = None
        if asked is not None:
            difference = find_difference(asked, sparsity, granularity=self.granularity, before=self.own_sparsity)
        return Probe(sparsity, accuracy, self.baseline.drop(accuracy), within, retrained_epochs, asked, difference)

    def report(self, probe: Probe, percent: float) -> None:
        """One event and one point of the curve."""
        asked = ""
        if probe.difference is not None and probe.asked_sparsity is not None:
            asked = f" (asked: {100 * probe.asked_sparsity:.2f} %)"
        self.context.report(
            Progress(
                phase="searching",
                percent=round(percent, 1),
                message=(
                    f"sparsity {100 * probe.sparsity:.2f} %{asked}: validation accuracy {100 * probe.accuracy:.2f} %, "
                    f"drop {probe.drop:.2f} points"
                ),
                metrics={"probe_accuracy": probe.accuracy, "probe_drop": probe.drop},
                metrics_step=probe.sparsity,
            )
        )

    def retrain(self, model: nn.Module, epochs: int, stage: Stage) -> dict[str, Any]:
        """Fine-tunes in place; weights that are zero stay zero. Returns the epochs as JSON, and how they went."""
        if epochs == 0:
            return {"history": [], "training": None}
        spec = self.spec
        masks = {}
        if spec.pattern is PruningPattern.WEIGHTS:
            masks = {
                name: module.weight.detach() != 0
                for name, module in model.named_modules()
                if isinstance(module, nn.Conv2d | nn.Linear)
            }
        history = fit(
            model,
            self.baseline.data,
            TrainingSettings(
                epochs=epochs,
                learning_rate=spec.learning_rate,
                warmup=0.1,
                distillation_weight=0.7 if spec.distillation else 0.0,
                seed=spec.seed + stage.epochs_before,
            ),
            soft_targets=self.soft_targets if spec.distillation else None,
            after_step=(lambda trained: apply_masks_(trained, masks)) if masks else None,
            on_batch=stage.on_batch,
            on_epoch=stage.on_epoch,
            on_retry=stage.on_retry,
        )
        return {"history": history.to_json(), "training": history.describe_outcome()}


def search_one_shot(pruner: Pruner) -> Found:
    """Prunes the dense model once per probe and never retrains: a coarse curve, then bisection at its edge."""
    baseline, spec = pruner.baseline, pruner.spec
    if spec.sparsity is not None:
        model = pruner.prune(baseline.model, spec.sparsity)
        probe = pruner.measure(model, asked=spec.sparsity)
        pruner.report(probe, 60)
        return Found(model, (probe,), probe)
    num_probes = 0

    def probe_at(sparsity: float) -> Probe:
        nonlocal num_probes
        probe = pruner.measure(pruner.prune(baseline.model, sparsity), asked=sparsity)
        num_probes += 1
        pruner.report(probe, min(90.0, 2 + 5 * num_probes))
        return probe

    probes = search_edge(
        probe_at,
        [sparsity for sparsity in COARSE if sparsity > pruner.own_sparsity],
        start=pruner.own_sparsity,
        ceiling=1 - FINEST_STEP,
        finest=FINEST_STEP,
    )
    best = choose_highest(probes)
    if best is None:
        pruner.context.warn("no sparsity tried is within the drop: the model is left as it was")
        model = baseline.model
        chosen = pruner.measure(model)
        return Found(model, (*probes.values(), chosen), chosen)
    return Found(pruner.prune(baseline.model, best), tuple(probes.values()), probes[best])


def search_step_by_step(pruner: Pruner) -> Found:
    """Prunes a little, retrains, and repeats from there.

    With a sparsity given: the schedule's steps up to it. Without one: on until a step no longer gets back within
    the drop, then between the last two steps. Finished steps are kept in the job's scratch folder.
    """
    spec, context, baseline = pruner.spec, pruner.context, pruner.baseline
    final = spec.sparsity if spec.sparsity is not None else STEP_CEILING[spec.pattern]
    epochs_per_step = spec.epochs_per_step or 0
    planned = compute_sparsities(spec.schedule, final, spec.steps or 1, pruner.own_sparsity)
    stretch = 88 / (len(planned) + (0 if spec.sparsity is not None else REFINEMENTS))
    probes: list[Probe] = []
    retrainings: list[Retraining] = []

    def take_step(model: nn.Module, sparsity: float, epochs_before: int) -> tuple[nn.Module, Probe]:
        position = len(probes)
        first = min(2 + stretch * position, 90.0)
        stage = Stage(
            context, f"retraining at {100 * sparsity:.1f} %", first, first + stretch,
            epochs_before=position * epochs_per_step,
        )  # fmt: skip
        pruned = pruner.prune(model, sparsity)

        def compute() -> dict[str, Any]:
            retrained = pruner.retrain(pruned, epochs_per_step, stage)
            widths = list(get_widths(pruner.architecture, pruned))
            return {"widths": widths, "state": snapshot(pruned), **retrained}

        kept = keep_step(context.scratch, f"step-{position}", compute)
        pruner.trainings.add(stage.phase, kept.get("training"))
        stepped = rebuild_model(pruner.baseline, kept)
        probe = pruner.measure(stepped, epochs_before + epochs_per_step, asked=sparsity)
        probes.append(probe)
        retrainings.append(Retraining(probe.sparsity, kept["history"], sparsity))
        pruner.report(probe, first + stretch)
        return stepped, probe

    # `low` and `beyond` are what was asked; what was reached may lie elsewhere.
    model, within, low, beyond, epochs = baseline.model, None, pruner.own_sparsity, None, 0
    for sparsity in planned:
        stepped, probe = take_step(model, sparsity, epochs)
        if spec.sparsity is None and not probe.within:
            beyond = sparsity
            break
        model, within, low, epochs = stepped, probe, sparsity, probe.retrained_epochs
    if spec.sparsity is None and beyond is None:
        context.warn(f"the search ends at {100 * final:.0f} %, still within the drop")
    if beyond is not None:
        for _ in range(REFINEMENTS):
            # Half-way in density, by its logarithm: from 95 % to 99 % the middle is 97.8 %.
            middle = 1 - ((1 - low) * (1 - beyond)) ** 0.5
            stepped, probe = take_step(model, middle, epochs)
            if probe.within:
                model, within, low, epochs = stepped, probe, middle, probe.retrained_epochs
            else:
                beyond = middle
    if within is None:
        context.warn("no step came back within the drop: the model is left as it was")
        within = pruner.measure(model)
    measured = (*probes, within) if within not in probes else tuple(probes)
    return Found(model, measured, within, tuple(retrainings))


def fine_tune(pruner: Pruner, found: Found, stage: Stage) -> Found:
    """The retraining after the last step that the spec asks for, kept only if validation gains by it."""
    epochs = pruner.spec.fine_tune_epochs
    if epochs == 0:
        return found
    info = describe_checkpoint(found.model, pruner.architecture, pruner.baseline.data)
    tuned = copy_model(found.model, info)

    def compute() -> dict[str, Any]:
        retrained = pruner.retrain(tuned, epochs, stage)
        return {"widths": list(info.widths), "state": snapshot(tuned), **retrained}

    kept = keep_step(pruner.context.scratch, "fine-tune", compute)
    pruner.trainings.add(stage.phase, kept.get("training"))
    tuned = rebuild_model(pruner.baseline, kept)
    asked = found.chosen.asked_sparsity
    probe = pruner.measure(tuned, found.chosen.retrained_epochs + epochs, asked=asked)
    better = probe.accuracy > found.chosen.accuracy
    return Found(
        tuned if better else found.model,
        (*found.probes, probe),
        probe if better else found.chosen,
        (*found.retrainings, Retraining(probe.sparsity, kept["history"], asked)),
    )


def search(pruner: Pruner) -> Found:
    """The search that the spec's schedule asks for."""
    if pruner.spec.schedule is PruningSchedule.ONE_SHOT:
        return search_one_shot(pruner)
    return search_step_by_step(pruner)


def run_search(spec: PruneSpec, context: JobContext, baseline: Baseline) -> tuple[Found, TrainingLog]:
    """The whole of a prune job's search, with its closing fine-tuning, and how its trainings went."""
    torch.manual_seed(spec.seed)
    pruner = Pruner(spec, context, baseline)
    found = search(pruner)
    before = max(probe.retrained_epochs for probe in found.probes)
    found = fine_tune(pruner, found, Stage(context, "fine-tuning", 90, 97, epochs_before=before))
    chosen = found.chosen
    if chosen.difference is not None and chosen.asked_sparsity is not None:
        context.warn(describe_difference(chosen.asked_sparsity, chosen.sparsity, chosen.difference))
    return found, pruner.trainings
