"""What a worker does to a job: one function per transition.

Each transition is one guarded UPDATE, with its event row in the same transaction. Every write names its `Lease` in
the WHERE; no row changed means that another attempt has taken over, and raises `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_, update
from sqlmodel import Session, col, select

from storage.database import clock
from storage.errors import LeaseLost
from storage.events import add_event
from storage.ids import new_id
from storage.jobs import MetricPoint, get_job
from storage.losses import LONGEST_WAIT_S, MAX_LOST_WORKERS, wait_after_loss
from storage.steps import announce_start, conclude, find_unfinished, list_children, reflect_progress
from storage.tables import TERMINAL, Artifact, Dataset, Job, JobMetric, JobStatus, Model, utc_now

_MAX_WARNINGS = 100
_ACTIVE = (JobStatus.RUNNING, JobStatus.CANCELLING)


@dataclass(frozen=True)
class Lease:
    """One attempt's right to write: the job, the attempt (the fencing token) and the worker that holds it."""

    job_id: str
    attempt: int
    holder: str


@dataclass(frozen=True)
class PlannedStep:
    """A child job that a run asks for. name: within its parent; expected_s: what it may cost, for the progress bar."""

    name: str
    resolved_spec: Mapping[str, Any]
    step_hash: str
    expected_s: float


@dataclass(frozen=True)
class KindChoice:
    """Which kinds of jobs: these, or where they are excluded all others."""

    kinds: Collection[str] = ()
    is_excluded: bool = True

    def matches(self) -> ColumnElement[bool]:
        """As a condition on the job's row."""
        kind = col(Job.kind)
        return kind.not_in(self.kinds) if self.is_excluded else kind.in_(self.kinds)


ANY_KIND = KindChoice()


def _is_claimable(session: Session, choice: KindChoice) -> ColumnElement[bool]:
    moment, now = col(Job.claimable_at), clock(session)
    # Further ahead than any wait is long: the clock was set back meanwhile.
    has_waited = or_(moment.is_(None), moment <= now, moment > now + LONGEST_WAIT_S)
    return and_(col(Job.status) == JobStatus.QUEUED, choice.matches(), has_waited)


def claim_job(session: Session, holder: str, ttl: float, choice: KindChoice = ANY_KIND) -> Job | None:
    """Takes the oldest queued job of the chosen kinds for `ttl` seconds, or None. The start's number is the fence."""
    oldest = (
        select(Job.id)
        .where(_is_claimable(session, choice))
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
            claimable_at=None,
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
    add_event(session, job.id, job.attempt, "started", {"counted_attempt": job.counted_attempt})
    announce_start(session, job)
    return job


def has_queued(session: Session, choice: KindChoice = ANY_KIND) -> bool:
    """Whether a job waits: a look that takes no lock, before `claim_job` takes one."""
    return session.exec(select(exists().where(_is_claimable(session, choice)))).one()


def list_cancelling(session: Session, holder: str) -> list[str]:
    """Ids of the jobs that this worker holds and that were asked to stop."""
    query = select(Job.id).where(col(Job.status) == JobStatus.CANCELLING, col(Job.lease_holder) == holder)
    return list(session.exec(query).all())


def renew_lease(session: Session, lease: Lease, ttl: float) -> None:
    """Keeps the job for `ttl` seconds more. Raises LeaseLost."""
    _write_held(session, lease, lease_expires_at=clock(session) + ttl)


def record_progress(
    session: Session,
    lease: Lease,
    *,
    progress: Mapping[str, Any],
    phase: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, Sequence[MetricPoint]] | None = None,
    log: bool = True,
) -> None:
    """Replaces the job's progress and appends metric points.

    progress: the whole JSON object. log: also append a `progress` event. Raises LeaseLost.
    """
    _write_held(session, lease, progress=dict(progress), phase=phase, updated_at=utc_now())
    points = [(name, point) for name, series in (metrics or {}).items() for point in series]
    data = {**progress, "phase": phase}
    if message is not None:
        data["message"] = message
    if points:
        data["metrics"] = {name: point.value for name, point in points}
    if log:
        add_event(session, lease.job_id, lease.attempt, "progress", data)
    reflect_progress(session, lease.job_id, data if log else None)
    now = utc_now()
    for name, point in points:
        row = JobMetric(job_id=lease.job_id, attempt=lease.attempt, name=name, step=point.step, created_at=now)
        row.value = point.value
        session.add(row)


