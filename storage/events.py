"""The durable log of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, Integer, String, bindparam, cast, func, insert, literal
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from storage.database import is_sqlite
from storage.tables import JobEvent, UtcDateTime, utc_now

# One statement that finds the number and takes it; prepared once, because it is run at every step of every job.
_APPEND = insert(JobEvent).from_select(
    ["job_id", "seq", "attempt", "type", "data", "created_at"],
    select_columns(
        bindparam("job_id", type_=String),
        func.coalesce(func.max(JobEvent.seq), 0) + 1,
        bindparam("attempt", type_=Integer),
        bindparam("type", type_=String),
        bindparam("data", type_=JSON),
        bindparam("created_at", type_=UtcDateTime),
    ).where(col(JobEvent.job_id) == bindparam("job_id", type_=String)),
)


def find_newest_seq(session: Session, job_id: str) -> int:
    """`seq` of the job's last event; 0 without any."""
    return session.exec(select(func.coalesce(func.max(JobEvent.seq), 0)).where(col(JobEvent.job_id) == job_id)).one()


def add_event(session: Session, job_id: str, attempt: int, kind: str, data: Mapping[str, Any]) -> None:
    """Appends an event. The caller has just written the job's row and so holds its lock: no other event can take
    the same number.
    """
    session.flush()
    session.connection().execute(
        _APPEND, {"job_id": job_id, "attempt": attempt, "type": str(kind), "data": dict(data), "created_at": utc_now()}
    )


def list_news(session: Session, positions: Mapping[str, int]) -> list[JobEvent]:
    """Events of several jobs in one statement, each job's in order. positions: job id → the `seq` known already."""
    # One JSON parameter: the statement stays the same for any number of jobs, so that it is compiled once.
    each = func.json_each if is_sqlite(session) else func.json_each_text
    known = each(literal(json.dumps(positions), String)).table_valued("key", "value", name="known")
    is_new = (col(JobEvent.job_id) == known.c.key) & (col(JobEvent.seq) > cast(known.c.value, Integer))
    query = select(JobEvent).join_from(known, JobEvent, is_new)
    return list(session.exec(query.order_by(col(JobEvent.job_id), col(JobEvent.seq))).all())
