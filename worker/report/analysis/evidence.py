"""The results of a study's steps, read once into what the analysis and the tables need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.paired import Correctness, compute_difference, read_correctness
from worker.report import facts as names
from worker.report.facts import StepFact, StudyFacts

ACCURACY_FLOOR = 0.9196
"""The test accuracy that the assignment asks of the network on FashionMNIST."""
CONTROLS = (names.CONTROL_UNPRUNED, names.CONTROL_RANDOM, names.CONTROL_SMALL_DENSE)
SAME_SPARSITY = 0.001
"""Below it a network counts as not pruned, and two sparsities as the same."""
COMPRESSED_SUFFIX = ".tonok"


@dataclass(frozen=True)
class Measured:
    """What one model scored on one split. interval: 95 %, Wilson, fractions."""

    num_correct: int
    num_examples: int
    loss: float
    interval: tuple[float, float]
    correctness: Correctness | None = None
    """Picture by picture; None where a job was run before that was kept."""

    @property
    def accuracy(self) -> float:
        """Fraction 0..1."""
        return self.num_correct / self.num_examples


class Order(StrEnum):
    """How one accuracy stands to another on this test set."""

    HIGHER = "higher"
    LOWER = "lower"
    SAME = "same"
    """Chance alone may make such a difference: not distinguishable."""


def compare(one: Measured, other: Measured) -> Order:
    """Higher or lower only where McNemar's exact test says so; of counts that cannot be paired, their interval."""
    difference = compute_difference(one, other)
    if not difference.is_distinguishable:
        return Order.SAME
    return Order.HIGHER if difference.value > 0 else Order.LOWER


@dataclass(frozen=True)
class LayerZeros:
    """Zeros among a layer's weights."""

    name: str
    zeros: int
    total: int

    @property
    def sparsity(self) -> float:
        """Fraction 0..1."""
        return self.zeros / self.total


@dataclass(frozen=True)
class Model:
    """One stored model and everything measured of it."""

    step: StepFact
    model_id: str
    where: str
    """Which part of the job's result it is read from."""
    validation: Measured
    test: Measured
    sparsity: float
    layers: tuple[LayerZeros, ...]
    """Empty for a bit width of a job that was run before it recorded them."""
    sizes: Mapping[str, int]
    reference_bytes: int
    report: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def health(self) -> Mapping[str, Any] | None:
        """As `worker.core.health` records it; None for a job that was run before it did."""
        health: Mapping[str, Any] | None = self.result.get("health")
        return health

    @property
    def matrix(self) -> Sequence[Sequence[int]]:
        """[true class][predicted class] on test."""
        matrix: Sequence[Sequence[int]] = self.result["confusion_matrix"]
        return matrix

    @property
    def file_bytes(self) -> int:
        """Bytes on disk."""
        return self.sizes["file"]

    @property
    def ratio(self) -> float:
        """How many times smaller its file is than the float32 checkpoint of the baseline."""
        return self.reference_bytes / self.file_bytes

    @property
    def macro(self) -> Mapping[str, float]:
        """precision, recall and f1-score, averaged over the classes."""
        average: Mapping[str, float] = self.report["macro avg"]
        return average


@dataclass(frozen=True)
class Reserve:
    """Part of the allowed drop that the choice of the final file kept back, in results of earlier versions.

    share: of the drop, 0..1. max_drop: what is left of it, in points.
    """

    share: float
    max_drop: float


