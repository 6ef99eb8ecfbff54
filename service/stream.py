"""A job's event log as server-sent events.

A stream reads what is there already by itself. What comes then, one poller reads for all streams of the process: two
statements per round, however many clients listen, and each event is put into words once.

Where the poller cannot read, it looks more and more seldom, and the streams are ended with a last frame that says so:
who listens must not take a broken service for a job in which nothing happens.
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
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from prometheus_client import Gauge
from sqlalchemy.exc import SQLAlchemyError

from service.errors import encode_problem
from service.schemas.jobs import build_event, build_job
from storage.backoff import Backoff
from storage.database import Database
from storage.errors import NotFound
from storage.events import find_newest_seq, list_news
from storage.jobs import find_statuses, get_job, list_events
from storage.tables import TERMINAL, Job, JobEvent

_POLL_INTERVAL_S = 0.2
_KEEP_ALIVE_S = 15.0
_BATCH = 500
_LONGEST_WAIT_S = 5.0
_PATIENCE = 4
"""Rounds in a row that may fail, within some three seconds, before the streams are ended."""
_RECONNECT_MS = 5000

log = logging.getLogger(__name__)


class FeedBroken(Exception):
    """Raised in a stream that the poller can tell nothing more."""


async def tell_failure(frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A job's frames. One more says so where they cannot be read on; a client then comes again, and later."""
    try:
        async for frame in frames:
            yield frame
    except (FeedBroken, SQLAlchemyError, ValueError) as error:  # ValueError: a stored event that is no JSON
        log.info("a stream is ended: %s", type(error).__name__)
        detail = "Events cannot be read at the moment. Come again, with Last-Event-ID."
        problem = encode_problem(status=503, code="events_unavailable", detail=detail, instance="", request_id=None)
        yield format_sse_event(event="unavailable", data_str=problem.decode(), retry=_RECONNECT_MS)


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
    is_broken: bool = False
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
        self._backoff = Backoff(
            log, "read what the open streams wait for", first_s=_POLL_INTERVAL_S, longest_s=_LONGEST_WAIT_S
        )

    async def run(self) -> None:
        """Polls while anybody listens, until it is cancelled."""
        while True:
            await self._has_channels.wait()
            try:
                await self._poll()
            except Exception as error:  # noqa: BLE001 - without its poller every stream would be silent for ever
                wait_s = self._backoff.fail(error)
                if self._backoff.num_failures >= _PATIENCE:
                    self._end_streams()
                await anyio.sleep(wait_s)
            else:
                await anyio.sleep(_POLL_INTERVAL_S)

    async def follow(self, owner: str, job_id: str, after: int) -> AsyncIterator[bytes]:
        """Frames of every event whose seq is above `after`, as they come, and `done` with the job at its end.

        Raises FeedBroken, SQLAlchemyError, ValueError.
        """
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
                    if channel.is_broken:
                        raise FeedBroken
                    with anyio.move_on_after(_KEEP_ALIVE_S) as silence:
                        await bell.wait()
                    if silence.cancelled_caught:
                        yield KEEPALIVE_COMMENT

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
        self._backoff.succeed()
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

    def _end_streams(self) -> None:
        # Out of the table at once: who comes again meanwhile gets a channel that has not failed yet.
        channels, self._channels = self._channels, {}
        self._has_channels = anyio.Event()
        for channel in channels.values():
            channel.is_broken = True
            channel.ring()


def _build_frame(event: JobEvent) -> _Frame:
    data = build_event(event).model_dump_json()
    return _Frame(event.seq, format_sse_event(event=event.type, data_str=data, id=str(event.seq)))


def _build_done(job: Job) -> bytes:
    return format_sse_event(event="done", data_str=build_job(job).model_dump_json())


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
