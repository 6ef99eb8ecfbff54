"""Which workers live: one row each, written again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, or_, update
from sqlmodel import Session, col, select

from storage.database import clock
from storage.tables import WorkerNode


def record_heartbeat(
    session: Session, *, worker_id: str, pid: int, host: str, slots: int, info: Mapping[str, Any]
) -> None:
    """Writes the worker's row, with the database's present moment."""
    now = clock(session)
    beat = update(WorkerNode).where(col(WorkerNode.id) == worker_id).values(heartbeat_at=now, info=dict(info))
    if session.exec(beat).rowcount == 0:
        moment = session.exec(select(now)).one()
        session.add(WorkerNode(id=worker_id, pid=pid, host=host, slots=slots, info=dict(info), heartbeat_at=moment))


def list_live_workers(session: Session, max_silence_s: float) -> list[WorkerNode]:
    """Workers heard of within the last `max_silence_s` seconds by the database's clock."""
    now, heard = clock(session), col(WorkerNode.heartbeat_at)
    # A heartbeat that lies ahead was written before the clock was set back: of the present it says nothing.
    query = select(WorkerNode).where(heard >= now - max_silence_s, heard <= now + max_silence_s)
    return list(session.exec(query.order_by(col(WorkerNode.id))).all())


def remove_worker(session: Session, worker_id: str) -> None:
    """A worker that stops in good order takes its row along."""
    session.exec(delete(WorkerNode).where(col(WorkerNode.id) == worker_id))


def remove_silent_workers(session: Session, max_silence_s: float) -> None:
    """Forgets workers not heard of for `max_silence_s` seconds, and those that the future has heard of."""
    now, heard = clock(session), col(WorkerNode.heartbeat_at)
    session.exec(delete(WorkerNode).where(or_(heard < now - max_silence_s, heard > now + max_silence_s)))