@dataclass(frozen=True)
class Evidence:
    """A study's models by what they are for. Steps that were left out are None or absent."""

    facts: StudyFacts
    baseline: Model
    one_shot: Model | None
    step_by_step: Model | None
    channels: Model | None
    final: Model | None
    widths: Mapping[int, Model]
    """Bit width → model, widest first."""
    controls: Mapping[str, Model]
    max_drop: float
    class_names: tuple[str, ...]

    @property
    def floor(self) -> float | None:
        """The accuracy that was asked for; None on another data set than FashionMNIST."""
        return ACCURACY_FLOOR if self.dataset == "fashion_mnist" else None

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.baseline.step.spec.get("dataset") or self.facts.spec.get("dataset"))

    @property
    def architecture(self) -> str:
        """Name of the network."""
        return self.facts.architecture

    @property
    def seed(self) -> int:
        """The seed of split, batches and every random choice."""
        return int(self.facts.spec.get("seed") or self.baseline.step.spec.get("seed") or 0)

    def drop(self, model: Model, split: str = "test") -> float:
        """Accuracy drop against the baseline in percentage points."""
        before, after = (
            (self.baseline.test, model.test) if split == "test" else (self.baseline.validation, model.validation)
        )
        return 100 * (before.accuracy - after.accuracy)

    def is_within(self, model: Model) -> bool:
        """Whether the drop on validation is allowed; immune to rounding of the division."""
        return self.drop(model, "validation") <= self.max_drop + 1e-9

    @property
    def reserves(self) -> Mapping[str, Reserve]:
        """What compression kept, for files as `trained` and as `rounded` after that; empty if unrecorded."""
        shares = {} if self.final is None else self.final.result.get("reserve_shares") or {}
        return {name: Reserve(share, (1 - share) * self.max_drop) for name, share in shares.items()}

    def find_reserve(self, candidate: Mapping[str, Any]) -> Reserve | None:
        """The one that a candidate of compression had to keep."""
        return self.reserves.get("trained" if candidate.get("trade_off") is None else "rounded")

    @property
    def is_control_moot(self) -> bool:
        """Whether step-by-step pruning ended without zeros: same retraining and chance then control nothing."""
        return self.step_by_step is not None and self.step_by_step.sparsity < SAME_SPARSITY

    @property
    def best_width(self) -> int | None:
        """The bit width of the smallest file within the drop on validation; of files of one size the narrower."""
        within = [(model.file_bytes, width) for width, model in self.widths.items() if self.is_within(model)]
        return min(within)[1] if within else None


def read_evidence(facts: StudyFacts) -> Evidence:
    """Reads every step. Raises KeyError without a `train` step: a report is about a trained network."""
    steps = facts.steps
    baseline = read_model(steps[names.TRAIN])

    def find(name: str) -> Model | None:
        return read_model(steps[name]) if name in steps else None

    widths: dict[int, Model] = {}
    if names.QUANTIZE in steps:
        step = steps[names.QUANTIZE]
        rows = sorted(enumerate(step.result["widths"]), key=lambda pair: -pair[1]["bit_width"])
        widths = {row["bit_width"]: _read_width(step, position, row) for position, row in rows}
    labels = [key for key in baseline.report if key not in ("accuracy", "macro avg", "weighted avg")]
    return Evidence(
        facts=facts,
        baseline=baseline,
        one_shot=find(names.ONE_SHOT),
        step_by_step=find(names.STEP_BY_STEP),
        channels=find(names.CHANNELS),
        final=find(names.COMPRESS),
        widths=widths,
        controls={name: read_model(steps[name]) for name in CONTROLS if name in steps},
        max_drop=_find_max_drop(facts),
        class_names=tuple(labels),
    )


def _find_max_drop(facts: StudyFacts) -> float:
    specs = [facts.spec, *(step.spec for step in facts.steps.values())]
    return next((float(s["max_accuracy_drop"]) for s in specs if s.get("max_accuracy_drop") is not None), 1.0)


def read_model(step: StepFact) -> Model:
    """The model that a job's result is about."""
    result = step.result
    return Model(
        step=step,
        model_id=result["model_id"],
        where="result",
        validation=_read_measured(result, "validation"),
        test=_read_measured(result, "test"),
        sparsity=result["sparsity"]["total"],
        layers=_read_layers(result["sparsity"]["layers"]),
        sizes=_read_sizes(result["size"]),
        reference_bytes=result["size"]["reference_bytes"],
        report=result["classification_report"],
        result=result,
    )


def _read_width(step: StepFact, position: int, row: Mapping[str, Any]) -> Model:
    return Model(
        step=step,
        model_id=row["model_id"],
        where=f"result.widths[{position}]",
        validation=_read_measured(row, "validation"),
        test=_read_measured(row, "test"),
        sparsity=row["sparsity"],
        layers=_read_layers(row.get("layer_sparsity", ())),
        sizes=_read_sizes(row["size"]),
        reference_bytes=row["size"]["reference_bytes"],
        report=row["classification_report"],
        result=row,
    )


def _read_layers(rows: Sequence[Mapping[str, Any]]) -> tuple[LayerZeros, ...]:
    return tuple(LayerZeros(row["name"], row["zeros"], row["total"]) for row in rows)


def _read_measured(result: Mapping[str, Any], split: str) -> Measured:
    measured = result["evaluation"][split]
    low, high = measured["interval"]
    return Measured(
        measured["num_correct"],
        measured["num_examples"],
        measured["loss"],
        (low, high),
        read_correctness(result.get("correctness"), split),
    )


def _read_sizes(size: Mapping[str, Any]) -> dict[str, int]:
    # `float32` is the checkpoint that every ratio is against; jobs of earlier versions put a model's own there.
    return {entry["measure"]: entry["bytes"] for entry in size["entries"]} | {"float32": size["reference_bytes"]}
