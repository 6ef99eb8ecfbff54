"""The files that a compression chooses from: each encoded, counted, measured on its integers, and kept by its stage."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from worker.coding import encode_network
from worker.core.baseline import Baseline
from worker.core.compression.reserve import Reserve
from worker.core.compression.timetable import TimedTracker
from worker.core.device import device_of
from worker.core.measure import look_at_health
from worker.core.quantization.integer_model import build_integer_model
from worker.core.quantization_aware import extract_network
from worker.core.resume import Step
from worker.core.training import compute_logits, find_right
from worker.integer_network import IntegerNetwork, round_floats
from worker.pareto import find_front
from worker.timetable import FILE, FILE_WEIGHT

WORTH_THE_MARGIN = 4.0
"""A file so many times smaller is taken without the margin, if it is within the drop. Else where every trained network
just misses the margin, the answer would be the one without training, twenty times as large."""
MANTISSA_BITS = 5
"""Scales and biases are rounded to so many bits: an error of 1.6 % at most, far below a step of the integers."""


@dataclass(frozen=True)
class Candidate:
    """A file that could be the answer. accuracy and drop (points) are on validation, measured on its integers.

    stage: what it is kept by; `name` is for people. lost, gained: validation pictures that the baseline alone gets
    right, and that the file alone does. drop_bound: points that the drop on new pictures stays within, see `Reserve`.
    is_plain: quantized, neither pruned nor narrowed.
    """

    stage: str
    name: str
    num_bytes: int
    accuracy: float
    drop: float
    within: bool
    has_margin: bool
    """Within, and so is `drop_bound`."""
    sparsity: float
    bit_width: int
    lost: int
    gained: int
    drop_bound: float
    problems: tuple[str, ...] = ()
    """Values of HealthProblem."""
    baseline_problems: tuple[str, ...] = ()
    is_plain: bool = False
    rd_lambda: float | None = None
    """Of rate-distortion rounding: the loss (nats per picture) that a bit was worth. None without it."""

    @property
    def is_sound(self) -> bool:
        """Whether it has no problem that the baseline does not have too.

        A dead layer counts, even where the accuracy holds: whatever is pruned on from there keeps it, and a sound file
        would be chosen before each of them.
        """
        return set(self.problems) <= set(self.baseline_problems)

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        fields = asdict(self)
        for name in ("stage", "baseline_problems"):
            del fields[name]
        return fields | {"safe": fields.pop("has_margin"), "trade_off": fields.pop("rd_lambda")}


def is_good(candidate: Candidate, reserve: Reserve) -> bool:
    """Whether a search may go on from it: sound, and with the margin; within the drop where no file can have one."""
    return candidate.is_sound and (candidate.has_margin if reserve.is_decidable else candidate.within)


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """Chooses the smallest one within the drop that has the margin; the smallest just within where that is far smaller
    still, or nothing has the margin; where none is within, the most accurate, and of several such the smallest.

    One that is not sound is chosen only where no sound one is within the drop. Nor is the answer ever larger than a
    file within the drop that is quantized alone and at least as accurate: that one is then taken instead.
    """
    candidates = [one for one in candidates if one.within and one.is_sound] or candidates
    within = min((one for one in candidates if one.within), key=_get_bytes, default=None)
    if within is None:
        return max(candidates, key=lambda one: (one.accuracy, -one.num_bytes))
    chosen = min((one for one in candidates if one.has_margin), key=_get_bytes, default=within)
    if WORTH_THE_MARGIN * within.num_bytes < chosen.num_bytes:
        return within
    as_good = [one for one in candidates if one.is_plain and one.within and one.accuracy >= chosen.accuracy]
    return min([chosen, *as_good], key=_get_bytes)


def list_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Lists the sound candidates that no other such one beats in both bytes and accuracy, smallest first.

    Of several alike it is the first one.
    """
    unlike = {(one.num_bytes, one.accuracy): one for one in reversed(candidates) if one.is_sound}
    return sorted(itertools.compress(unlike.values(), find_front(list(unlike))), key=_get_bytes)


def _get_bytes(candidate: Candidate) -> int:
    return candidate.num_bytes


@dataclass(frozen=True)
class Encoded:
    """A network as it would be stored, and its accuracy on validation; lost, gained: as a `Candidate` has them."""

    file: bytes
    accuracy: float
    lost: int
    gained: int
    sparsity: float
    bit_width: int
    problems: tuple[str, ...]


