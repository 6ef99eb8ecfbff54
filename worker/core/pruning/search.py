"""The highest sparsity within an accuracy drop, found by probes of (sparsity, validation accuracy)."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from worker.catalog import PruningMethod, PruningPattern, PruningSchedule, PruningScope
from worker.core.baseline import Baseline
from worker.core.fit_progress import FitProgress
from worker.core.graph import list_layers
from worker.core.pruning import apply_masks_, apply_pruning, check_sparsity
from worker.core.pruning.channels import count_channels, count_largest_group, prune_channels
from worker.core.pruning.difference import Difference, describe_difference, find_difference
from worker.core.pruning.methods import NEEDS_GRADIENTS, compute_weight_gradients
from worker.core.pruning.schedules import compute_sparsities
from worker.core.resume import Checkpoints, NoCheckpoints
from worker.core.soft_targets import compute_soft_targets
from worker.core.training import SoftTargets, TrainingSettings, evaluate, fit
from worker.core.training_log import StageOutcome, Tracker
from worker.datasets import Split
from worker.progress import Progress, QuietReporter, Reporter
from worker.search import bisect, refine

GRADIENT_EXAMPLES = 512
COARSE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The sparsities that a one-shot search tries first: the curve."""
FINEST_STEP = 0.002
"""A one-shot search ends when the highest sparsity within the drop is known to so much."""
STEP_CEILING = {PruningPattern.WEIGHTS: 0.99, PruningPattern.CHANNELS: 0.85}
"""How far a step-by-step search without a given sparsity plans its steps."""
REFINEMENTS = 1
"""Sparsities tried between the last step within the drop and the first beyond it."""


# --- what a search decides, on plain numbers


class Try(Protocol):
    """One measured point of a search: the sparsity reached, the validation accuracy, whether the drop is allowed."""

    @property
    def sparsity(self) -> float: ...

    @property
    def accuracy(self) -> float: ...

    @property
    def within(self) -> bool: ...


T = TypeVar("T", bound=Try)


def choose_highest(tries: Mapping[float, T]) -> float | None:
    """Chooses the try within the drop that reached most, and returns its key, which is what was asked.

    Of several that reached the same: the most accurate, then the one that asked for least. None where none is within.
    """
    within = {asked: one for asked, one in tries.items() if one.within}
    return max(within, key=lambda asked: (within[asked].sparsity, within[asked].accuracy, -asked), default=None)


def search_edge(
    try_at: Callable[[float], T], coarse: Sequence[float], *, start: float, ceiling: float, finest: float
) -> dict[float, T]:
    """Tries what is asked at each of `coarse`, then halves the way from the best within the drop to the next beyond it.

    Best is what reached most, so that a curve may fall and rise again. Ends where the way is at most `finest` long.
    start: what is reached without asking. ceiling: where nothing is beyond. Returns asked → what came of it.
    """
    tries = {asked: try_at(asked) for asked in coarse}
    best = choose_highest(tries)
    low = start if best is None else best
    beyond = min((asked for asked, one in tries.items() if asked > low and not one.within), default=ceiling)

    def is_within(asked: float) -> bool:
        tries[asked] = try_at(asked)
        return tries[asked].within

    bisect(is_within, low, beyond, finest=finest)
    return tries


def find_next_sparsity(planned: Sequence[float], within: Sequence[bool], start: float) -> float | None:
    """The sparsity that a step-by-step search asks for next, always from the last network within the drop.

    planned: the steps, until one is beyond the drop; then REFINEMENTS more between that and the one before. Where
    already the first is beyond, all that were planned are spent below it. within: of the steps taken so far. start:
    sparsity of the network before the first. None where the search ends.
    """
    taken = within[: len(planned)]
    if all(taken):
        return planned[len(taken)] if len(taken) < len(planned) else None
    beyond = taken.index(False)
    near = planned[beyond - 1] if beyond else start
    limit = REFINEMENTS if beyond else max(REFINEMENTS, len(planned) - 1)
    found = refine(near, planned[beyond], within[beyond + 1 :], limit)
    return None if found is None else found[0]


