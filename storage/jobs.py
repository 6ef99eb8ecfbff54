"""The life of a job: one function per transition.

Each transition is one guarded UPDATE, with its event row in the same transaction. Every write of a worker names its
`Lease` in the WHERE; no row changed means that another attempt has taken over, and raises `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, update
from sqlmodel import Session, col, select

from storage.artifacts import remove_unreferenced
from storage.database import Database, clock, is_sqlite, serialize
from storage.errors import Conflict, IdempotencyMismatch, LeaseLost, NotFound, QueueFull
from storage.files import FileStore
from storage.ids import new_id
from storage.paging import Page, fetch_page
from storage.tables import (
    TERMINAL,
    Artifact,
    IdempotencyKey,
    Job,
    JobEvent,
    JobMetric,
    JobStatus,
    Model,
    utc_now,
)

_IDEMPOTENCY_KEPT = timedelta(hours=24)
_SUBMIT_LOCK = 7_406_018
_MAX_WARNINGS = 100
_ACTIVE = (JobStatus.RUNNING, JobStatus.CANCELLING)


@dataclass(frozen=True)
class Lease:
    """One attempt's right to write: the job, the attempt (the fencing token) and the worker that holds it."""

    job_id: str
    attempt: int
    holder: str


@dataclass(frozen=True)
class MetricPoint:
    """One point of a series; `value` is None where it was not finite."""

    step: float
    value: float | None


@dataclass(frozen=True)
class Recovered:
    """A job whose worker fell silent, and the status it was given."""

    job_id: str
    attempt: int
    status: JobStatus


# --- what the API does -------------------------------------------------------------------------------------------


def submit_job(
    session: Session,
    *,
    spec: Mapping[str, Any],
    resolved_spec: Mapping[str, Any],
    kind: str,
    name: str | None,
    labels: Mapping[str, str],
    model_id: str | None,
    max_attempts: int,
    max_runtime_s: int,
    max_queued: int,
    idempotency: tuple[str, str] | None = None,
    parent_job_id: str | None = None,
) -> tuple[Job, bool]:
    """Queues a job; returns it and whether it is new.

    idempotency: the client's key and a hash of all that it sent. Raises QueueFull, IdempotencyMismatch.
    """
    serialize(session, _SUBMIT_LOCK)
    now = utc_now()
    if idempotency is not None:
        session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < now - _IDEMPOTENCY_KEPT))
        known = session.get(IdempotencyKey, idempotency[0])
        if known is not None:
            if known.request_hash != idempotency[1]:
                raise IdempotencyMismatch("this Idempotency-Key was used before with another request")
            return get_job(session, known.job_id), False
    num_queued = session.exec(select(func.count()).where(col(Job.status) == JobStatus.QUEUED)).one()
    if num_queued >= max_queued:
        raise QueueFull(f"{num_queued} jobs wait already, as many as this service allows")
    job = Job(
        id=new_id("job"),
        kind=kind,
        name=name,
        labels=dict(labels),
        spec=dict(spec),
        resolved_spec=dict(resolved_spec),
        model_id=model_id,
        parent_job_id=parent_job_id,
        max_attempts=max_attempts,
        max_runtime_s=max_runtime_s,
        created_at=now,
        updated_at=now,
    )
    session.add(job)
    session.flush()
    _add_event(session, job.id, 0, "queued", {})
    if idempotency is not None:
        session.add(IdempotencyKey(key=idempotency[0], request_hash=idempotency[1], job_id=job.id, created_at=now))
    return job, True


def get_job(session: Session, job_id: str) -> Job:
    """The job. Raises NotFound."""
    job = session.get(Job, job_id, populate_existing=True)
    if job is None:
        raise NotFound("there is no job with this id")
    return job


def list_jobs(
    session: Session,
    *,
    status: str | None = None,
    kind: str | None = None,
    label: tuple[str, str] | None = None,
    model_id: str | None = None,
    created_after: datetime | None = None,
    page_size: int = 50,
    page_token: str | None = None,
) -> Page[Job]:
    """Jobs, newest first. `label` is a key and its value. Raises InvalidPageToken."""
    query = select(Job)
    if status is not None:
        query = query.where(col(Job.status) == status)
    if kind is not None:
        query = query.where(col(Job.kind) == kind)
    if label is not None:
        query = query.where(_has_label(session, *label))
    if model_id is not None:
        query = query.where(col(Job.model_id) == model_id)
    if created_after is not None:
        query = query.where(col(Job.created_at) > created_after)
    return fetch_page(session, query, Job, page_size, page_token)


