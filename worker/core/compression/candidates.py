"""The files that `compress` chooses from: each encoded, counted, measured on its integers, and kept.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from worker.core.baseline import Baseline
from worker.core.coding import decode_network, encode_network
from worker.core.integer import IntegerNetwork
from worker.core.measure import look_at_health
from worker.core.quantization.deploy import build_integer_model
from worker.core.resume import keep_step
from worker.core.training import compute_logits, find_right, get_device
from worker.jobs.base import JobContext
from worker.jobs.reserve import Reserve
from worker.progress import Progress
from worker.timetable import FILE, FILE_WEIGHT, Timetable

WORTH_THE_RESERVE = 4.0
"""A file so many times smaller is taken without the reserve, if it is within the drop. Else where every trained network
just misses the reserve, the answer would be the one without training, twenty times as large."""


@dataclass(frozen=True)
class Candidate:
    """A file that could be the answer. accuracy and drop (points) are on validation, measured on its integers.

    lost, gained: validation pictures that the baseline alone gets right, and that the file alone does. drop_bound:
    points that the drop on new pictures stays within, see `Reserve`. is_plain: quantized, neither pruned nor narrowed.
    """

    name: str
    num_bytes: int
    accuracy: float
    drop: float
    within: bool
    safe: bool
    """Within, with the reserve to spare."""
    sparsity: float
    bit_width: int
    lost: int
    gained: int
    drop_bound: float
    problems: tuple[str, ...] = ()
    """Values of HealthProblem: with any, it is on no front."""
    is_plain: bool = False
    trade_off: float | None = None
    """Of rate-distortion rounding: the loss (nats per picture) that a bit was worth. None without it."""


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
    """Values of HealthProblem, looked at on validation."""


class Gallery:
    """Measures networks. What was measured is kept in `folder`; a later attempt reads it there."""

    def __init__(
        self, context: JobContext, folder: Path, baseline: Baseline, max_accuracy_drop: float, timetable: Timetable
    ) -> None:
        self.context, self.folder, self.baseline = context, folder, baseline
        self.max_accuracy_drop, self.timetable = max_accuracy_drop, timetable
        self.reserve = Reserve(len(baseline.data.validation), max_accuracy_drop)
        self.files: dict[str, bytes] = {}

    @functools.cached_property
    def baseline_right(self) -> torch.Tensor:
        """Which validation pictures the baseline gets right: bool (N,)."""
        validation = self.baseline.data.validation
        return find_right(compute_logits(self.baseline.model, self.baseline.data, validation), validation).cpu()

    def encode(self, name: str, build: Callable[[], IntegerNetwork]) -> Encoded:
        """Encodes the network that `build` returns and evaluates its integers. name: unique within the job."""

        def compute() -> dict[str, Any]:
            started = time.perf_counter()
            network, data = build(), self.baseline.data
            weights = [layer.weight for layer in network.layers]
            file = torch.frombuffer(bytearray(encode_network(network)), dtype=torch.uint8)
            model = build_integer_model(network).to(get_device(self.baseline.model))
            logits = compute_logits(model, data, data.validation)
            right = find_right(logits, data.validation).cpu()
            health = look_at_health(model, data, data.validation, logits)
            self.timetable.observe(FILE, FILE_WEIGHT, time.perf_counter() - started)
            return {
                "file": file,
                "accuracy": int(right.sum()) / len(right),
                "lost": int((self.baseline_right & ~right).sum()),
                "gained": int((right & ~self.baseline_right).sum()),
                "problems": [str(problem) for problem in health.problems],
                "sparsity": sum(int((weight == 0).sum()) for weight in weights)
                / sum(weight.size for weight in weights),
                "bit_width": max(layer.bit_width for layer in network.layers),
            }

        kept = keep_step(self.folder, re.sub(r"[^a-z0-9.]+", "-", f"measured {name}".lower()), compute)
        return Encoded(**kept | {"file": kept["file"].numpy().tobytes(), "problems": tuple(kept["problems"])})

    def measure(
        self,
        name: str,
        build: Callable[[], IntegerNetwork],
        part: str,
        share: float = 1.0,
        *,
        trade_off: float | None = None,
        is_plain: bool = False,
    ) -> Candidate:
        """The same as a candidate, which is reported. part, share: of the timetable, where the job then is."""
        encoded = self.encode(name, build)
        self.files[name] = encoded.file
        within = self.baseline.allows(encoded.accuracy, self.max_accuracy_drop)
        candidate = Candidate(
            name=name,
            num_bytes=len(encoded.file),
            accuracy=encoded.accuracy,
            drop=self.baseline.drop(encoded.accuracy),
            within=within,
            safe=within and self.reserve.is_kept(encoded.lost, encoded.gained),
            sparsity=encoded.sparsity,
            bit_width=encoded.bit_width,
            lost=encoded.lost,
            gained=encoded.gained,
            drop_bound=self.reserve.compute_bound(encoded.lost, encoded.gained),
            problems=encoded.problems,
            is_plain=is_plain,
            trade_off=trade_off,
        )
        self.report(
            part,
            share,
            phase="encoding",
            message=(
                f"{name}: {candidate.num_bytes} bytes "
                f"({self.baseline.reference_bytes / candidate.num_bytes:.1f}x smaller), "
                f"drop {candidate.drop:.2f} points on validation"
            ),
            metrics={"file_bytes": candidate.num_bytes, "candidate_accuracy": candidate.accuracy},
            metrics_step=len(self.files),
        )
        return candidate

    def report(self, part: str, share: float, **progress: Any) -> None:
        """Reports where the job is in its timetable."""
        eta_s = self.timetable.estimate_remaining(part, share)
        self.context.report(
            Progress(
                percent=round(self.timetable.compute_percent(part, share), 1),
                eta_s=None if eta_s is None else round(eta_s, 1),
                **progress,
            )
        )

    def is_good(self, candidate: Candidate) -> bool:
        """Whether a search may go on from it: it keeps the reserve, or is within the drop where none can be kept."""
        return candidate.safe if self.reserve.is_decidable else candidate.within

    def load(self, candidate: Candidate) -> IntegerNetwork:
        """The network of a candidate, from its bytes."""
        return decode_network(self.files[candidate.name])


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The smallest one within the drop and its reserve; the smallest just within where that is far smaller still, or
    nothing has the reserve; where none is within, the most accurate, and of several such the smallest.

    One that is not sound is chosen only where no sound one is within the drop.
    """
    candidates = [one for one in candidates if one.within and not one.problems] or candidates

    def get_bytes(candidate: Candidate) -> int:
        return candidate.num_bytes

    within = min((one for one in candidates if one.within), key=get_bytes, default=None)
    safe = min((one for one in candidates if one.safe), key=get_bytes, default=within)
    if within is None or safe is None:
        return max(candidates, key=lambda candidate: (candidate.accuracy, -candidate.num_bytes))
    return within if WORTH_THE_RESERVE * within.num_bytes < safe.num_bytes else safe


def find_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The sound candidates that no other such one beats in both bytes and accuracy, smallest first."""
    front: list[Candidate] = []
    sound = [candidate for candidate in candidates if not candidate.problems]
    for candidate in sorted(sound, key=lambda one: (one.num_bytes, -one.accuracy)):
        if not front or candidate.accuracy > front[-1].accuracy:
            front.append(candidate)
    return front
