"""A job's event log as server-sent events.

A stream reads what is there already by itself. What comes then, one poller reads for all streams of the process: two
statements per round, however many clients listen, and each event is put into words once.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.to_thread
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from service.schemas.jobs import build_event, build_job
from storage.database import Database
from storage.errors import NotFound
from storage.events import find_newest_seq, list_news
from storage.jobs import find_statuses, get_job, list_events
from storage.tables import TERMINAL, Job, JobEvent

_POLL_INTERVAL_S = 0.2
_KEEP_ALIVE_S = 15.0
_BATCH = 500

log = logging.getLogger(__name__)


def format_event(name: str, data: str, seq: int | None = None) -> bytes:
    """One frame. data: JSON on one line."""
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {name}\ndata: {data}\n\n".encode()


@dataclass(frozen=True)
class _Frame:
    seq: int
    content: bytes


@dataclass(frozen=True)
class _History:
    """What a stream reads by itself. newest_seq: of the whole log. done: the last frame of a job that has ended."""

    frames: list[_Frame]
    newest_seq: int
    done: bytes | None


@dataclass(frozen=True)
class _News:
    """What one round of the poller found. gone: ids of jobs that were deleted."""

    frames: list[tuple[str, _Frame]]
    done: Mapping[str, bytes]
    gone: frozenset[str]


@dataclass
class _Channel:
    """What the streams of one job share: its latest frames, and the bell that rings for more."""

    newest_seq: int | None = None
    """As far as the poller has read; None until the first stream has found out where to begin."""
    frames: deque[_Frame] = field(default_factory=partial(deque, maxlen=_BATCH))
    done: bytes | None = None
    is_gone: bool = False
    num_streams: int = 0
    bell: anyio.Event = field(default_factory=anyio.Event)

    def find_frames(self, after: int) -> list[_Frame] | None:
        """Those behind `after`; None where a slow stream has missed some, which it must read by itself."""
        oldest = self.frames[0].seq if self.frames else (self.newest_seq or 0) + 1
        if after + 1 < oldest:
            return None
        return [frame for frame in self.frames if frame.seq > after]

    def ring(self) -> None:
        """Wakes every stream that waits."""
        self.bell.set()
        self.bell = anyio.Event()


class EventFeed:
    """The open streams of a process. `run` must be running while there are any."""

    def __init__(self, database: Database, open_streams: Gauge) -> None:
        self._database = database
        self._open_streams = open_streams
        self._channels: dict[str, _Channel] = {}
        self._has_channels = anyio.Event()

    async def run(self) -> None:
        """Polls while anybody listens, until it is cancelled."""
        while True:
            await self._has_channels.wait()
            try:
                await self._poll()
            except SQLAlchemyError:
                log.warning("the database does not answer; the open streams wait", exc_info=True)
            except Exception:
                # A row that cannot be read, say: without its poller every stream would be silent for ever.
                log.exception("the open streams wait")
            await anyio.sleep(_POLL_INTERVAL_S)

    async def follow(self, owner: str, job_id: str, after: int) -> AsyncIterator[bytes]:
        """Frames of every event whose seq is above `after`, as they come, and `done` with the job at its end."""
        with self._join(job_id) as channel:
            while True:
                try:
                    history = await anyio.to_thread.run_sync(partial(_read, self._database, owner, job_id, after))
                except NotFound:  # deleted meanwhile
                    return
                for frame in history.frames:
                    yield frame.content
                    after = frame.seq
                if len(history.frames) == _BATCH:
                    continue
                if history.done is not None:
                    yield history.done
                    return
                if channel.newest_seq is None:
                    channel.newest_seq = history.newest_seq
                while (frames := channel.find_frames(after)) is not None:
                    # Taken before anything is sent: who rings meanwhile is heard.
                    bell, done, is_gone = channel.bell, channel.done, channel.is_gone
                    for frame in frames:
                        if frame.seq > after:
                            yield frame.content
                            after = frame.seq
                    if done is not None:
                        yield done
                    if done is not None or is_gone:
                        return
                    with anyio.move_on_after(_KEEP_ALIVE_S) as silence:
                        await bell.wait()
                    if silence.cancelled_caught:
                        yield b": still here\n\n"

    @contextmanager
    def _join(self, job_id: str) -> Iterator[_Channel]:
        channel = self._channels.setdefault(job_id, _Channel())
        channel.num_streams += 1
        self._open_streams.inc()
        self._has_channels.set()
        try:
            yield channel
        finally:
            self._open_streams.dec()
            channel.num_streams -= 1
            if channel.num_streams == 0 and self._channels.get(job_id) is channel:
                del self._channels[job_id]
                if not self._channels:
                    self._has_channels = anyio.Event()

    async def _poll(self) -> None:
        positions = {
            job_id: channel.newest_seq for job_id, channel in self._channels.items() if channel.newest_seq is not None
        }
        if not positions:
            return
        news = await anyio.to_thread.run_sync(partial(_read_news, self._database, positions))
        touched = {job_id for job_id, _ in news.frames} | news.done.keys() | news.gone
        for job_id, frame in news.frames:
            if (channel := self._channels.get(job_id)) is not None:
                channel.frames.append(frame)
                channel.newest_seq = frame.seq
        for job_id in touched:
            if (channel := self._channels.get(job_id)) is not None:
                channel.done = news.done.get(job_id)
                channel.is_gone = job_id in news.gone
                channel.ring()


def _build_frame(event: JobEvent) -> _Frame:
    return _Frame(event.seq, format_event(event.type, build_event(event).model_dump_json(), event.seq))


def _build_done(job: Job) -> bytes:
    return format_event("done", build_job(job).model_dump_json())


def _read(database: Database, owner: str, job_id: str, after: int) -> _History:
    # One snapshot: an ended job's last event cannot slip in between.
    with database.read(owner) as session:
        job = get_job(session, job_id)
        frames = [_build_frame(event) for event in list_events(session, job_id, after, _BATCH)]
        done = _build_done(job) if job.status in TERMINAL else None
        return _History(frames, find_newest_seq(session, job_id), done)


def _read_news(database: Database, positions: Mapping[str, int]) -> _News:
    with database.read() as session:
        statuses = find_statuses(session, positions)
        frames = [(event.job_id, _build_frame(event)) for event in list_news(session, positions)]
        ended = [job_id for job_id, status in statuses.items() if status in TERMINAL]
        done = {job_id: _build_done(get_job(session, job_id)) for job_id in ended}
        return _News(frames, done, frozenset(positions.keys() - statuses.keys()))