def _has_label(session: Session, key: str, value: str) -> ColumnElement[bool]:
    each = func.json_each if is_sqlite(session) else func.json_each_text
    pairs = each(col(Job.labels)).table_valued("key", "value")
    return exists().select_from(pairs).where(pairs.c.key == key, pairs.c.value == value)


def request_cancel(session: Session, job_id: str) -> Job:
    """queued → cancelled at once; running → cancelling. Again: the same answer. Raises NotFound, Conflict."""
    now = utc_now()
    stopped = session.exec(
        update(Job)
        .where(col(Job.id) == job_id, col(Job.status) == JobStatus.QUEUED)
        .values(status=JobStatus.CANCELLED, cancel_requested=True, finished_at=now, updated_at=now)
    ).rowcount
    asked = 0
    if not stopped:
        asked = session.exec(
            update(Job)
            .where(col(Job.id) == job_id, col(Job.status) == JobStatus.RUNNING)
            .values(status=JobStatus.CANCELLING, cancel_requested=True, updated_at=now)
        ).rowcount
    job = get_job(session, job_id)
    if stopped or asked:
        _add_event(session, job_id, job.attempt, job.status, {})
    elif job.status not in (JobStatus.CANCELLING, JobStatus.CANCELLED):
        raise Conflict(f"the job has {job.status} already and cannot be cancelled")
    return job


def delete_job(database: Database, files: FileStore, job_id: str) -> None:
    """Removes a finished job, its models, its artifacts, and the files that no other job shares.

    Raises NotFound, and Conflict while the job runs or another job builds on its models.
    """
    with database.transaction() as session:
        job = get_job(session, job_id)
        if job.status not in TERMINAL:
            raise Conflict(f"the job is {job.status}: cancel it, or wait for its end, before deleting it")
        own_models = select(Model.id).where(col(Model.job_id) == job_id)
        descends = and_(col(Model.job_id) != job_id, col(Model.parent_model_id).in_(own_models))
        if session.exec(select(exists().where(descends))).one():
            raise Conflict("a model of another job descends from a model of this one: delete that job first")
        waits = and_(col(Job.model_id).in_(own_models), col(Job.status).not_in(TERMINAL))
        if session.exec(select(exists().where(waits))).one():
            raise Conflict("a job that has not finished builds on a model of this one")
        hashes = set(session.exec(select(Artifact.sha256).where(col(Artifact.job_id) == job_id)).all())
        session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.job_id) == job_id))
        for table in (JobEvent, JobMetric, Model, Artifact):
            session.exec(delete(table).where(col(table.job_id) == job_id))
        session.exec(delete(Job).where(col(Job.id) == job_id))
    # After the commit: a file without a row is only waste, a row without its file would be a lie.
    with database.transaction() as session:
        remove_unreferenced(session, files, hashes)


def list_events(session: Session, job_id: str, after: int = 0, limit: int = 100) -> list[JobEvent]:
    """Events whose `seq` is above `after`, in order. Raises NotFound."""
    get_job(session, job_id)
    query = select(JobEvent).where(col(JobEvent.job_id) == job_id, col(JobEvent.seq) > after)
    return list(session.exec(query.order_by(col(JobEvent.seq)).limit(limit)).all())


def list_metrics(
    session: Session, job_id: str, names: Collection[str] | None = None, max_points: int = 1000
) -> dict[str, list[MetricPoint]]:
    """Name → points in order of step, of the newest attempt; longer series are thinned evenly, both ends kept.

    names: None for all. Raises NotFound.
    """
    job = get_job(session, job_id)
    query = select(JobMetric.name, JobMetric.step, JobMetric.value).where(
        col(JobMetric.job_id) == job_id, col(JobMetric.attempt) == job.attempt
    )
    if names is not None:
        query = query.where(col(JobMetric.name).in_(names))
    series: dict[str, list[MetricPoint]] = {}
    for name, step, value in session.exec(query.order_by(col(JobMetric.step), col(JobMetric.id))).all():
        series.setdefault(name, []).append(MetricPoint(step, value))
    return {name: _thin(points, max_points) for name, points in sorted(series.items())}