def add_warning(session: Session, lease: Lease, message: str, data: Mapping[str, Any] | None = None) -> None:
    """Appends to the job's warnings, once per wording. data: for programs, in its event. Raises LeaseLost."""
    _write_held(session, lease, updated_at=utc_now())  # guards, and locks the row for the read that follows
    job = get_job(session, lease.job_id)
    if message in job.warnings or len(job.warnings) >= _MAX_WARNINGS:
        return
    session.exec(update(Job).where(col(Job.id) == lease.job_id).values(warnings=[*job.warnings, message]))
    add_event(session, lease.job_id, lease.attempt, "warning", {"message": message, **(data or {})})


def finish_succeeded(
    session: Session,
    lease: Lease,
    *,
    result: Mapping[str, Any],
    output_model_id: str | None,
    artifacts: Sequence[Artifact],
    models: Sequence[Model],
    datasets: Sequence[Dataset] = (),
) -> None:
    """The job has succeeded; with it appears everything the attempt made. Raises LeaseLost."""
    _finish(session, lease, JobStatus.SUCCEEDED, artifacts, result=dict(result), output_model_id=output_model_id)
    owner = get_job(session, lease.job_id).owner
    for product in (*models, *datasets):
        product.owner = owner
        session.add(product)


def finish_failed(
    session: Session, lease: Lease, *, error: Mapping[str, Any], artifacts: Sequence[Artifact] = ()
) -> None:
    """The job has failed for good. error: {code, title, detail, retryable}. Raises LeaseLost."""
    _finish(session, lease, JobStatus.FAILED, artifacts, error=dict(error))


def finish_cancelled(session: Session, lease: Lease, *, artifacts: Sequence[Artifact] = ()) -> None:
    """The job has stopped because it was asked to. Raises LeaseLost."""
    _finish(session, lease, JobStatus.CANCELLED, artifacts)


def retry_or_fail(
    session: Session, lease: Lease, *, error: Mapping[str, Any], artifacts: Sequence[Artifact] = ()
) -> JobStatus:
    """After a crash of the job's own process, which is held against it: queued while attempts are left, else failed.

    Cancelled if that was asked. artifacts: the attempt's log, kept either way. Raises LeaseLost.
    """
    _write_held(session, lease, failed_attempts=Job.failed_attempts + 1, updated_at=utc_now())
    job = get_job(session, lease.job_id)
    is_last = job.failed_attempts >= job.max_attempts
    return _try_again(session, lease, error, artifacts, is_last=is_last, is_counted=True)


def requeue_lost(
    session: Session, lease: Lease, *, error: Mapping[str, Any], artifacts: Sequence[Artifact] = ()
) -> JobStatus:
    """After the loss of a worker, which is no fault of the job's: queued, and failed after MAX_LOST_WORKERS of them.

    Cancelled if that was asked. artifacts: the attempt's log, kept either way. Raises LeaseLost.
    """
    _write_held(session, lease, lost_workers=Job.lost_workers + 1, updated_at=utc_now())
    is_last = get_job(session, lease.job_id).lost_workers >= MAX_LOST_WORKERS
    return _try_again(session, lease, error, artifacts, is_last=is_last, is_counted=False)


def _try_again(
    session: Session,
    lease: Lease,
    error: Mapping[str, Any],
    artifacts: Sequence[Artifact],
    *,
    is_last: bool,
    is_counted: bool,
) -> JobStatus:
    job = get_job(session, lease.job_id)
    if job.cancel_requested:
        finish_cancelled(session, lease, artifacts=artifacts)
        return JobStatus.CANCELLED
    if is_last:
        finish_failed(session, lease, error=error, artifacts=artifacts)
        return JobStatus.FAILED
    wait_s = 0.0 if is_counted else wait_after_loss(job.lost_workers)
    _requeue(session, lease, {"reason": error["code"], "is_counted": is_counted}, wait_s=wait_s)
    session.add_all(artifacts)
    return JobStatus.QUEUED


def release_job(session: Session, lease: Lease, *, artifacts: Sequence[Artifact] = ()) -> JobStatus:
    """A worker that stops in good order gives its job back: cancelled if that was asked, else queued.

    It costs the job none of its attempts. Raises LeaseLost.
    """
    if _write_held(session, lease, updated_at=utc_now()):
        finish_cancelled(session, lease, artifacts=artifacts)
        return JobStatus.CANCELLED
    _requeue(session, lease, {"reason": "worker_stopped", "is_counted": False})
    session.add_all(artifacts)
    return JobStatus.QUEUED


