"""Files of the dense network that are quantized and no more: no answer of `compress` is larger than one as good."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from worker.compression_plan.parts import PLAIN
from worker.core.compression.candidates import Candidate, CandidateStore, choose_candidate, extract_stored, is_good
from worker.core.compression.task import CompressionTask
from worker.core.compression.timetable import TimedTracker
from worker.core.quantization import Calibration
from worker.core.quantization_aware import QatSettings, calibrate_network, quantize_network, train_quantized
from worker.core.soft_targets import compute_soft_targets
from worker.core.training import SoftTargets

BIT_WIDTHS = (2, 4, 6, 8)
"""Those that `quantize` measures by default, narrowest first."""
TRAINED_BYTES = 0.9
"""A file that was trained has seldom fewer bytes than so many times the calibrated one's."""


@dataclass(frozen=True)
class PlainFile:
    """A plain file: its network and what was measured of it. is_trained: on quantized values, else calibrated alone."""

    model: nn.Module
    candidate: Candidate
    bit_width: int
    is_trained: bool


def may_be_smaller(calibrated: Candidate, best: Candidate) -> bool:
    """Whether a width may still give the answer, told from its calibrated file and the best one so far."""
    return not best.within or TRAINED_BYTES * calibrated.num_bytes < best.num_bytes


def search_plain(
    candidates: Sequence[Candidate], task: CompressionTask, store: CandidateStore, tracker: TimedTracker
) -> list[PlainFile]:
    """Measures those that could be the answer instead of what is chosen from `candidates`; the narrowest one at least.

    Made as `quantize` makes them by default. A wider file is larger: the first that cannot be smaller than the best so
    far ends the search. Only what may be smaller, and is not good enough without training, is trained.
    """
    baseline = task.baseline
    calibration = calibrate_network(baseline.model, baseline.data)
    get_targets = functools.cache(lambda: compute_soft_targets(baseline.model, baseline.data))
    found: list[PlainFile] = []

    def measure(model: nn.Module, bit_width: int, share: float, *, is_trained: bool) -> Candidate:
        how = "trained" if is_trained else "calibrated"
        candidate = store.measure(
            f"plain-{bit_width}bit-{how}",
            f"{bit_width} bit, quantized alone, {how}",
            functools.partial(extract_stored, baseline, model),
            PLAIN,
            share,
            is_plain=True,
        )
        found.append(PlainFile(model, candidate, bit_width, is_trained))
        return candidate

    for position, bit_width in enumerate(BIT_WIDTHS):
        begin, end, over = ((position + done) / len(BIT_WIDTHS) for done in (0.2, 0.9, 1.0))
        best = choose_candidate([*candidates, *(one.candidate for one in found)])
        calibrated = _quantize(bit_width, task, calibration)
        candidate = measure(calibrated, bit_width, begin, is_trained=False)
        if not may_be_smaller(candidate, best):
            break
        if not is_good(candidate, store.reserve):
            model = _train(bit_width, task, calibration, get_targets, tracker, (begin, end))
            measure(model, bit_width, over, is_trained=True)
    return found


def _quantize(bit_width: int, task: CompressionTask, calibration: Mapping[str, Calibration]) -> nn.Module:
    return quantize_network(task.baseline.model, task.baseline.data, bit_width, calibration=calibration)


def _train(
    bit_width: int,
    task: CompressionTask,
    calibration: Mapping[str, Calibration],
    get_targets: Callable[[], SoftTargets],
    tracker: TimedTracker,
    shares: tuple[float, float],
) -> nn.Module:
    """Trains the baseline on quantized values. shares: of the timetable's part, where that begins and ends."""
    model = _quantize(bit_width, task, calibration)
    progress = tracker.follow(f"quantizing alone to {bit_width} bit", PLAIN, f"plain{bit_width}bit_", *shares)
    step = train_quantized(
        model,
        bit_width,
        task.baseline,
        QatSettings(seed=task.seed),
        progress,
        get_targets,
        tracker.checkpoints,
        f"plain-{bit_width}bit",
    )
    tracker.trainings.add(progress.phase, step["training"])
    return model