def _thin(points: list[MetricPoint], max_points: int) -> list[MetricPoint]:
    if len(points) <= max_points:
        return points
    if max_points == 1:
        return points[-1:]
    last = len(points) - 1
    return [points[round(index * last / (max_points - 1))] for index in range(max_points)]


def queue_counts(session: Session) -> dict[JobStatus, int]:
    """Number of jobs in each status, zeros included."""
    counted = session.exec(select(Job.status, func.count()).group_by(col(Job.status))).all()
    return {status: 0 for status in JobStatus} | {JobStatus(status): count for status, count in counted}


# --- what a worker does ------------------------------------------------------------------------------------------


def claim_job(session: Session, holder: str, ttl: float) -> Job | None:
    """Takes the oldest queued job for `ttl` seconds, or None. The attempt is counted here and not at its end:
    a job that kills its worker must still use up an attempt."""
    oldest = (
        select(Job.id)
        .where(col(Job.status) == JobStatus.QUEUED)
        .order_by(col(Job.created_at), col(Job.id))
        .limit(1)
        .with_for_update(skip_locked=True)  # SQLite has no such clause and leaves it out; its writers are alone
    )
    now = utc_now()
    claimed = session.exec(
        update(Job)
        .where(col(Job.id) == oldest.scalar_subquery(), col(Job.status) == JobStatus.QUEUED)
        .values(
            status=JobStatus.RUNNING,
            attempt=Job.attempt + 1,
            lease_holder=holder,
            lease_expires_at=clock(session) + ttl,
            started_at=func.coalesce(col(Job.started_at), now),
            updated_at=now,
            phase=None,
            progress={},
            warnings=[],
        )
        .returning(col(Job.id))
    ).scalar_one_or_none()
    if claimed is None:
        return None
    job = get_job(session, claimed)
    _add_event(session, job.id, job.attempt, "started", {})
    return job


def renew_lease(session: Session, lease: Lease, ttl: float) -> bool:
    """Keeps the job for `ttl` seconds more; returns whether a cancel was asked for. Raises LeaseLost."""
    return _write_held(session, lease, lease_expires_at=clock(session) + ttl)


def record_progress(
    session: Session,
    lease: Lease,
    *,
    progress: Mapping[str, Any],
    phase: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, Sequence[MetricPoint]] | None = None,
    log: bool = True,
) -> bool:
    """Replaces the job's progress and appends metric points; returns whether a cancel was asked for.

    progress: the whole JSON object. log: also append a `progress` event. Raises LeaseLost.
    """
    cancel_requested = _write_held(session, lease, progress=dict(progress), phase=phase, updated_at=utc_now())
    points = [(name, point) for name, series in (metrics or {}).items() for point in series]
    if log:
        data = {**progress, "phase": phase}
        if message is not None:
            data["message"] = message
        if points:
            data["metrics"] = {name: point.value for name, point in points}
        _add_event(session, lease.job_id, lease.attempt, "progress", data)
    now = utc_now()
    for name, point in points:
        row = JobMetric(job_id=lease.job_id, attempt=lease.attempt, name=name, step=point.step, created_at=now)
        row.value = point.value
        session.add(row)
    return cancel_requested


def add_warning(session: Session, lease: Lease, message: str) -> None:
    """Appends to the job's warnings, once per wording. Raises LeaseLost."""
    _write_held(session, lease, updated_at=utc_now())  # guards, and locks the row for the read that follows
    job = get_job(session, lease.job_id)
    if message in job.warnings or len(job.warnings) >= _MAX_WARNINGS:
        return
    session.exec(update(Job).where(col(Job.id) == lease.job_id).values(warnings=[*job.warnings, message]))
    _add_event(session, lease.job_id, lease.attempt, "warning", {"message": message})


def finish_succeeded(
    session: Session,
    lease: Lease,
    *,
    result: Mapping[str, Any],
    output_model_id: str | None,
    artifacts: Sequence[Artifact],
    models: Sequence[Model],
) -> None:
    """running | cancelling → succeeded, and with it everything the attempt made. Raises LeaseLost."""
    _finish(session, lease, JobStatus.SUCCEEDED, artifacts, result=dict(result), output_model_id=output_model_id)
    session.add_all(models)


def finish_failed(
    session: Session, lease: Lease, *, error: Mapping[str, Any], artifacts: Sequence[Artifact] = ()
) -> None:
    """running | cancelling → failed. error: {code, title, detail, retryable}. Raises LeaseLost."""
    _finish(session, lease, JobStatus.FAILED, artifacts, error=dict(error))


