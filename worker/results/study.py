"""The result of a `study` job."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from worker.model_summary import (
    AccuracyDrop,
    DropIntervals,
    Evaluations,
    ModelHealth,
    Recorded,
    SizeLedger,
    Sparsity,
)


class StudyFinding(Recorded):
    """One sentence of the report, and the numbers that it was made from."""

    key: str = Field(description="Names the sentence in every language.")
    values: dict[str, Any]
    source: str = Field(description="What the numbers are read from: `step: job, part of the result`.")
    sentence: str


class StudyStep(Recorded):
    """One job of a study."""

    job_id: str
    kind: str
    model_id: str | None
    seconds: float = Field(description="From its first start to its end.")
    is_reused: bool = Field(description="It had been done before.")
    evaluation: Evaluations
    accuracy_drop: AccuracyDrop | None
    accuracy_drop_interval: DropIntervals | None = None
    health: ModelHealth | None = None
    sparsity: float = Field(description="Fraction of zero weights, 0–1.")
    size: SizeLedger
    macs: int = Field(description="Multiply-accumulates for one picture.")


class StudyResult(Recorded):
    """The compressed model that a study ends with, its steps, and what its report found."""

    model_id: str | None
    evaluation: Evaluations
    accuracy_drop: AccuracyDrop | None
    sparsity: Sparsity
    size: SizeLedger
    accuracy_drop_interval: DropIntervals | None = None
    health: ModelHealth | None = None
    file_bytes: int
    compression_ratio: float = Field(description="float32 bytes ÷ file bytes.")
    steps: dict[str, StudyStep] = Field(description="By their names, in their order.")
    findings: tuple[StudyFinding, ...] = ()
