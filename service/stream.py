"""A job's event log as server-sent events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial

import anyio
import anyio.to_thread

from service.schemas.jobs import EventAnswer, JobAnswer, build_event, build_job
from storage.database import Database
from storage.errors import NotFound
from storage.jobs import get_job, list_events
from storage.tables import TERMINAL

_POLL_INTERVAL_S = 0.25
_KEEP_ALIVE_S = 15.0
_BATCH = 500


def format_event(name: str, data: str, seq: int | None = None) -> bytes:
    """One frame. data: JSON on one line."""
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {name}\ndata: {data}\n\n".encode()


async def follow_events(database: Database, owner: str, job_id: str, after: int) -> AsyncIterator[bytes]:
    """Frames of every event whose seq is above `after`, as they come, and `done` with the job at its end."""
    last_sign = time.monotonic()
    while True:
        try:
            events, job = await anyio.to_thread.run_sync(partial(_read, database, owner, job_id, after))
        except NotFound:  # deleted meanwhile
            return
        for event in events:
            yield format_event(event.type, event.model_dump_json(), event.seq)
            after = event.seq
        if events:
            last_sign = time.monotonic()
            if len(events) == _BATCH:
                continue
        if job.status in TERMINAL:
            yield format_event("done", job.model_dump_json())
            return
        if time.monotonic() - last_sign > _KEEP_ALIVE_S:
            yield b": still here\n\n"
            last_sign = time.monotonic()
        await anyio.sleep(_POLL_INTERVAL_S)


def _read(database: Database, owner: str, job_id: str, after: int) -> tuple[list[EventAnswer], JobAnswer]:
    # One snapshot: an ended job's last event cannot slip in between.
    with database.read(owner) as session:
        job = build_job(get_job(session, job_id))
        return [build_event(event) for event in list_events(session, job_id, after, _BATCH)], job
