"""From a float network to the smallest file within an accuracy drop: narrow, prune while quantized, round, encode.

Every candidate is measured as it would be stored: encoded, its bytes counted, its integers evaluated on validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from worker.compression_plan import CompressionPlan
from worker.compression_plan.parts import FINISHING, plan_time
from worker.core.augmentation import count_views
from worker.core.baseline import Baseline
from worker.core.compression.ablation import AblationRow, measure_ablation
from worker.core.compression.candidates import Candidate, CandidateStore, choose_candidate, list_front
from worker.core.compression.controls import Control, measure_controls
from worker.core.compression.derivation import Derivation
from worker.core.compression.plain import search_plain
from worker.core.compression.qat import (
    choose_start,
    find_ancestry,
    is_rounding_worthwhile,
    measure_calibrated,
    train_stages,
)
from worker.core.compression.reserve import CONFIDENCE, Reserve
from worker.core.compression.rounding import Rounder, search_lambda
from worker.core.compression.task import CompressionTask, StageSparsity
from worker.core.compression.teacher import narrow, train_teacher
from worker.core.compression.techniques import list_techniques
from worker.core.compression.timetable import TimedTracker
from worker.core.measure import measure_baseline
from worker.core.pruning.difference import describe_difference
from worker.core.resume import Checkpoints, NoCheckpoints
from worker.core.training_log import StageOutcome
from worker.datasets import Dataset
from worker.progress import QuietReporter, Reporter
from worker.techniques import AppliedTechnique

FOREIGN_CHECKPOINTS = (
    "the checkpoints are not known to be of this network, these pictures and this task: they are discarded, and all is "
    "done anew"
)


@dataclass(frozen=True)
class CompressionResult:
    """The file that was chosen, and all that was measured on the way.

    file: of `chosen`, as `worker.coding.decode_network` reads it. front: the candidates that no other beats in
    both bytes and accuracy. least_accuracy: on validation, of what is within the drop. stages: what each was asked for
    and reached. controls: None where none were asked for. applied: the techniques that went into the file.
    """

    file: bytes
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    least_accuracy: float
    reserve: Reserve
    stages: tuple[StageSparsity, ...]
    ablation: tuple[AblationRow, ...]
    controls: tuple[Control, ...] | None
    applied: tuple[AppliedTechnique, ...]
    trainings: tuple[StageOutcome, ...]


def compress(
    model: nn.Module,
    data: Dataset,
    plan: CompressionPlan,
    max_drop: float = 1.0,
    seed: int = 0,
    report: Reporter | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    baseline: Baseline | None = None,
    with_controls: bool = False,
) -> CompressionResult:
    """Finds the smallest file of a float network whose accuracy drop on validation is at most `max_drop` points.

    model: trained on `data`; it is left as it is. Of a built-in architecture, or any network where `baseline` is given.
    report: is told of progress and warnings. checkpoints: what is finished is kept there, and not done again by the
    next call with the same arguments; what was kept of others is discarded. baseline: how good the model is, where that
    was measured before. Raises JobCancelled where `report` does, InvalidModel for another network without one.
    """
    task = CompressionTask(baseline or measure_baseline(model, data), plan, max_drop, seed)
    tracker = _open_tracker(task, report, checkpoints, with_controls=with_controls)
    if tracker.checkpoints.claim(task.compute_digest()):
        tracker.reporter.warn(FOREIGN_CHECKPOINTS)
    store = CandidateStore(task.baseline, max_drop, tracker)
    torch.manual_seed(seed)

    calibrated = measure_calibrated(task, store)
    teacher = train_teacher(task, tracker)
    narrowed = narrow(task, teacher, tracker)
    trained = [calibrated, *train_stages(narrowed.model, task, teacher, store, tracker)]
    start = choose_start(trained, store.reserve)
    rounder = Rounder(task.baseline, start.model, seed)
    candidates = [one.candidate for one in trained]
    if is_rounding_worthwhile(trained, start, store.reserve):
        candidates += search_lambda(store, rounder, start.candidate)
    plain = search_plain(candidates, task, store, tracker)
    candidates += [one.candidate for one in plain]

    chosen = choose_candidate(candidates)
    stages = (narrowed.channels, *(one.weights for one in trained if one.weights is not None))
    for warning in list_warnings(chosen, store.reserve, stages):
        tracker.reporter.warn(warning)
    derivation = Derivation(
        chosen=chosen,
        calibrated=calibrated.model,
        teacher=teacher,
        narrowed=narrowed.model,
        ancestry=find_ancestry(chosen, trained, start),
        rounder=rounder,
        plain=next((one for one in plain if one.candidate.stage == chosen.stage), None),
    )
    controls = measure_controls(derivation, task, store, tracker) if with_controls else None
    ablation = measure_ablation(derivation, task, store, tracker)
    tracker.report(FINISHING, 0.0, phase="measuring")
    return CompressionResult(
        file=store.files[chosen.stage],
        chosen=chosen,
        candidates=tuple(candidates),
        front=tuple(list_front(candidates)),
        least_accuracy=task.baseline.validation.accuracy - max_drop / 100,
        reserve=store.reserve,
        stages=stages,
        ablation=ablation,
        controls=controls,
        applied=list_techniques(derivation, task),
        trainings=tuple(tracker.trainings.outcomes),
    )


def _open_tracker(
    task: CompressionTask, report: Reporter | None, checkpoints: Checkpoints | None, *, with_controls: bool
) -> TimedTracker:
    # Mirrored views of pictures that are never mirrored are not asked about.
    num_views = count_views(task.plan.max_shift) // (1 if task.baseline.data.is_mirrorable else 2)
    timetable = plan_time(task.plan, num_views=num_views, has_controls=with_controls)
    return TimedTracker(report or QuietReporter(), checkpoints or NoCheckpoints(), timetable)


def list_warnings(chosen: Candidate, reserve: Reserve, stages: Sequence[StageSparsity]) -> list[str]:
    """Says in a line each what a user should know of the answer, and of what did not come out as planned."""
    warnings = [
        f"{one.stage}: {describe_difference(one.asked_sparsity, one.reached_sparsity, one.difference)}"
        for one in stages
        if one.difference is not None
    ]
    if not chosen.within:
        warnings.append(
            f"no candidate stays within {reserve.max_drop} points on validation; the most accurate one is kept"
        )
    elif not reserve.is_decidable:
        warnings.append(
            f"{reserve.num_pictures} validation pictures are too few to say that the drop on others stays within "
            f"{reserve.max_drop} points: what can be said with {100 * CONFIDENCE:.0f} % confidence is "
            f"{chosen.drop_bound:.2f}"
        )
    elif not chosen.has_margin:
        warnings.append(
            "the chosen file is within the drop, but without a reserve: on other pictures it may be up to "
            f"{chosen.drop_bound:.2f} points"
        )
    return warnings
