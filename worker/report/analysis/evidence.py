"""A study's models by what they are for, and what decides between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from worker.controls import ControlKind
from worker.paired import compute_difference, compute_drop, is_within
from worker.report import facts as names
from worker.report.analysis.results import Candidate, FileControl, Measured, Model, read_widths
from worker.report.facts import StudyFacts

ACCURACY_FLOOR = 0.9196
"""The test accuracy that the assignment asks of the network on FashionMNIST."""
SAME_SPARSITY = 0.001
"""Below it a network counts as not pruned, and two sparsities as the same."""
COMPRESSED_SUFFIX = ".tonok"


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
    controls: Mapping[ControlKind, Model]
    max_drop: float
    class_names: tuple[str, ...]

    @property
    def floor(self) -> float | None:
        """The accuracy that was asked for; None on another data set than FashionMNIST."""
        return ACCURACY_FLOOR if self.dataset == "fashion_mnist" else None

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        # Fine-tuning on a model's own pictures names none.
        asked = self.baseline.step.spec.get("dataset") or self.facts.spec.get("dataset")
        return str(asked or (self.facts.dataset and self.facts.dataset.name))

    @property
    def dataset_title(self) -> str | None:
        """What the owner of the data set calls it; None for one of the catalogue."""
        return None if self.facts.dataset is None else self.facts.dataset.title

    @property
    def architecture(self) -> str:
        """Name of the network."""
        return self.facts.architecture

    @property
    def initial_model_id(self) -> str | None:
        """The stored model that the training began with; None where it began with fresh weights."""
        return self.baseline.step.spec.get("initial_model_id")

    @property
    def replaced_layer(self) -> str | None:
        """The layer that began with fresh weights beside that model's, since its classes are others."""
        return self.baseline.data.get("replaced_layer")

    @property
    def seed(self) -> int:
        """The seed of split, batches and every random choice."""
        return int(self.facts.spec.get("seed") or self.baseline.step.spec.get("seed") or 0)

    def drop(self, model: Model, split: str = "test") -> float:
        """Accuracy drop against the baseline in percentage points."""
        before, after = (
            (self.baseline.test, model.test) if split == "test" else (self.baseline.validation, model.validation)
        )
        return compute_drop(before, after)

    def is_within(self, model: Model) -> bool:
        """Whether the drop on validation is allowed."""
        return is_within(self.drop(model, "validation"), self.max_drop)

    @property
    def reserves(self) -> Mapping[str, Reserve]:
        """What compression kept, for files as `trained` and as `rounded` after that; empty if unrecorded."""
        shares = {} if self.final is None else self.final.reserve_shares
        return {name: Reserve(share, (1 - share) * self.max_drop) for name, share in shares.items()}

    def find_reserve(self, candidate: Candidate) -> Reserve | None:
        """The one that a candidate of compression had to keep."""
        return self.reserves.get("rounded" if candidate.is_rounded else "trained")

    @property
    def is_control_moot(self) -> bool:
        """Whether step-by-step pruning ended without zeros: same retraining and chance then control nothing."""
        return self.step_by_step is not None and self.step_by_step.sparsity < SAME_SPARSITY

    @property
    def file_controls(self) -> Sequence[FileControl]:
        """What compression measured beside its file."""
        return () if self.final is None else self.final.file_controls

    @property
    def best_width(self) -> int | None:
        """The bit width of the smallest file within the drop on validation; of files of one size the narrower."""
        within = [(model.file_bytes, width) for width, model in self.widths.items() if self.is_within(model)]
        return min(within)[1] if within else None


def read_evidence(facts: StudyFacts) -> Evidence:
    """Reads every step. Raises KeyError without a `train` step: a report is about a trained network."""
    steps = facts.steps
    baseline = Model(steps[names.TRAIN], "result", steps[names.TRAIN].result)

    def find(name: str) -> Model | None:
        return Model(steps[name], "result", steps[name].result) if name in steps else None

    controls = {kind: control for kind in ControlKind if (control := find(kind.step)) is not None}
    return Evidence(
        facts=facts,
        baseline=baseline,
        one_shot=find(names.ONE_SHOT),
        step_by_step=find(names.STEP_BY_STEP),
        channels=find(names.CHANNELS),
        final=find(names.COMPRESS),
        widths=read_widths(steps[names.QUANTIZE]) if names.QUANTIZE in steps else {},
        controls=controls,
        max_drop=_find_max_drop(facts),
        class_names=tuple(name for name in baseline.class_scores if name not in ("macro avg", "weighted avg")),
    )


def _find_max_drop(facts: StudyFacts) -> float:
    specs = [facts.spec, *(step.spec for step in facts.steps.values())]
    return next((float(s["max_accuracy_drop"]) for s in specs if s.get("max_accuracy_drop") is not None), 1.0)