# --- the search on a network


@dataclass(frozen=True)
class PruningPlan:
    """How a network is pruned. sparsity: to reach; None for the highest one whose drop is at most `max_drop` points.

    epochs_per_step: of retraining after each of `steps`; both count only where the schedule goes step by step.
    fine_tune_epochs: of retraining after the last step.
    """

    pattern: PruningPattern = PruningPattern.WEIGHTS
    method: PruningMethod = PruningMethod.MAGNITUDE
    scope: PruningScope = PruningScope.GLOBAL
    schedule: PruningSchedule = PruningSchedule.ONE_SHOT
    sparsity: float | None = None
    max_drop: float = 1.0
    steps: int = 1
    epochs_per_step: int = 0
    fine_tune_epochs: int = 0
    learning_rate: float = 0.02
    distillation: bool = True
    seed: int = 0


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
class PruningResult:
    """The model a search ends with, every probe on the way, which one it is, and what was retrained."""

    model: nn.Module
    probes: tuple[Probe, ...]
    chosen: Probe
    retrainings: tuple[Retraining, ...] = ()
    trainings: tuple[StageOutcome, ...] = ()


@dataclass(frozen=True)
class PruningTask:
    """A baseline as a plan counts it. start: sparsity that it has already. granularity: the largest step in which
    sparsities count: a group of channels; of weights, one in each layer.
    """

    baseline: Baseline
    plan: PruningPlan
    num_channels: int
    start: float
    granularity: float


def find_highest_sparsity(
    baseline: Baseline, plan: PruningPlan, report: Reporter | None = None, checkpoints: Checkpoints | None = None
) -> PruningResult:
    """Prunes a copy of the baseline as planned, and retrains it at the end where the plan says so.

    Raises JobCancelled where `report` does. What is finished is kept in `checkpoints`, and not done again.
    """
    torch.manual_seed(plan.seed)
    tracker = Tracker(report or QuietReporter(), checkpoints or NoCheckpoints())
    targets = functools.cache(lambda: compute_soft_targets(baseline.model, baseline.data))
    task = open_task(baseline, plan)
    if plan.schedule is PruningSchedule.ONE_SHOT:
        found = _search_one_shot(task, tracker)
    else:
        found = _search_step_by_step(task, tracker, targets)
    if plan.fine_tune_epochs:
        found = _fine_tune(found, task, tracker, targets)
    chosen = found.chosen
    if chosen.difference is not None and chosen.asked_sparsity is not None:
        tracker.reporter.warn(describe_difference(chosen.asked_sparsity, chosen.sparsity, chosen.difference))
    return replace(found, trainings=tuple(tracker.trainings.outcomes))


def open_task(baseline: Baseline, plan: PruningPlan) -> PruningTask:
    """Counts a baseline before anything is asked of it."""
    model, num_channels = baseline.model, count_channels(baseline.model)
    if plan.pattern is PruningPattern.CHANNELS:
        step = count_largest_group(model, baseline.info.input_shape) / num_channels
        return PruningTask(baseline, plan, num_channels, 0.0, step)
    report = check_sparsity(model)
    return PruningTask(baseline, plan, num_channels, report.sparsity, report.granularity)


