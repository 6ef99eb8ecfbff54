"""What the API answers about models. Built from rows here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.comparison import Gap
from service.schemas.base import Answer, DocumentedAs
from storage.tables import Model
from worker.catalog import HealthProblem, NotMeasuredReason
from worker.model_summary import (
    AccuracyDrop,
    DropInterval,
    DropIntervals,
    Evaluations,
    Latency,
    LayerSparsity,
    ModelHealth,
    ModelLayer,
    SizeEntry,
    SizeLedger,
)

StoredEvaluations = Annotated[dict[str, Any] | None, DocumentedAs(Evaluations | None)]
StoredAccuracyDrop = Annotated[dict[str, Any] | None, DocumentedAs(AccuracyDrop | None)]
StoredDropIntervals = Annotated[dict[str, Any] | None, DocumentedAs(DropIntervals | None)]
StoredHealth = Annotated[dict[str, Any] | None, DocumentedAs(ModelHealth | None)]
StoredSizeLedger = Annotated[dict[str, Any] | None, DocumentedAs(SizeLedger | None)]
StoredLatency = Annotated[dict[str, Any] | None, DocumentedAs(Latency | None)]


class ModelFile(Answer):
    """One format of a model."""

    artifact_id: str
    url: str


class ModelAnswer(Answer):
    """A trained or compressed network. Null where a number was not measured."""

    id: str
    name: str
    architecture: str
    dataset: str | None = Field(description="What it was measured on; null where `not_measured` says why not.")
    not_measured: NotMeasuredReason | None = Field(
        description="`no_dataset`: it was imported without one, and can be fine-tuned to one; null for all others."
    )
    job_id: str
    parent_model_id: str | None
    files: dict[str, ModelFile]
    evaluation: StoredEvaluations = Field(description="Per split: counts, accuracy and its 95 % Wilson interval.")
    accuracy_drop: StoredAccuracyDrop = Field(
        description="Percentage points below its starting baseline, per split; `baseline_problems` says what is wrong "
        "with that one."
    )
    accuracy_drop_interval: StoredDropIntervals = Field(description="Of that drop, per split.")
    health: StoredHealth = Field(description="Null for a model stored before it was looked at.")
    sparsity: float | None = Field(description="Fraction of zero weights, 0–1.")
    size: StoredSizeLedger = Field(description="The size ledger; 1 KB is 1024 bytes.")
    macs: int | None
    latency: StoredLatency = Field(
        description="Milliseconds for a batch, with what measured them. `load.is_busy`: others computed meanwhile. "
        "Only times of one `run_id` can be held against each other."
    )
    created_at: datetime


class ModelDetail(ModelAnswer):
    """A model and its ancestors; `files` has what was exported of it, too."""

    lineage: list[str] = Field(description="Ids of its ancestors, nearest first, back to the training run.")


class ModelList(Answer):
    """A page of models, newest first."""

    models: list[ModelAnswer]
    next_page_token: str | None


class ModelSparsity(Answer):
    """Zeros per layer and in total."""

    model_id: str
    total: float | None = Field(description="Fraction of zero weights, 0–1.")
    layers: Annotated[list[dict[str, Any]], DocumentedAs(list[LayerSparsity])]


class ModelSize(Answer):
    """The size ledger: never one number."""

    model_id: str
    entries: Annotated[list[dict[str, Any]], DocumentedAs(list[SizeEntry])]


class ModelLayers(Answer):
    """Shapes, parameters, MACs, bit widths, and what can be pruned or quantized and why not."""

    model_id: str
    layers: Annotated[list[dict[str, Any]], DocumentedAs(list[ModelLayer])]


class NotCompared(Answer):
    """A field of a comparison that is left out."""

    field: str = Field(description="`accuracy_drop.validation`, `accuracy_drop.test`, `size_ratio` or `speedup`.")
    reason: Gap = Field(
        description="`other_dataset`; `other_pictures`: another split of the same data set; `measured_apart`: the "
        "times were not taken in turns in one run; `not_measured`."
    )


class ComparedModel(Answer):
    """One column of a comparison."""

    model_id: str
    name: str
    dataset: str | None
    architecture: str
    accuracy: dict[str, float | None] = Field(description="Per split, 0–1.")
    accuracy_drop: dict[str, float | None] = Field(
        description="Percentage points below the first model, per split; null where the pictures are not the same."
    )
    accuracy_drop_interval: dict[str, DropInterval | None] = Field(
        description="Of that drop, per split; the baseline is the first model."
    )
    health: StoredHealth
    sparsity: float | None
    size_bytes: dict[str, int] = Field(description="Measure → bytes.")
    size_ratio: float | None = Field(
        description="Stored bytes of the first model ÷ stored bytes of this one; null for networks of other data sets."
    )
    macs: int | None
    latency: StoredLatency
    speedup: float | None = Field(
        description="Milliseconds of the first model ÷ those of this one; null unless both were timed in turns."
    )
    not_compared: list[NotCompared] = Field(description="What is left out beside the first model, and why.")


class ComparedLayer(Answer):
    """One layer across the models; null where a network has no such layer."""

    name: str
    sparsity: list[float | None]


class Comparison(Answer):
    """Two to eight models, aligned; the first is the reference."""

    models: list[ComparedModel]
    layers: list[ComparedLayer]
    verdict: list[str] = Field(description="A sentence for each model after the first, from its numbers.")


class ParetoPoint(Answer):
    """A model on the size–accuracy plane."""

    model_id: str
    name: str
    dataset: str
    measure: str = Field(description="The measure that `bytes` is of: `file` where the model has one.")
    bytes: int
    kb: float
    accuracy: float
    group: str = Field(
        description="What it was measured on: the data set and, for validation, the seed of its split. Only models of "
        "one group have a common front."
    )
    problems: list[HealthProblem] = Field(description="What is wrong with it; with anything, it is on no front.")
    on_front: bool = Field(
        description="It is sound, and no other sound model of its group is as small and as accurate."
    )


class ParetoFront(Answer):
    """Points, smallest first."""

    split: str
    points: list[ParetoPoint]


def build_model(model: Model) -> ModelAnswer:
    """Row → answer."""
    return ModelAnswer(**_model_fields(model))


def build_model_detail(model: Model, lineage: list[str], exports: Mapping[str, str]) -> ModelDetail:
    """Row and its ancestors' ids → answer. exports: format → artifact id of what was exported of it."""
    return ModelDetail(**_model_fields(model, exports), lineage=lineage)


def _model_fields(model: Model, exports: Mapping[str, str] | None = None) -> dict[str, Any]:
    summary = model.summary
    return {
        **model.model_dump(exclude={"files", "summary"}),
        "files": {
            file_format: ModelFile(artifact_id=artifact_id, url=f"/v1/models/{model.id}/download?format={file_format}")
            for file_format, artifact_id in {**(exports or {}), **model.files}.items()
        },
        "not_measured": summary.get("not_measured"),
        "evaluation": summary.get("evaluation"),
        "accuracy_drop": summary.get("accuracy_drop"),
        "accuracy_drop_interval": summary.get("accuracy_drop_interval"),
        "health": summary.get("health"),
        "sparsity": (summary.get("sparsity") or {}).get("total"),
        "size": summary.get("size"),
        "macs": summary.get("macs"),
        "latency": summary.get("latency"),
    }
