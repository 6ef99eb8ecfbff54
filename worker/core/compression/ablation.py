"""What each technique bought, measured on the way from the plain checkpoint to the file that was chosen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from worker.coding import compute_packed_bytes
from worker.core.baseline import Baseline
from worker.core.compression.candidates import MANTISSA_BITS, CandidateStore
from worker.core.compression.derivation import Derivation
from worker.core.compression.qat import CALIBRATED_BIT_WIDTH
from worker.core.compression.task import CompressionTask
from worker.core.compression.timetable import ABLATION, TimedTracker
from worker.core.models import has_batch_norm
from worker.core.quantization_aware import extract_network, quantize_network
from worker.integer_network import IntegerNetwork
from worker.timetable import FILE_WEIGHT


@dataclass(frozen=True)
class AblationRow:
    """One technique, on top of those before it. Accuracies (fractions) and drops (points) are on validation.

    measure: what `bytes_after` counts: an encoded file, the plain `float32` checkpoint, or `packed` integers.
    """

    technique: str
    measure: str
    bytes_before: int
    bytes_after: int
    accuracy_before: float
    accuracy_after: float
    drop_before: float
    drop_after: float


@dataclass(frozen=True)
class _Point:
    """Where the way is after a technique."""

    technique: str
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
    folded = ", batch norm folded" if has_batch_norm(baseline.info.architecture) else ""
    packed = f"{CALIBRATED_BIT_WIDTH} bit integers, calibrated{folded}"
    points = [
        _Point("float32 checkpoint", baseline.reference_bytes, baseline.validation.accuracy, "float32"),
        _Point(packed, compute_packed_bytes(calibrated), encoded.accuracy, "packed"),
        _Point("context-modelled entropy coding", len(encoded.file), encoded.accuracy),
    ]
    share = FILE_WEIGHT / tracker.timetable.parts[ABLATION].weight
    for stage, technique, build in _list_networks(derivation, task):
        tracker.report(ABLATION, min(1.0, len(points) * share), phase="measuring what each technique bought")
        encoded = store.encode(f"ablation-{stage}", build)
        points.append(_Point(technique, len(encoded.file), encoded.accuracy))
    last = f"scales and biases rounded to {MANTISSA_BITS} mantissa bits"
    return build_rows([*points, _Point(last, chosen.num_bytes, chosen.accuracy)], baseline)


def build_rows(points: list[_Point], baseline: Baseline) -> tuple[AblationRow, ...]:
    """Holds each point against the one before; the first against itself."""
    return tuple(
        AblationRow(
            technique=after.technique,
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


def _list_networks(
    derivation: Derivation, task: CompressionTask
) -> list[tuple[str, str, Callable[[], IntegerNetwork]]]:
    """The networks on the way that are encoded: what each is kept by, its technique, and how it is built."""
    baseline, chosen, plain = task.baseline, derivation.chosen, derivation.plain
    found: list[tuple[str, str, Callable[[], IntegerNetwork]]] = []

    def extract(model: nn.Module) -> IntegerNetwork:
        return extract_network(baseline, model)

    def calibrate(model: nn.Module) -> IntegerNetwork:
        return extract(quantize_network(model, baseline.data, CALIBRATED_BIT_WIDTH, CALIBRATED_BIT_WIDTH))

    def add(stage: str, technique: str, build: Callable[..., IntegerNetwork], *args: object) -> None:
        found.append((stage, technique, functools.partial(build, *args)))

    if plain is not None:
        how = "learned step sizes" if plain.is_trained else "calibrated"
        add("plain", f"{plain.bit_width} bit weights and activations, {how}", extract, plain.model)
    if derivation.ancestry:
        if derivation.teacher.is_trained:
            technique = "dense network trained further, on shifted pictures"
            add("teacher", technique, calibrate, derivation.teacher.model)
        add("narrowed", "channel pruning, retrained", calibrate, derivation.narrowed)
    said = f"{task.plan.bit_width} bit training (LSQ) while pruned (LAMP) to"
    for one in derivation.ancestry:
        add(one.candidate.stage, f"{said} {100 * one.sparsity:.1f} %", extract, one.model)
        said = "further pruned to"
    if chosen.rd_lambda is not None:
        round_network = derivation.rounder.round
        add("rounded", "rate-distortion rounding", functools.partial(round_network, refit=False), chosen.rd_lambda)
        add("refit", "scales and biases fitted anew", round_network, chosen.rd_lambda)
    return found