def prune(model: nn.Module, sparsity: float, task: PruningTask) -> nn.Module:
    """Prunes a copy of a model. sparsity: fraction of the *baseline's* weights or channels that is gone afterwards."""
    baseline, plan = task.baseline, task.plan
    torch.manual_seed(plan.seed)  # Random channel scores: the same probe is the same model.
    gradients = None
    if NEEDS_GRADIENTS[plan.method]:
        train = baseline.data.train
        split = Split(train.images[:GRADIENT_EXAMPLES], train.labels[:GRADIENT_EXAMPLES])
        gradients = compute_weight_gradients(model, baseline.data, split)
    if plan.pattern is PruningPattern.CHANNELS:
        kept_before = count_channels(model) / task.num_channels
        return prune_channels(
            model,
            max(0.0, 1 - (1 - sparsity) / kept_before),
            baseline.info.input_shape,
            method=plan.method,
            scope=plan.scope,
            gradients=gradients,
        )
    pruned = copy.deepcopy(model)
    apply_pruning(pruned, plan.method, sparsity, scope=plan.scope, gradients=gradients, seed=plan.seed)
    return pruned.eval()


def measure_probe(
    model: nn.Module, task: PruningTask, retrained_epochs: int = 0, *, asked: float | None = None
) -> Probe:
    """Measures the sparsity really reached and the accuracy on validation."""
    baseline, plan = task.baseline, task.plan
    accuracy = evaluate(model, baseline.data, baseline.data.validation).accuracy
    if plan.pattern is PruningPattern.CHANNELS:
        sparsity = 1 - count_channels(model) / task.num_channels
    else:
        sparsity = check_sparsity(model).sparsity
    difference = None
    if asked is not None:
        difference = find_difference(asked, sparsity, granularity=task.granularity, before=task.start)
    within = baseline.allows(accuracy, plan.max_drop)
    return Probe(sparsity, accuracy, baseline.drop(accuracy), within, retrained_epochs, asked, difference)


def _search_one_shot(task: PruningTask, tracker: Tracker) -> PruningResult:
    """Prunes the dense model once per probe and never retrains: a coarse curve, then bisection at its edge."""
    dense, given = task.baseline.model, task.plan.sparsity
    if given is not None:
        model = prune(dense, given, task)
        probe = measure_probe(model, task, asked=given)
        tracker.reporter.report(_describe(probe, 60))
        return PruningResult(model, (probe,), probe)
    num_probes = 0

    def probe_at(sparsity: float) -> Probe:
        nonlocal num_probes
        probe = measure_probe(prune(dense, sparsity, task), task, asked=sparsity)
        num_probes += 1
        tracker.reporter.report(_describe(probe, min(90.0, 2 + 5 * num_probes)))
        return probe

    coarse = [sparsity for sparsity in COARSE if sparsity > task.start]
    probes = search_edge(probe_at, coarse, start=task.start, ceiling=1 - FINEST_STEP, finest=FINEST_STEP)
    best = choose_highest(probes)
    if best is None:
        tracker.reporter.warn("no sparsity tried is within the drop: the model is left as it was")
        chosen = measure_probe(dense, task)
        return PruningResult(dense, (*probes.values(), chosen), chosen)
    return PruningResult(prune(dense, best, task), tuple(probes.values()), probes[best])


def _search_step_by_step(task: PruningTask, tracker: Tracker, targets: Callable[[], SoftTargets]) -> PruningResult:
    """Prunes a little, retrains, and repeats from there.

    With a sparsity given: the schedule's steps up to it. Without one: as `find_next_sparsity` asks.
    """
    baseline, plan = task.baseline, task.plan
    is_given = plan.sparsity is not None
    final = plan.sparsity if plan.sparsity is not None else STEP_CEILING[plan.pattern]
    planned = compute_sparsities(plan.schedule, final, plan.steps, task.start)
    stretch = 88 / (len(planned) + (0 if is_given else REFINEMENTS))
    model, chosen = baseline.model, None
    probes: list[Probe] = []
    retrainings: list[Retraining] = []
    endings: list[bool] = []
    while (sparsity := find_next_sparsity(planned, endings, task.start)) is not None:
        position = len(probes)
        first = min(2 + stretch * position, 90.0)
        stage = FitProgress(
            tracker.reporter, f"retraining at {100 * sparsity:.1f} %", first, first + stretch,
            epochs_before=position * plan.epochs_per_step,
        )  # fmt: skip
        pruned = prune(model, sparsity, task)
        train = functools.partial(retrain, pruned, plan.epochs_per_step, task, stage, targets)
        stepped, step = tracker.train(f"step-{position}", stage.phase, baseline, pruned, train)
        before = 0 if chosen is None else chosen.retrained_epochs
        probe = measure_probe(stepped, task, before + plan.epochs_per_step, asked=sparsity)
        probes.append(probe)
        endings.append(is_given or probe.within)
        retrainings.append(Retraining(probe.sparsity, step["history"], sparsity))
        tracker.reporter.report(_describe(probe, first + stretch))
        if endings[-1]:
            model, chosen = stepped, probe
    if not is_given and all(endings):
        tracker.reporter.warn(f"the search ends at {100 * final:.0f} %, still within the drop")
    if chosen is None:
        tracker.reporter.warn("no step came back within the drop: the model is left as it was")
        chosen = measure_probe(model, task)
        probes.append(chosen)
    return PruningResult(model, tuple(probes), chosen, tuple(retrainings))