def finish_cancelled(session: Session, lease: Lease, *, artifacts: Sequence[Artifact] = ()) -> None:
    """running | cancelling → cancelled. Raises LeaseLost."""
    _finish(session, lease, JobStatus.CANCELLED, artifacts)


def retry_or_fail(
    session: Session, lease: Lease, *, error: Mapping[str, Any], artifacts: Sequence[Artifact] = ()
) -> JobStatus:
    """After a crash: queued while attempts are left, else failed; cancelled if that was asked. Raises LeaseLost."""
    cancel_requested = _write_held(session, lease, updated_at=utc_now())
    job = get_job(session, lease.job_id)
    if cancel_requested:
        finish_cancelled(session, lease, artifacts=artifacts)
        return JobStatus.CANCELLED
    if job.attempt >= job.max_attempts:
        finish_failed(session, lease, error=error, artifacts=artifacts)
        return JobStatus.FAILED
    _requeue(session, lease, {"reason": error["code"]})
    return JobStatus.QUEUED


def release_job(session: Session, lease: Lease) -> JobStatus:
    """A worker that stops in good order gives its job back: cancelled if that was asked, else queued.

    The attempt stays counted, because it is the fencing token; in its place one more is allowed. Raises LeaseLost.
    """
    if _write_held(session, lease, max_attempts=Job.max_attempts + 1, updated_at=utc_now()):
        finish_cancelled(session, lease)
        return JobStatus.CANCELLED
    _requeue(session, lease, {"reason": "worker_stopped"})
    return JobStatus.QUEUED


def requeue_expired(session: Session) -> list[Recovered]:
    """Ends the attempts whose lease ran out by the database's clock: queued again while attempts are left."""
    silent = select(Job).where(col(Job.status).in_(_ACTIVE), col(Job.lease_expires_at) < clock(session))
    recovered = []
    for job in session.exec(silent.with_for_update(skip_locked=True)).all():
        lease = Lease(job.id, job.attempt, str(job.lease_holder))
        error = {
            "code": "worker_lost",
            "title": "The worker was lost",
            "detail": f"the worker of attempt {job.attempt} fell silent",
            "retryable": True,
        }
        recovered.append(Recovered(job.id, job.attempt, retry_or_fail(session, lease, error=error)))
    return recovered


def _requeue(session: Session, lease: Lease, data: Mapping[str, Any]) -> None:
    _write_held(
        session,
        lease,
        status=JobStatus.QUEUED,
        lease_holder=None,
        lease_expires_at=None,
        phase=None,
        updated_at=utc_now(),
    )
    _add_event(session, lease.job_id, lease.attempt, "requeued", data)


def _finish(session: Session, lease: Lease, status: JobStatus, artifacts: Sequence[Artifact], **values: Any) -> None:
    now = utc_now()
    _write_held(
        session,
        lease,
        status=status,
        lease_holder=None,
        lease_expires_at=None,
        finished_at=now,
        updated_at=now,
        **values,
    )
    session.add_all(artifacts)
    error = values.get("error")
    _add_event(session, lease.job_id, lease.attempt, status, {} if error is None else {"error": error})


def _write_held(session: Session, lease: Lease, **values: Any) -> bool:
    """The one guarded UPDATE of every worker-side write; returns `cancel_requested`. Raises LeaseLost."""
    held = session.exec(
        update(Job)
        .where(
            col(Job.id) == lease.job_id,
            col(Job.status).in_(_ACTIVE),
            col(Job.attempt) == lease.attempt,
            col(Job.lease_holder) == lease.holder,
        )
        .values(**values)
        .returning(col(Job.cancel_requested))
    ).scalar_one_or_none()
    if held is None:
        raise LeaseLost(f"attempt {lease.attempt} no longer holds its job")
    return bool(held)


def _add_event(session: Session, job_id: str, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
    # The caller has just written the job's row and so holds its lock: no other event can take the same number.
    newest = session.exec(select(func.coalesce(func.max(JobEvent.seq), 0)).where(col(JobEvent.job_id) == job_id)).one()
    session.add(
        JobEvent(job_id=job_id, seq=newest + 1, attempt=attempt, type=str(kind), data=dict(data), created_at=utc_now())
    )
    session.flush()
