"""What the API answers. Built from rows here and nowhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.tables import Artifact, Job, JobEvent, JobStatus, Model


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(from_attributes=True)


class ProblemItem(Answer):
    """One wrong field."""

    pointer: str = Field(description="JSON pointer into the body, or the name of a parameter or header.")
    code: str
    detail: str


class Problem(Answer):
    """RFC 9457, for every failure."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str | None
    errors: list[ProblemItem]


class JobProgress(Answer):
    """How far an attempt is. Null where it is not known."""

    percent: float | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: int | None = None
    total_epochs: int | None = None
    eta_s: float | None = Field(None, description="Seconds that it will probably still take.")
    message: str | None = None
    updated_at: datetime | None = None


class JobFailure(Answer):
    """Why a job failed."""

    code: str
    title: str
    detail: str
    retryable: bool


class JobLinks(Answer):
    """Where to go from a job."""

    self: str
    events: str
    stream: str
    metrics: str
    artifacts: str
    result: str
    cancel: str
    retry: str


class JobSummary(Answer):
    """A job as lists show it: without its specs and its result."""

    id: str
    kind: str
    name: str | None
    labels: dict[str, str]
    status: JobStatus
    phase: str | None = Field(description="What it is doing now; an open vocabulary.")
    progress: JobProgress
    model_id: str | None = Field(description="The model that it started from.")
    parent_job_id: str | None
    output_model_id: str | None = Field(description="The model that it made.")
    error: JobFailure | None
    warnings: list[str]
    attempt: int
    max_attempts: int
    max_runtime_s: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks


class JobAnswer(JobSummary):
    """A job."""

    spec: dict[str, Any] = Field(description="As it was sent.")
    resolved_spec: dict[str, Any] = Field(description="With every default filled in.")
    result: dict[str, Any] | None


class JobList(Answer):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next_page_token: str | None


class ResolvedSpec(Answer):
    """What `validate_only` answers: the job that would have been queued."""

    valid: Literal[True] = True
    kind: str
    resolved_spec: dict[str, Any]


class EventAnswer(Answer):
    """One line of a job's log."""

    seq: int = Field(description="Counts from 1 within the job.")
    attempt: int
    type: str
    data: dict[str, Any]
    created_at: datetime


class EventList(Answer):
    """Events in order; `next_after` continues."""

    events: list[EventAnswer]
    next_after: int


class MetricPoint(Answer):
    """One measured value; null where it was not finite."""

    step: float
    value: float | None


class MetricSeries(Answer):
    """Name → points of the newest attempt, evenly thinned."""

    series: dict[str, list[MetricPoint]]


class ArtifactAnswer(Answer):
    """An immutable file of a job."""

    id: str
    job_id: str
    kind: str
    name: str
    media_type: str
    sha256: str
    num_bytes: int
    created_at: datetime
    url: str


class ArtifactList(Answer):
    """The files of a job."""

    artifacts: list[ArtifactAnswer]


class JobResult(Answer):
    """Everything that a succeeded job found out."""

    job_id: str
    kind: str
    output_model_id: str | None
    result: dict[str, Any]
    artifacts: list[ArtifactAnswer]


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
    accuracy_drop: dict[str, Any] | None = Field(description="Percentage points below its starting baseline, per split.")
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


class SizeEstimateRequest(BaseModel):
    """Neurons per layer and bit widths: no model is needed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"layer_sizes": [784, 256, 10], "bit_widths": [8, 6, 4, 2]}]}
    )

    layer_sizes: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field(
        min_length=2, max_length=64, description="Neurons of each layer, the input first."
    )
    bit_widths: list[Annotated[int, Field(ge=1, le=32)]] = Field(
        min_length=1, max_length=64, description="By default one estimate for each."
    )
    mixed: bool = Field(
        False, description="One estimate instead, `bit_widths` naming the width of each weight matrix in turn."
    )

    @model_validator(mode="after")
    def _widths_fit_the_layers(self) -> SizeEstimateRequest:
        if self.mixed and len(self.bit_widths) != len(self.layer_sizes) - 1:
            raise ValueError(f"`mixed` takes {len(self.layer_sizes) - 1} bit widths, one for each weight matrix")
        return self


class SizeEstimate(Answer):
    """Weights only: sum(n_i · n_(i+1) · bits) / 8."""

    bit_widths: list[int] = Field(description="Of each weight matrix.")
    bytes: int
    kb: float
    ratio: float = Field(description="float32 bytes ÷ these bytes.")


class SizeEstimates(Answer):
    """Estimates by the formula."""

    num_weights: int
    float32_bytes: int
    estimates: list[SizeEstimate]


def build_job_links(job_id: str) -> JobLinks:
    """Links of a job, relative to the server."""
    base = f"/v1/jobs/{job_id}"
    return JobLinks(self=base, **{name: f"{base}/{name}" for name in JobLinks.model_fields if name != "self"})


def build_job(job: Job) -> JobAnswer:
    """Row → answer."""
    return JobAnswer(**job.model_dump(), links=build_job_links(job.id))


def build_job_summary(job: Job) -> JobSummary:
    """Row → answer of lists."""
    return JobSummary(**job.model_dump(), links=build_job_links(job.id))


def build_event(event: JobEvent) -> EventAnswer:
    """Row → answer."""
    return EventAnswer.model_validate(event)


def build_artifact(artifact: Artifact) -> ArtifactAnswer:
    """Row → answer."""
    return ArtifactAnswer(**artifact.model_dump(), url=build_artifact_url(artifact.job_id, artifact.id))


def build_artifact_url(job_id: str, artifact_id: str) -> str:
    """Path of an artifact's bytes."""
    return f"/v1/jobs/{job_id}/artifacts/{artifact_id}"


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
