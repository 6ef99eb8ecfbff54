"""Numbers about all jobs together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Double, func
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from storage.database import is_sqlite
from storage.tables import Job, JobStatus, utc_now


@dataclass(frozen=True)
class JobCount:
    """Jobs of one kind in one status; `total_s` is the time from first start to end of those that have both."""

    kind: str
    status: str
    num_jobs: int
    num_timed: int
    total_s: float


def count_jobs(session: Session) -> list[JobCount]:
    """One entry per kind and status that occur."""
    duration = _seconds(session, col(Job.finished_at)) - _seconds(session, col(Job.started_at))
    total_s = func.coalesce(func.sum(duration), 0.0)
    groups = select(Job.kind, Job.status, func.count(), total_s).group_by(col(Job.kind), col(Job.status))
    timed = select(Job.kind, Job.status, func.count(duration)).group_by(col(Job.kind), col(Job.status))
    num_timed = {(kind, status): count for kind, status, count in session.exec(timed).all()}
    return [
        JobCount(kind, status, num_jobs, num_timed[kind, status], float(total))
        for kind, status, num_jobs, total in session.exec(groups).all()
    ]


def compute_queue_age_s(session: Session) -> float:
    """Seconds that the longest-waiting queued job has waited; 0 with an empty queue."""
    waiting = select(func.min(col(Job.created_at))).where(col(Job.status) == JobStatus.QUEUED)
    oldest: datetime | None = session.exec(waiting).one()
    return 0.0 if oldest is None else max(0.0, (utc_now() - oldest).total_seconds())


def _seconds(session: Session, moment: Mapped[datetime | None]) -> ColumnElement[float]:
    if is_sqlite(session):
        return func.julianday(moment, type_=Double()) * 86400.0
    return func.extract("epoch", moment).cast(Double())
