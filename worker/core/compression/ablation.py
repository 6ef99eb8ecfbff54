"""What each technique bought, measured on the way from the plain checkpoint to the file that was chosen.

Imported inside `run` only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from worker.core.coding import compute_packed_bytes
from worker.core.integer import IntegerNetwork
from worker.core.resume import MANTISSA_BITS, extract_network
from worker.jobs.candidates import Candidate
from worker.jobs.compress_timetable import ABLATION
from worker.jobs.shrinking import CALIBRATED_BIT_WIDTH, Shrinker
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


class Ablation:
    """Rows in the order the techniques build on one another. What was measured before is not measured again."""

    def __init__(self, shrinker: Shrinker) -> None:
        self.baseline, self.gallery, self.shrinker = shrinker.baseline, shrinker.gallery, shrinker
        self.num_bytes, self.accuracy = self.baseline.reference_bytes, self.baseline.validation.accuracy
        self.rows: list[AblationRow] = []

    def add(self, technique: str, num_bytes: int, accuracy: float, measure: str = "file") -> None:
        """The next row, measured elsewhere."""
        before, after = self.baseline.drop(self.accuracy), self.baseline.drop(accuracy)
        self.rows.append(
            AblationRow(technique, measure, self.num_bytes, num_bytes, self.accuracy, accuracy, before, after)
        )
        self.num_bytes, self.accuracy = num_bytes, accuracy

    def encode(self, technique: str, build: Callable[[], IntegerNetwork]) -> None:
        """The next row: a network whose scales and biases are still in full, encoded and evaluated."""
        part = self.gallery.timetable.parts[ABLATION]
        share = min(1.0, len(self.rows) * FILE_WEIGHT / part.weight)
        self.gallery.report(ABLATION, share, phase="measuring what each technique bought")
        encoded = self.gallery.encode(f"ablation {technique}", build)
        self.add(technique, len(encoded.file), encoded.accuracy)


def measure_ablation(shrinker: Shrinker, chosen: Candidate) -> list[AblationRow]:
    """From the float32 checkpoint to the chosen file; its last row is that file."""
    ablation = Ablation(shrinker)
    ablation.add("float32 checkpoint", ablation.num_bytes, ablation.accuracy, "float32")
    network = extract_network(shrinker.baseline, shrinker.trained[0].model)
    encoded = ablation.gallery.encode("ablation calibrated", lambda: network)
    ablation.add(
        f"{CALIBRATED_BIT_WIDTH} bit integers, calibrated, batch norm folded",
        compute_packed_bytes(network),
        encoded.accuracy,
        "packed",
    )
    ablation.add("context-modelled entropy coding", len(encoded.file), encoded.accuracy)
    extract = functools.partial(extract_network, shrinker.baseline)
    plain = shrinker.plain.get(chosen)
    if plain is not None:
        learned = "learned step sizes" if plain.is_trained else "calibrated"
        ablation.encode(
            f"{plain.bit_width} bit weights and activations, {learned}", functools.partial(extract, plain.model)
        )
    ancestry = shrinker.find_ancestry(chosen)
    if ancestry and shrinker.is_teacher_trained:
        teacher = shrinker.quantize(shrinker.teacher, CALIBRATED_BIT_WIDTH, CALIBRATED_BIT_WIDTH)
        ablation.encode("dense network trained further, on shifted pictures", functools.partial(extract, teacher))
    if ancestry:
        narrow = shrinker.quantize(shrinker.narrowed, CALIBRATED_BIT_WIDTH, CALIBRATED_BIT_WIDTH)
        ablation.encode("channel pruning, retrained", functools.partial(extract, narrow))
    said = f"{shrinker.plan.bit_width} bit training (LSQ) while pruned (LAMP) to"
    for trained in ancestry:
        ablation.encode(f"{said} {100 * trained.sparsity:.1f} %", functools.partial(extract, trained.model))
        said = "further pruned to"
    if chosen.trade_off is not None:
        build = functools.partial(shrinker.rounder.round, chosen.trade_off)
        ablation.encode("rate-distortion rounding", functools.partial(build, refit=False))
        ablation.encode("scales and biases fitted anew", build)
    ablation.add(f"scales and biases rounded to {MANTISSA_BITS} mantissa bits", chosen.num_bytes, chosen.accuracy)
    return ablation.rows
