"""The life of a job as its client sees it: one function per transition.

Each transition is one guarded UPDATE, with its event row in the same transaction. What a worker does to a job is in
storage/attempts.py.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import and_, delete, exists, insert
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import Session, col, select

from storage.artifacts import remove_unreferenced
from storage.database import Database, serialize
from storage.datasets import find_model_of
from storage.errors import Conflict, IdempotencyMismatch, NotFound, QueueFull
from storage.events import add_event
from storage.files import FileStore
from storage.ids import new_id
from storage.owners import find_owner, is_visible, only_visible
from storage.paging import Page, fetch_page
from storage.references import find_waiting_job
from storage.statistics import count_queued
from storage.steps import list_children, stop_job
from storage.tables import (
    DEFAULT_OWNER,
    TERMINAL,
    Artifact,
    Dataset,
    IdempotencyKey,
    Job,
    JobEvent,
    JobLabel,
    JobMetric,
    JobStatus,
    Model,
    build_row,
    utc_now,
)

_IDEMPOTENCY_KEPT = timedelta(hours=24)
_SUBMIT_LOCK = 7_406_018
_NEW_JOB = {
    name: field.default
    for name, field in Job.model_fields.items()
    if field.default_factory is None and not field.is_required()
}
_INSERT_JOB = insert(Job)
_WIDE = cast("list[QueryableAttribute[Any]]", [Job.spec, Job.resolved_spec, Job.result])
_UNLISTED = [defer(column, raiseload=True) for column in _WIDE]


@dataclass(frozen=True)
class MetricPoint:
    """One point of a series; `value` is None where it was not finite."""

    step: float
    value: float | None


@dataclass(frozen=True)
class StoredPoint(MetricPoint):
    """A point and the attempt that measured it."""

    attempt: int


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
    step_hash: str | None = None,
    idempotency: tuple[str, str] | None = None,
    request_id: str | None = None,
) -> tuple[Job, bool]:
    """Queues a job; returns it and whether it is new.

    max_queued: jobs that one owner may have waiting.
    step_hash: of `compute_step_hash`; without it no other job ever reuses this one's result.
    idempotency: the client's key and a hash of all that it sent. Raises QueueFull, IdempotencyMismatch.
    """
    serialize(session, _SUBMIT_LOCK)
    now = utc_now()
    owner = find_owner(session) or DEFAULT_OWNER
    if idempotency is not None:
        session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.created_at) < now - _IDEMPOTENCY_KEPT))
        known = session.get(IdempotencyKey, (owner, idempotency[0]))
        if known is not None:
            if known.request_hash != idempotency[1]:
                raise IdempotencyMismatch("this Idempotency-Key was used before with another request")
            return get_job(session, known.job_id), False
    num_queued = count_queued(session, owner)
    if num_queued >= max_queued:
        raise QueueFull(f"{num_queued} jobs of yours wait already, as many as this service allows")
    row = _NEW_JOB | {
        "id": new_id("job"),
        "owner": owner,
        "kind": kind,
        "name": name,
        "labels": dict(labels),
        "spec": dict(spec),
        "resolved_spec": dict(resolved_spec),
        "progress": {},
        "warnings": [],
        "model_id": model_id,
        "step_hash": step_hash,
        "max_attempts": max_attempts,
        "max_runtime_s": max_runtime_s,
        "created_at": now,
        "updated_at": now,
        "request_id": request_id,
    }
    # Not by the session: the row is complete, and what a session does to find that out takes longer than the rest.
    job = build_row(Job, row)
    session.connection().execute(_INSERT_JOB, {name: value for name, value in row.items() if value is not None})
    add_event(session, job.id, 0, "queued", {} if request_id is None else {"request_id": request_id})
    if idempotency is not None:
        key, request_hash = idempotency
        session.add(IdempotencyKey(owner=owner, key=key, request_hash=request_hash, job_id=job.id, created_at=now))
    return job, True


def get_job(session: Session, job_id: str) -> Job:
    """The job. Raises NotFound."""
    job = session.get(Job, job_id, populate_existing=True)
    if job is None or not is_visible(session, job):
        raise NotFound("there is no job with this id")
    return job


def has_job(session: Session, job_id: str) -> bool:
    """Whether there is such a job for this session."""
    return session.exec(select(exists().where(col(Job.id) == job_id, *only_visible(session, Job)))).one()


def find_statuses(session: Session, job_ids: Collection[str]) -> dict[str, str]:
    """Id → status of those that exist. Specs and results are not read."""
    return dict(session.exec(select(Job.id, Job.status).where(col(Job.id).in_(job_ids))).all())


def find_newest_job(session: Session) -> Job | None:
    """The job that was submitted last, or None. Steps were submitted by nobody."""
    submitted = select(Job).where(col(Job.parent_job_id).is_(None), *only_visible(session, Job))
    return session.exec(submitted.order_by(col(Job.created_at).desc(), col(Job.id).desc()).limit(1)).first()


def list_jobs(
    session: Session,
    *,
    status: str | None = None,
    kind: str | None = None,
    label: tuple[str, str] | None = None,
    model_id: str | None = None,
    parent_job_id: str | None = None,
    created_after: datetime | None = None,
    page_size: int = 50,
    page_token: str | None = None,
) -> Page[Job]:
    """Jobs, newest first, without their specs and results. `label` is a key and its value. Raises InvalidPageToken."""
    query = select(Job).where(*only_visible(session, Job)).options(*_UNLISTED)
    if status is not None:
        query = query.where(col(Job.status) == status)
    if kind is not None:
        query = query.where(col(Job.kind) == kind)
    position_columns = None
    if label is not None:
        # In the order of the labels' own index: the jobs that lack the label are never looked at.
        position_columns = (col(JobLabel.created_at), col(JobLabel.job_id))
        query = query.join(JobLabel).where(*only_visible(session, JobLabel))
        query = query.where(col(JobLabel.key) == label[0], col(JobLabel.value) == label[1])
    if model_id is not None:
        query = query.where(col(Job.model_id) == model_id)
    if parent_job_id is not None:
        query = query.where(col(Job.parent_job_id) == parent_job_id)
    if created_after is not None:
        query = query.where(col(Job.created_at) > created_after)
    return fetch_page(session, query, Job, page_size, page_token, position_columns)


def request_cancel(session: Session, job_id: str) -> Job:
    """A queued job is cancelled at once, a running one is asked to stop; again gives the same answer.

    Raises NotFound, and Conflict where the job has succeeded or failed.
    """
    get_job(session, job_id)  # whose it is, before anything is stopped
    stopped = stop_job(session, job_id)
    job = get_job(session, job_id)
    if not stopped and job.status not in (JobStatus.CANCELLING, JobStatus.CANCELLED):
        raise Conflict(f"the job has {job.status} already and cannot be cancelled")
    return job


def delete_job(database: Database, files: FileStore, job_id: str, owner: str | None = None) -> None:
    """Removes a finished job with its steps: their models, their artifacts, and the files that no other job shares.

    owner: whose job it must be; None for anybody's. Raises NotFound, and Conflict while one of them runs, is a step of
    a job that runs, or another job builds on it.
    """
    with database.transaction(owner) as session:
        job = get_job(session, job_id)
        if job.status not in TERMINAL:
            raise Conflict(f"the job is {job.status}: cancel it, or wait for its end, before deleting it")
        children = list_children(session, job_id)
        if (child := next((child for child in children if child.status not in TERMINAL), None)) is not None:
            raise Conflict(f"step {child.id} of the job has not come to its end yet: try again in a moment")
        doomed = [job_id, *(child.id for child in children)]
        _check_unused(session, job, doomed)
        hashes = set(session.exec(select(Artifact.sha256).where(col(Artifact.job_id).in_(doomed))).all())
        session.exec(delete(IdempotencyKey).where(col(IdempotencyKey.job_id).in_(doomed)))
        for table in (JobEvent, JobLabel, JobMetric, Model, Dataset, Artifact):
            session.exec(delete(table).where(col(table.job_id).in_(doomed)))
        session.exec(delete(Job).where(col(Job.id).in_(doomed)))
    # After the commit: a file without a row is only waste, a row without its file would be a lie.
    with database.transaction() as session:
        remove_unreferenced(session, files, hashes)


def _check_unused(session: Session, job: Job, doomed: Collection[str]) -> None:
    """Raises Conflict where a job outside `doomed` needs one of them."""
    models = select(Model.id).where(col(Model.job_id).in_(doomed))
    others = col(Job.id).not_in(doomed)
    descends = and_(col(Model.job_id).not_in(doomed), col(Model.parent_model_id).in_(models))
    if (child := session.exec(select(Model).where(descends).order_by(col(Model.id))).first()) is not None:
        raise Conflict(f"model {child.id} descends from a model of this job: delete job {child.job_id} first")
    shares = select(Job.id).where(others, col(Job.output_model_id).in_(models)).order_by(col(Job.id))
    if (child_id := session.exec(shares).first()) is not None:
        raise Conflict(f"a model of this job is the result of another one: delete job {child_id} first")
    datasets = session.exec(select(Dataset.id).where(col(Dataset.job_id).in_(doomed))).all()
    if datasets and (model := find_model_of(session, datasets, ignored_jobs=doomed)) is not None:
        raise Conflict(f"model {model.id} was made on a data set of this job: delete job {model.job_id} first")
    products = [*session.exec(models).all(), *datasets]
    waiting = find_waiting_job(session, job.owner, products, ignored=doomed) if products else None
    if waiting is not None:
        raise Conflict(f"job {waiting} has not finished and needs a model or data set of this one")
    unfinished = and_(col(Job.id) == job.parent_job_id, col(Job.status).not_in(TERMINAL))
    if session.exec(select(exists().where(unfinished))).one():
        raise Conflict(f"the job is a step of job {job.parent_job_id}, which has not finished")
    succeeded = and_(col(Job.id) == job.parent_job_id, col(Job.status) == JobStatus.SUCCEEDED)
    if session.exec(select(exists().where(succeeded))).one():
        raise Conflict(
            f"the result of job {job.parent_job_id} names this step: delete that job, and its steps go with it"
        )


def list_events(session: Session, job_id: str, after: int = 0, limit: int = 100) -> list[JobEvent]:
    """Events whose `seq` is above `after`, in order. Raises NotFound."""
    get_job(session, job_id)
    query = select(JobEvent).where(col(JobEvent.job_id) == job_id, col(JobEvent.seq) > after)
    return list(session.exec(query.order_by(col(JobEvent.seq)).limit(limit)).all())


def list_metrics(
    session: Session, job_id: str, names: Collection[str] | None = None, max_points: int = 1000
) -> dict[str, list[StoredPoint]]:
    """Name → points in order of step; longer series are thinned evenly, both ends kept.

    An attempt that goes on where an earlier one was killed continues its series; where both measured a step, the later
    attempt counts. names: None for all. Raises NotFound.
    """
    get_job(session, job_id)
    query = select(JobMetric.name, JobMetric.step, JobMetric.value, JobMetric.attempt).where(
        col(JobMetric.job_id) == job_id
    )
    if names is not None:
        query = query.where(col(JobMetric.name).in_(names))
    in_order = query.order_by(col(JobMetric.step), col(JobMetric.attempt), col(JobMetric.id))
    series: dict[str, list[StoredPoint]] = {}
    for name, step, value, attempt in session.exec(in_order).all():
        points = series.setdefault(name, [])
        while points and points[-1].step == step and points[-1].attempt < attempt:
            points.pop()
        points.append(StoredPoint(step, value, attempt))
    return {name: _thin(points, max_points) for name, points in sorted(series.items())}


def _thin(points: list[StoredPoint], max_points: int) -> list[StoredPoint]:
    if len(points) <= max_points:
        return points
    if max_points == 1:
        return points[-1:]
    last = len(points) - 1
    return [points[round(index * last / (max_points - 1))] for index in range(max_points)]