def suspend_job(
    session: Session, lease: Lease, *, steps: Sequence[PlannedStep], done_s: float, later_s: float
) -> JobStatus:
    """The attempt ends to wait for its steps; those that do not exist yet are queued with it as their parent.

    A step that another job of the owner's has queued or runs already is waited for and not repeated. done_s, later_s:
    what the steps before and after these are expected to cost. Waiting costs the job none of its attempts. Returns the
    job's status: `running` while it waits, `queued` where the steps have ended meanwhile, `cancelled` where that was
    asked. Raises LeaseLost.
    """
    if _write_held(session, lease, updated_at=utc_now()):
        finish_cancelled(session, lease)
        return JobStatus.CANCELLED
    parent = get_job(session, lease.job_id)
    children = {child.step_hash: child for child in list_children(session, lease.job_id)}
    for step in steps:
        if step.step_hash not in children:
            children[step.step_hash] = find_unfinished(session, parent, step.step_hash) or _queue_step(
                session, parent, step
            )
    if all(children[step.step_hash].status in TERMINAL for step in steps):
        _requeue(session, lease, {"reason": "steps_ended", "is_counted": False})
        return JobStatus.QUEUED
    waits_for = {
        "done_s": done_s,
        "later_s": later_s,
        "steps": {children[step.step_hash].id: {"name": step.name, "expected_s": step.expected_s} for step in steps},
    }
    _write_held(
        session,
        lease,
        lease_holder=None,
        lease_expires_at=None,
        waits_for=waits_for,
        phase=f"waiting for {', '.join(step.name for step in steps)}",
        updated_at=utc_now(),
    )
    names = {step.name: children[step.step_hash].id for step in steps}
    add_event(session, lease.job_id, lease.attempt, "waiting", {"steps": names})
    return JobStatus.RUNNING


def _queue_step(session: Session, parent: Job, step: PlannedStep) -> Job:
    # Not held up by a full queue: its parent was accepted with all that it entails.
    spec = step.resolved_spec
    now = utc_now()
    job = Job(
        id=new_id("job"),
        owner=parent.owner,
        kind=spec["kind"],
        name=spec["name"],
        labels=dict(spec["labels"]),
        spec=dict(spec),
        resolved_spec=dict(spec),
        model_id=spec.get("model_id"),
        parent_job_id=parent.id,
        step_hash=step.step_hash,
        max_attempts=spec["max_attempts"],
        max_runtime_s=spec["max_runtime_s"],
        created_at=now,
        updated_at=now,
        request_id=parent.request_id,
    )
    session.add(job)
    session.flush()
    add_event(session, job.id, 0, "queued", {} if job.request_id is None else {"request_id": job.request_id})
    return job


def list_leases(session: Session) -> dict[Lease, float]:
    """Every lease that is held, and its stamp, which changes with each renewal."""
    columns = select(Job.id, Job.attempt, Job.lease_holder, Job.lease_expires_at)
    query = columns.where(col(Job.status).in_(_ACTIVE), col(Job.lease_holder).is_not(None))
    return {
        Lease(job_id, attempt, str(holder)): float(stamp or 0)
        for job_id, attempt, holder, stamp in session.exec(query).all()
    }


def requeue_silent(session: Session, lease: Lease, stamp: float) -> JobStatus | None:
    """Ends an attempt whose holder has fallen silent: `requeue_lost`.

    Returns the status that the job has now, or None where the lease was renewed or lost meanwhile.
    """
    unchanged = select(Job.id).where(col(Job.id) == lease.job_id, col(Job.lease_expires_at) == stamp)
    if session.exec(unchanged.with_for_update(skip_locked=True)).first() is None:
        return None
    error = {
        "code": "worker_lost",
        "title": "The worker was lost",
        "detail": f"the worker fell silent, as {MAX_LOST_WORKERS - 1} before it did under this job",
        "retryable": True,
    }
    try:
        return requeue_lost(session, lease, error=error)
    except LeaseLost:
        return None


def _requeue(session: Session, lease: Lease, data: Mapping[str, Any], *, wait_s: float = 0.0) -> None:
    _write_held(
        session,
        lease,
        status=JobStatus.QUEUED,
        claimable_at=clock(session) + wait_s if wait_s else None,
        lease_holder=None,
        lease_expires_at=None,
        phase=None,
        updated_at=utc_now(),
    )
    add_event(session, lease.job_id, lease.attempt, "requeued", data)


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
    add_event(session, lease.job_id, lease.attempt, status, {} if error is None else {"error": error})
    session.flush()
    conclude(session, lease.job_id)


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
