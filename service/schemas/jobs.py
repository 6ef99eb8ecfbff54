"""What the API answers about jobs. Built from rows here and nowhere else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Union

from pydantic import Field, create_model

from service.schemas.base import Answer, DocumentedAs
from storage.tables import Artifact, Job, JobEvent, JobStatus
from worker.results import RESULTS

AnyResult: Any = Union[tuple(RESULTS.values())]  # noqa: UP007 - of as many as there are


class JobProgress(Answer):
    """How far an attempt is. Null where it is not known."""

    percent: float | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: int | None = None
    total_epochs: int | None = None
    eta_s: float | None = Field(None, description="Seconds until its end at the pace of its present stage.")
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
    steps: str = Field(description="The jobs that are steps of this one.")
    parent: str | None = Field(description="The job that this one is a step of.")


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
    parent_job_id: str | None = Field(description="The job that it is a step of.")
    output_model_id: str | None = Field(description="The model that it made.")
    error: JobFailure | None
    warnings: list[str]
    attempt: int = Field(
        description="Which of `max_attempts` it is at: only the failures of its own process count, no lost or stopped "
        "worker and no waiting for steps."
    )
    max_attempts: int
    num_starts: int = Field(description="Times it was started, for whatever reason.")
    max_runtime_s: int
    request_id: str | None = Field(description="`X-Request-ID` of the request that submitted it.")
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: JobLinks


class JobAnswer(JobSummary):
    """A job."""

    spec: dict[str, Any] = Field(description="As it was sent.")
    resolved_spec: dict[str, Any] = Field(description="With every default filled in.")
    result: Annotated[dict[str, Any] | None, DocumentedAs(AnyResult | None)] = Field(
        description="What a job of its kind found out; null until it has succeeded."
    )


class JobList(Answer):
    """A page of jobs, newest first."""

    jobs: list[JobSummary]
    next_page_token: str | None


class ResolvedSpec(Answer):
    """What `validate_only` answers: the job that would have been queued."""

    valid: Literal[True] = True
    kind: str
    resolved_spec: dict[str, Any]
    estimated_memory_bytes: int | None = Field(
        description="What the job will hold at its peak, more or less; null where only its run can tell. A job that "
        "would need more than `TONOK_MAX_JOB_BYTES` is refused."
    )


class EventAnswer(Answer):
    """One line of a job's log."""

    seq: int = Field(description="Counts from 1 within the job.")
    attempt: int = Field(description="The start of the job that wrote it, as `num_starts` counts them.")
    type: str
    data: dict[str, Any]
    created_at: datetime


class StreamedEvent(Answer):
    """One server-sent event."""

    id: str = Field("", description="The event's `seq`, for `Last-Event-ID`; `done` and `unavailable` have none.")
    event: str = Field(
        description="The event's type; the last one's is `done`, which carries the job, or `unavailable`, where events "
        "cannot be read on."
    )
    data: str = Field(description="The event as JSON, as `events` answers it; of `unavailable` a problem.")


class EventList(Answer):
    """Events in order; `next_after` continues."""

    events: list[EventAnswer]
    next_after: int


class MetricPoint(Answer):
    """One measured value; null where it was not finite."""

    step: float
    value: float | None
    attempt: int = Field(description="The start of the job that measured it, as `num_starts` counts them.")


class MetricSeries(Answer):
    """Series of a job."""

    series: dict[str, list[MetricPoint]] = Field(description="Name → points in order of step, evenly thinned.")


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


JOB_RESULTS = {
    kind: create_model(
        f"{kind.title()}JobResult",
        __base__=JobResult,
        __doc__=f"Everything that a succeeded `{kind}` job found out.",
        kind=(Literal[kind], ...),  # type: ignore[arg-type]
        result=(Annotated[dict[str, Any], DocumentedAs(result)], ...),
    )
    for kind, result in RESULTS.items()
}
AnyJobResult: Any = Annotated[Union[tuple(JOB_RESULTS.values())], Field(discriminator="kind")]  # noqa: UP007 - as above
"""As the document shows it: by its kind. What is answered is a `JobResult`, whatever an older version stored."""


def build_job_links(job: Job) -> JobLinks:
    """Links of a job, relative to the server."""
    base = f"/v1/jobs/{job.id}"
    return JobLinks(
        self=base,
        **{name: f"{base}/{name}" for name in JobLinks.model_fields if name not in ("self", "steps", "parent")},
        steps=f"/v1/jobs?parent_job_id={job.id}",
        parent=job.parent_job_id and f"/v1/jobs/{job.parent_job_id}",
    )


def build_job(job: Job) -> JobAnswer:
    """Row → answer."""
    return JobAnswer(**_read_fields(job, JobAnswer), links=build_job_links(job))


def build_job_summary(job: Job) -> JobSummary:
    """Row → answer of lists."""
    return JobSummary(**_read_fields(job, JobSummary), links=build_job_links(job))


def _read_fields(job: Job, shown: type[JobSummary]) -> dict[str, Any]:
    """What is shown and no more: the rest of a row may not have been read."""
    columns = shown.model_fields.keys() - {"links", "attempt", "num_starts"}
    counts = {"attempt": job.counted_attempt, "num_starts": job.attempt}
    return counts | {name: getattr(job, name) for name in columns}


def build_event(event: JobEvent) -> EventAnswer:
    """Row → answer."""
    return EventAnswer.model_validate(event)


def build_artifact(artifact: Artifact) -> ArtifactAnswer:
    """Row → answer."""
    return ArtifactAnswer(**artifact.model_dump(), url=build_artifact_url(artifact.job_id, artifact.id))


def build_artifact_url(job_id: str, artifact_id: str) -> str:
    """Path of an artifact's bytes."""
    return f"/v1/jobs/{job_id}/artifacts/{artifact_id}"