def retrain(
    model: nn.Module, epochs: int, task: PruningTask, stage: FitProgress, targets: Callable[[], SoftTargets]
) -> dict[str, Any]:
    """Fine-tunes in place; weights that are zero stay zero. Returns the epochs as JSON, and how they went."""
    if epochs == 0:
        return {"history": [], "training": None}
    plan = task.plan
    masks = {}
    if plan.pattern is PruningPattern.WEIGHTS:
        masks = {name: layer.weight.detach() != 0 for name, layer in list_layers(model).items()}
    history = fit(
        model,
        task.baseline.data,
        TrainingSettings(
            epochs=epochs,
            learning_rate=plan.learning_rate,
            warmup=0.1,
            distillation_weight=0.7 if plan.distillation else 0.0,
            seed=plan.seed + stage.epochs_before,
        ),
        soft_targets=targets() if plan.distillation else None,
        after_step=(lambda trained: apply_masks_(trained, masks)) if masks else None,
        on_batch=stage.on_batch,
        on_epoch=stage.on_epoch,
        on_retry=stage.on_retry,
    )
    return {"history": history.to_json(), "training": history.describe_outcome()}


def _fine_tune(
    found: PruningResult, task: PruningTask, tracker: Tracker, targets: Callable[[], SoftTargets]
) -> PruningResult:
    """Retrains what was found once more; kept only if validation gains by it."""
    before = max(probe.retrained_epochs for probe in found.probes)
    stage = FitProgress(tracker.reporter, "fine-tuning", 90, 97, epochs_before=before)
    copied, chosen, epochs = copy.deepcopy(found.model), found.chosen, task.plan.fine_tune_epochs
    train = functools.partial(retrain, copied, epochs, task, stage, targets)
    tuned, step = tracker.train("fine-tune", stage.phase, task.baseline, copied, train)
    probe = measure_probe(tuned, task, chosen.retrained_epochs + epochs, asked=chosen.asked_sparsity)
    retraining = Retraining(probe.sparsity, step["history"], chosen.asked_sparsity)
    found = replace(found, probes=(*found.probes, probe), retrainings=(*found.retrainings, retraining))
    return replace(found, model=tuned, chosen=probe) if probe.accuracy > chosen.accuracy else found


def _describe(probe: Probe, percent: float) -> Progress:
    """One event and one point of the curve."""
    asked = ""
    if probe.difference is not None and probe.asked_sparsity is not None:
        asked = f" (asked: {100 * probe.asked_sparsity:.2f} %)"
    return Progress(
        phase="searching",
        percent=round(percent, 1),
        message=(
            f"sparsity {100 * probe.sparsity:.2f} %{asked}: validation accuracy {100 * probe.accuracy:.2f} %, "
            f"drop {probe.drop:.2f} points"
        ),
        metrics={"probe_accuracy": probe.accuracy, "probe_drop": probe.drop},
        metrics_step=probe.sparsity,
    )
