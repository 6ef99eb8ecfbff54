"""What the API answers about models. Built from rows here and nowhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from service.schemas.base import Answer
from storage.tables import Model


class ModelFile(Answer):
    """One format of a model."""

    artifact_id: str
    url: str


class ModelAnswer(Answer):
    """A trained or compressed network. Null where a number was not measured."""

    id: str
    name: str
    architecture: str
    dataset: str
    job_id: str
    parent_model_id: str | None
    files: dict[str, ModelFile]
    evaluation: dict[str, Any] | None = Field(description="Per split: counts, accuracy and its 95 % Wilson interval.")
    accuracy_drop: dict[str, Any] | None = Field(
        description="Percentage points below its starting baseline, per split."
    )
    sparsity: float | None = Field(description="Fraction of zero weights, 0–1.")
    size: dict[str, Any] | None = Field(description="The size ledger; 1 KB is 1024 bytes.")
    macs: int | None
    latency: dict[str, Any] | None
    created_at: datetime


class ModelDetail(ModelAnswer):
    """A model and its ancestors."""

    lineage: list[str] = Field(description="Ids of its ancestors, nearest first, back to the training run.")


class ModelList(Answer):
    """A page of models, newest first."""

    models: list[ModelAnswer]
    next_page_token: str | None


class LayerSparsity(Answer):
    """Zeros of one layer."""

    name: str
    zeros: int
    total: int
    sparsity: float


class ModelSparsity(Answer):
    """Zeros per layer and in total."""

    model_id: str
    total: float | None = Field(description="Fraction of zero weights, 0–1.")
    layers: list[LayerSparsity]


class SizeEntry(Answer):
    """One line of the size ledger."""

    measure: str = Field(description="`formula`, `float32`, `packed`, `entropy`, `file` …")
    bytes: int
    kb: float = Field(description="1 KB is 1024 bytes.")
    ratio: float = Field(description="float32 bytes ÷ these bytes.")


class ModelSize(Answer):
    """The size ledger: never one number."""

    model_id: str
    entries: list[SizeEntry]


class ModelLayers(Answer):
    """Shapes, parameters, MACs, bit widths, and what can be pruned or quantized and why not."""

    model_id: str
    layers: list[dict[str, Any]]


class ComparedModel(Answer):
    """One column of a comparison."""

    model_id: str
    name: str
    dataset: str
    architecture: str
    accuracy: dict[str, float | None] = Field(description="Per split, 0–1.")
    accuracy_drop: dict[str, float | None] = Field(description="Percentage points below the first model, per split.")
    sparsity: float | None
    size_bytes: dict[str, int] = Field(description="Measure → bytes.")
    size_ratio: float | None = Field(description="Stored bytes of the first model ÷ stored bytes of this one.")
    macs: int | None
    latency: dict[str, Any] | None


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
    on_front: bool = Field(description="No other model of its data set is both as small and as accurate.")


class ParetoFront(Answer):
    """Points, smallest first."""

    split: str
    points: list[ParetoPoint]


def build_model(model: Model) -> ModelAnswer:
    """Row → answer."""
    return ModelAnswer(**_model_fields(model))


def build_model_detail(model: Model, lineage: list[str]) -> ModelDetail:
    """Row and its ancestors' ids → answer."""
    return ModelDetail(**_model_fields(model), lineage=lineage)


def _model_fields(model: Model) -> dict[str, Any]:
    summary = model.summary
    return {
        **model.model_dump(exclude={"files", "summary"}),
        "files": {
            file_format: ModelFile(artifact_id=artifact_id, url=f"/v1/models/{model.id}/download?format={file_format}")
            for file_format, artifact_id in model.files.items()
        },
        "evaluation": summary.get("evaluation"),
        "accuracy_drop": summary.get("accuracy_drop"),
        "sparsity": (summary.get("sparsity") or {}).get("total"),
        "size": summary.get("size"),
        "macs": summary.get("macs"),
        "latency": summary.get("latency"),
    }
