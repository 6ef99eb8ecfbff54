"""What each technique bought, measured on the way from the plain checkpoint to the file that was chosen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from worker.coding import compute_packed_bytes
from worker.compression_plan.parts import ABLATION
from worker.core.baseline import Baseline
from worker.core.compression import techniques
from worker.core.compression.candidates import CandidateStore
from worker.core.compression.derivation import Derivation
from worker.core.compression.qat import CALIBRATED_BIT_WIDTH
from worker.core.compression.task import CompressionTask
from worker.core.compression.timetable import TimedTracker
from worker.core.quantization_aware import extract_network, quantize_network
from worker.integer_network import IntegerNetwork
from worker.techniques import AppliedTechnique, describe_techniques
from worker.timetable import FILE_WEIGHT


@dataclass(frozen=True)
class AblationRow:
    """What was done next, on top of all before it. Accuracies (fractions) and drops (points) are on validation.

    measure: what `bytes_after` counts: an encoded file, the plain `float32` checkpoint, or `packed` integers.
    """

    applied: tuple[AppliedTechnique, ...]
    measure: str
    bytes_before: int
    bytes_after: int
    accuracy_before: float
    accuracy_after: float
    drop_before: float
    drop_after: float

    def to_json(self) -> dict[str, Any]:
        """As a result holds it."""
        return {"technique": "; ".join(describe_techniques(self.applied)), **asdict(self)}


@dataclass(frozen=True)
class Point:
    """Where the way is after what was applied last."""

    applied: tuple[AppliedTechnique, ...]
    num_bytes: int
    accuracy: float
    measure: str = "file"


def measure_ablation(
    derivation: Derivation, task: CompressionTask, store: CandidateStore, tracker: TimedTracker
) -> tuple[AblationRow, ...]:
    """Measures the way from the float32 checkpoint to the chosen file, which its last row is.

    Each network is encoded with its scales and biases in full.
    """
    baseline, chosen = task.baseline, derivation.chosen
    calibrated = extract_network(baseline, derivation.calibrated)
    encoded = store.encode("ablation-calibrated", lambda: calibrated)
    points = [
        Point((techniques.NOTHING,), baseline.reference_bytes, baseline.validation.accuracy, "float32"),
        Point(
            (techniques.CALIBRATED, *techniques.list_folding(task)),
            compute_packed_bytes(calibrated),
            encoded.accuracy,
            "packed",
        ),
        Point((techniques.CODED,), len(encoded.file), encoded.accuracy),
    ]
    share = FILE_WEIGHT / tracker.timetable.parts[ABLATION].weight
    for stage, applied, build in list_networks(derivation, task):
        tracker.report(ABLATION, min(1.0, len(points) * share), phase="measuring what each technique bought")
        encoded = store.encode(f"ablation-{stage}", build)
        points.append(Point(tuple(applied), len(encoded.file), encoded.accuracy))
    return build_rows([*points, Point((techniques.MANTISSAS,), chosen.num_bytes, chosen.accuracy)], baseline)


def build_rows(points: list[Point], baseline: Baseline) -> tuple[AblationRow, ...]:
    """Holds each point against the one before; the first against itself."""
    return tuple(
        AblationRow(
            applied=after.applied,
            measure=after.measure,
            bytes_before=before.num_bytes,
            bytes_after=after.num_bytes,
            accuracy_before=before.accuracy,
            accuracy_after=after.accuracy,
            drop_before=baseline.drop(before.accuracy),
            drop_after=baseline.drop(after.accuracy),
        )
        for before, after in zip([points[0], *points], points, strict=False)
    )


def list_networks(
    derivation: Derivation, task: CompressionTask
) -> list[tuple[str, list[AppliedTechnique], Callable[[], IntegerNetwork]]]:
    """The networks on the way that are encoded: what each is kept by, what was applied, and how it is built."""
    baseline, chosen, plain = task.baseline, derivation.chosen, derivation.plain
    found: list[tuple[str, list[AppliedTechnique], Callable[[], IntegerNetwork]]] = []

    def extract(model: nn.Module) -> IntegerNetwork:
        return extract_network(baseline, model)

    def calibrate(model: nn.Module) -> IntegerNetwork:
        return extract(quantize_network(model, baseline.data, CALIBRATED_BIT_WIDTH, CALIBRATED_BIT_WIDTH))

    def add(stage: str, applied: list[AppliedTechnique], build: Callable[..., IntegerNetwork], *args: object) -> None:
        found.append((stage, applied, functools.partial(build, *args)))

    if plain is not None:
        add("plain", techniques.list_quantizing_alone(plain), extract, plain.model)
    if derivation.ancestry:
        taught = techniques.list_teaching(derivation.teacher, task)
        if derivation.teacher.is_trained:
            add("teacher", taught, calibrate, derivation.teacher.model)
            taught = []
        add(
            "narrowed",
            [*techniques.list_narrowing(derivation, task), techniques.DISTILLED, *taught],
            calibrate,
            derivation.narrowed,
        )
    learned = [techniques.learn_steps(task.plan.bit_width, task.plan.activation_bit_width)]
    for one in derivation.ancestry:
        plain_epochs = one.stage.epochs if one.stage is not None and one.stage.is_plain else 0
        applied = [
            *learned,
            techniques.prune_weights(one.reached_sparsity),
            *techniques.list_plain_epochs(plain_epochs),
        ]
        add(one.candidate.stage, applied, extract, one.model)
        learned = []
    if chosen.rd_lambda is not None:
        round_network = derivation.rounder.round
        rounded = [techniques.round_at(chosen.rd_lambda)]
        add("rounded", rounded, functools.partial(round_network, refit=False), chosen.rd_lambda)
        add("refit", [techniques.REFITTED], round_network, chosen.rd_lambda)
    return found
