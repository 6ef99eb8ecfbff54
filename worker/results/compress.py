"""The result of a `compress` job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from worker.catalog import HealthProblem
from worker.controls import CONTROLS, ControlKind
from worker.model_summary import AnswerRecord, Recorded
from worker.results.model_result import ModelResult
from worker.results.older_techniques import add_applied
from worker.techniques import AppliedTechnique


class CompressCandidate(Recorded):
    """A file that could have been the answer. Accuracy and drop (points) are on validation, of its integers."""

    name: str
    num_bytes: int
    accuracy: float
    drop: float
    within: bool = Field(description="The drop is one that is allowed.")
    safe: bool | None = Field(None, description="And so is `drop_bound`.")
    sparsity: float | None = Field(None, description="Fraction of zero weights, 0–1.")
    bit_width: int | None = None
    lost: int | None = Field(None, description="Validation pictures that the baseline alone answers rightly.")
    gained: int | None = Field(None, description="Validation pictures that this file alone answers rightly.")
    drop_bound: float | None = Field(
        None, description="Points that the drop on new pictures stays within, with the reserve's confidence."
    )
    problems: tuple[HealthProblem, ...] = Field(
        (), description="With any that its baseline has not, it is on no front."
    )
    is_plain: bool = Field(False, description="Quantized, neither pruned nor narrowed.")
    trade_off: float | None = Field(
        None, description="Of rate-distortion rounding: nats per picture that a bit was worth; null without it."
    )


class StageSparsity(Recorded):
    """What a stage of pruning was asked for and what it reached."""

    stage: str
    unit: str = Field(description="`channels` or `weights`, of which the sparsities count.")
    asked_sparsity: float
    reached_sparsity: float
    difference: str | None = Field(description="Why the two are not the same; null where they are near enough.")


class AblationRow(Recorded):
    """What one technique bought, on top of those above it. Accuracies and drops (points) are on validation."""

    technique: str = Field(description="In words.")
    applied: tuple[AppliedTechnique, ...] = Field((), description="The same as names with numbers.")
    measure: str = Field(
        description="What `bytes_after` counts: an encoded `file`, the `float32` checkpoint, or `packed` integers."
    )
    bytes_before: int
    bytes_after: int
    accuracy_before: float
    accuracy_after: float
    drop_before: float
    drop_after: float

    @model_validator(mode="before")
    @classmethod
    def _add_applied(cls, given: Any) -> Any:
        return add_applied(given, "technique")


class CompressControl(Recorded):
    """What the file is held against: as many epochs, spent in another way. Drops are in points."""

    kind: ControlKind | None = Field(None, description="Null where a version stored a name alone that none has.")
    name: str
    num_bytes: int
    sparsity: float
    widths: tuple[int, ...] = Field(description="Hidden widths.")
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    validation_drop: float
    test_drop: float
    test_correctness: AnswerRecord | None = Field(None, description="Null in results of versions that kept none.")
    problems: tuple[HealthProblem, ...] = Field((), description="Beside a control with any, everything looks good.")

    @model_validator(mode="before")
    @classmethod
    def _find_kind(cls, given: Any) -> Any:
        """Reads it from the name, where a version stored that alone."""
        if not isinstance(given, Mapping) or given.get("kind") is not None:
            return given
        found = [kind for kind, design in CONTROLS.items() if design.name == given.get("name")]
        return {**given, "kind": found[0]} if found else given


class DropReserve(Recorded):
    """How sure it is that the drop on pictures nobody has seen stays within what is allowed."""

    confidence: float = Field(description="Of the bounds, one-sided.")
    validation_pictures: int
    is_decidable: bool = Field(description="There are enough pictures for any file to keep the reserve.")
    smallest_drop_bound: float = Field(description="Points; of a file that answers every picture as the baseline does.")
    drop_bound: float = Field(description="Points; of the chosen file.")
    reached_confidence: float = Field(description="With which the chosen file is within the drop, 0–1.")


class CompressResult(ModelResult):
    """The smallest file within the drop, and what was met on the way."""

    widths: tuple[int, ...] | None = Field(None, description="Hidden widths.")
    file_bytes: int
    compression_ratio: float = Field(description="float32 bytes ÷ file bytes.")
    within_max_accuracy_drop: bool
    reserve: DropReserve | None = None
    chosen: CompressCandidate
    candidates: tuple[CompressCandidate, ...] = Field(description="In the order they were made.")
    front: tuple[CompressCandidate, ...] = Field(description="Of which no other is as small and as accurate.")
    stages: tuple[StageSparsity, ...] | None = None
    ablation: tuple[AblationRow, ...] | None = Field(None, description="From the float32 checkpoint to the file.")
    controls: tuple[CompressControl, ...] | None = Field(None, description="Null where none were asked for.")
    techniques: tuple[str, ...] = Field(description="What went into the file, in words.")
    applied: tuple[AppliedTechnique, ...] = Field((), description="The same as names with numbers.")

    @model_validator(mode="before")
    @classmethod
    def _add_applied(cls, given: Any) -> Any:
        return add_applied(given, "techniques")
