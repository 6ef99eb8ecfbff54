"""Numbers about all jobs together, read from what triggers keep up to date: as fast for a million jobs as for ten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, func
from sqlmodel import Session, col, select

from storage.owners import find_owner
from storage.tables import DurationTally, Job, JobStatus, Tally, utc_now

DURATION_BOUNDS_S = ("1.0", "5.0", "15.0", "60.0", "300.0", "900.0", "1800.0", "3600.0", "7200.0", "21600.0",
                     "86400.0", "+Inf")  # fmt: skip
"""Upper bounds of the ranges that durations are counted in; the triggers know the same."""


_COUNT_QUEUED = select(func.coalesce(func.sum(col(Tally.value)), 0)).where(
    col(Tally.name) == "jobs", col(Tally.owner) == bindparam("owner"), col(Tally.status) == JobStatus.QUEUED
)


@dataclass
class Durations:
    """Jobs of one kind and ending: how many ended within each range, and seconds from first start to end in all."""

    num_jobs: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DURATION_BOUNDS_S, 0))
    total_s: float = 0.0


@dataclass(frozen=True)
class ServiceStatistics:
    """Everything at one moment. Keys: kind and status, kind, or kind and reason."""

    num_jobs: Mapping[tuple[str, str], int]
    num_attempts: Mapping[str, int]
    num_requeues: Mapping[tuple[str, str], int]
    durations: Mapping[tuple[str, str], Durations]
    stored_bytes: int
    queue_age_s: float


def read_statistics(session: Session) -> ServiceStatistics:
    """Of all owners together."""
    by_name: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    sums = select(Tally.name, Tally.kind, Tally.status, func.sum(col(Tally.value)))
    for name, kind, status, value in session.exec(sums.group_by(Tally.name, Tally.kind, Tally.status)).all():
        by_name[name][kind, status] = int(value)
    durations: dict[tuple[str, str], Durations] = defaultdict(Durations)
    for row in session.exec(select(DurationTally)).all():
        entry = durations[row.kind, row.status]
        entry.num_jobs[row.upper_bound_s] = row.num_jobs
        entry.total_s += row.total_s
    return ServiceStatistics(
        num_jobs=by_name["jobs"],
        num_attempts={kind: value for (kind, _), value in by_name["attempts"].items()},
        num_requeues=by_name["requeues"],
        durations=durations,
        stored_bytes=sum(by_name["stored_bytes"].values()),
        queue_age_s=_compute_queue_age_s(session),
    )


def count_jobs(session: Session, kinds: Collection[str] | None = None) -> dict[JobStatus, int]:
    """Number of jobs in each status that the session sees, zeros included; of all kinds, or of these."""
    query = select(Tally.status, func.sum(col(Tally.value))).where(col(Tally.name) == "jobs")
    if (owner := find_owner(session)) is not None:
        query = query.where(col(Tally.owner) == owner)
    if kinds is not None:
        query = query.where(col(Tally.kind).in_(kinds))
    counted = session.exec(query.group_by(Tally.status)).all()
    return dict.fromkeys(JobStatus, 0) | {JobStatus(status): int(value) for status, value in counted}


def count_queued(session: Session, owner: str) -> int:
    """Number of jobs of this owner that wait."""
    return int(session.connection().execute(_COUNT_QUEUED, {"owner": owner}).scalar_one())


def _compute_queue_age_s(session: Session) -> float:
    """Seconds that the longest-waiting queued job has waited; 0 with an empty queue."""
    waiting = select(func.min(col(Job.created_at))).where(col(Job.status) == JobStatus.QUEUED)
    oldest: datetime | None = session.exec(waiting).one()
    return 0.0 if oldest is None else max(0.0, (utc_now() - oldest).total_seconds())