class CandidateStore:
    """Measures networks and keeps their files, each by the stage that it is of."""

    def __init__(self, baseline: Baseline, max_drop: float, tracker: TimedTracker) -> None:
        self.baseline, self.max_drop, self.tracker = baseline, max_drop, tracker
        self.reserve = Reserve(len(baseline.data.validation), max_drop)
        self.files: dict[str, bytes] = {}
        """Of the candidates."""

    @functools.cached_property
    def _baseline_logits(self) -> torch.Tensor:
        return compute_logits(self.baseline.model, self.baseline.data, self.baseline.data.validation)

    def encode(self, stage: str, build: Callable[[], IntegerNetwork]) -> Encoded:
        """Encodes the network that `build` returns and evaluates its integers. stage: unique within the compression."""
        kept = self.tracker.checkpoints.keep(f"measured-{stage}", functools.partial(self._encode, build))
        return Encoded(**kept | {"file": kept["file"].numpy().tobytes(), "problems": tuple(kept["problems"])})

    def _encode(self, build: Callable[[], IntegerNetwork]) -> Step:
        started = time.perf_counter()
        network, data = build(), self.baseline.data
        weights = [layer.weight for layer in network.layers]
        file = torch.frombuffer(bytearray(encode_network(network)), dtype=torch.uint8)
        model = build_integer_model(network).to(device_of(self.baseline.model))
        logits = compute_logits(model, data, data.validation)
        right = find_right(logits, data.validation)
        baseline_right = find_right(self._baseline_logits, data.validation)
        health = look_at_health(model, data, data.validation, logits)
        self.tracker.timetable.observe(FILE, FILE_WEIGHT, time.perf_counter() - started)
        return {
            "file": file,
            "accuracy": int(right.sum()) / len(right),
            "lost": int((baseline_right & ~right).sum()),
            "gained": int((right & ~baseline_right).sum()),
            "problems": [str(problem) for problem in health.problems],
            "sparsity": sum(int((weight == 0).sum()) for weight in weights) / sum(weight.size for weight in weights),
            "bit_width": max(layer.bit_width for layer in network.layers),
        }

    @functools.cached_property
    def _baseline_problems(self) -> tuple[str, ...]:
        data = self.baseline.data
        health = look_at_health(self.baseline.model, data, data.validation, self._baseline_logits)
        return tuple(str(problem) for problem in health.problems)

    def measure(
        self,
        stage: str,
        name: str,
        build: Callable[[], IntegerNetwork],
        part: str,
        share: float = 1.0,
        *,
        rd_lambda: float | None = None,
        is_plain: bool = False,
    ) -> Candidate:
        """Measures the same as a candidate, which is reported. part, share: of the timetable, where that ends."""
        encoded, baseline = self.encode(stage, build), self.baseline
        self.files[stage] = encoded.file
        within = baseline.allows(encoded.accuracy, self.max_drop)
        candidate = Candidate(
            stage=stage,
            name=name,
            num_bytes=len(encoded.file),
            accuracy=encoded.accuracy,
            drop=baseline.drop(encoded.accuracy),
            within=within,
            has_margin=within and self.reserve.is_kept(encoded.lost, encoded.gained),
            sparsity=encoded.sparsity,
            bit_width=encoded.bit_width,
            lost=encoded.lost,
            gained=encoded.gained,
            drop_bound=self.reserve.compute_bound(encoded.lost, encoded.gained),
            problems=encoded.problems,
            # Asked for where it matters alone.
            baseline_problems=self._baseline_problems if encoded.problems else (),
            is_plain=is_plain,
            rd_lambda=rd_lambda,
        )
        self.tracker.report(
            part,
            share,
            phase="encoding",
            message=(
                f"{name}: {candidate.num_bytes} bytes "
                f"({baseline.reference_bytes / candidate.num_bytes:.1f}x smaller), "
                f"drop {candidate.drop:.2f} points on validation"
            ),
            metrics={"file_bytes": candidate.num_bytes, "candidate_accuracy": candidate.accuracy},
            metrics_step=len(self.files),
        )
        return candidate


def extract_stored(baseline: Baseline, model: nn.Module) -> IntegerNetwork:
    """Extracts the integers of a quantized network, with scales and biases as a file holds them."""
    return round_floats(extract_network(baseline, model), MANTISSA_BITS)
