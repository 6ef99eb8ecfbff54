"""The durable log of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from storage.tables import JobEvent, utc_now


def add_event(session: Session, job_id: str, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
    """Appends an event. The caller has just written the job's row and so holds its lock: no other event can take
    the same number.
    """
    newest = session.exec(select(func.coalesce(func.max(JobEvent.seq), 0)).where(col(JobEvent.job_id) == job_id)).one()
    session.add(
        JobEvent(job_id=job_id, seq=newest + 1, attempt=attempt, type=str(kind), data=dict(data), created_at=utc_now())
    )
    session.flush()
