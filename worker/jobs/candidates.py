"""The files that `compress` chooses from: each encoded, counted, measured on its integers, and kept.

Imported inside `run` only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from worker.core.coding import decode_network, encode_network
from worker.core.integer import IntegerNetwork
from worker.core.measure import measure_split
from worker.core.quantization.deploy import build_integer_model
from worker.core.training import get_device
from worker.jobs.base import JobContext, Progress
from worker.jobs.products import Baseline
from worker.jobs.steps import keep_step

SAFETY = 0.4
"""Share of the allowed drop that is kept in reserve on validation: choosing the smallest of several candidates
favours those that were lucky there, and the test set is not asked. Set for a drop of about one point."""

ROUNDED_SAFETY = 0.5
"""The same for files that were rounded after training: their search ends at the limit itself, whatever chance made of
it, so it must lie further inside. The standard error of a difference on 5,000 pictures is about 0.3 points: of one
point in all, half a point is what a one-sided interval of 95 % leaves."""

WORTH_THE_RESERVE = 4.0
"""A file so many times smaller is taken without the reserve, if it is within the drop. Else where every trained network
just misses the reserve, the answer would be the one without training, twenty times as large."""


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
    problems: tuple[str, ...] = ()
    """Values of HealthProblem: with any, it is on no front."""
    trade_off: float | None = None
    """Of rate-distortion rounding: the loss (nats per picture) that a bit was worth. None without it."""


@dataclass(frozen=True)
class Encoded:
    """A network as it would be stored, and its accuracy on validation."""

    file: bytes
    accuracy: float
    sparsity: float
    bit_width: int
    problems: tuple[str, ...]
    """Values of HealthProblem, looked at on validation."""


class Gallery:
    """Measures networks. What was measured is kept in `folder`; a later attempt reads it there."""

    def __init__(self, context: JobContext, folder: Path, baseline: Baseline, max_accuracy_drop: float) -> None:
        self.context, self.folder, self.baseline = context, folder, baseline
        self.max_accuracy_drop = max_accuracy_drop
        self.files: dict[str, bytes] = {}

    def encode(self, name: str, build: Callable[[], IntegerNetwork]) -> Encoded:
        """Encodes the network that `build` returns and evaluates its integers. name: unique within the job."""

        def compute() -> dict[str, Any]:
            network, data = build(), self.baseline.data
            weights = [layer.weight for layer in network.layers]
            model = build_integer_model(network).to(get_device(self.baseline.model))
            evaluation, health = measure_split(model, data, data.validation)
            return {
                "file": torch.frombuffer(bytearray(encode_network(network)), dtype=torch.uint8),
                "accuracy": evaluation.accuracy,
                "problems": [str(problem) for problem in health.problems],
                "sparsity": sum(int((weight == 0).sum()) for weight in weights)
                / sum(weight.size for weight in weights),
                "bit_width": max(layer.bit_width for layer in network.layers),
            }

        kept = keep_step(self.folder, re.sub(r"[^a-z0-9.]+", "-", f"measured {name}".lower()), compute)
        return Encoded(
            kept["file"].numpy().tobytes(),
            kept["accuracy"],
            kept["sparsity"],
            kept["bit_width"],
            tuple(kept["problems"]),
        )

    def measure(
        self, name: str, build: Callable[[], IntegerNetwork], percent: float, *, trade_off: float | None = None
    ) -> Candidate:
        """The same as a candidate, which is reported, with the job's progress in percent."""
        encoded = self.encode(name, build)
        self.files[name] = encoded.file
        reserve = SAFETY if trade_off is None else ROUNDED_SAFETY
        candidate = Candidate(
            name=name,
            num_bytes=len(encoded.file),
            accuracy=encoded.accuracy,
            drop=self.baseline.drop(encoded.accuracy),
            within=self.baseline.allows(encoded.accuracy, self.max_accuracy_drop),
            safe=self.baseline.allows(encoded.accuracy, (1 - reserve) * self.max_accuracy_drop),
            sparsity=encoded.sparsity,
            bit_width=encoded.bit_width,
            problems=encoded.problems,
            trade_off=trade_off,
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
                metrics={"file_bytes": candidate.num_bytes, "candidate_accuracy": candidate.accuracy},
                metrics_step=len(self.files),
            )
        )
        return candidate

    def load(self, candidate: Candidate) -> IntegerNetwork:
        """The network of a candidate, from its bytes."""
        return decode_network(self.files[candidate.name])


def choose_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The smallest one within the drop and its reserve; the smallest just within where that is far smaller still, or
    nothing has the reserve; where none is within, the most accurate.
    """

    def get_bytes(candidate: Candidate) -> int:
        return candidate.num_bytes

    within = min((one for one in candidates if one.within), key=get_bytes, default=None)
    safe = min((one for one in candidates if one.safe), key=get_bytes, default=within)
    if within is None or safe is None:
        return max(candidates, key=lambda candidate: candidate.accuracy)
    return within if WORTH_THE_RESERVE * within.num_bytes < safe.num_bytes else safe


def find_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The sound candidates that no other such one beats in both bytes and accuracy, smallest first."""
    front: list[Candidate] = []
    sound = [candidate for candidate in candidates if not candidate.problems]
    for candidate in sorted(sound, key=lambda one: (one.num_bytes, -one.accuracy)):
        if not front or candidate.accuracy > front[-1].accuracy:
            front.append(candidate)
    return front
