"""Many streams over one poller."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

import anyio
import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import event

from service import stream
from service.stream import EventFeed, tell_failure
from storage.attempts import Lease, claim_job, finish_succeeded
from storage.database import Database, load_sqlite
from storage.events import add_event, list_news
from storage.files import FileStore
from storage.jobs import delete_job, submit_job
from storage.tables import DEFAULT_OWNER
from tests.service.processes import wait_for

Submit = Callable[[], str]

OWNER = DEFAULT_OWNER
PATIENCE_S = 240.0


@pytest.fixture
def gauge() -> Gauge:
    return Gauge("streams", "Open streams.", registry=CollectorRegistry())


@pytest.fixture
def submit(database: Database) -> Submit:
    """Queues a job and returns its id."""

    def submit() -> str:
        with database.transaction(OWNER) as session:
            job, _ = submit_job(
                session, spec={}, resolved_spec={}, kind="train", name=None, labels={}, model_id=None,
                max_attempts=2, max_runtime_s=60, max_queued=100,
            )  # fmt: skip
        return job.id

    return submit


def write_events(database: Database, job_id: str, number: int) -> None:
    with database.transaction() as session:
        for _ in range(number):
            add_event(session, job_id, 1, "progress", {"percent": 1.0})


def finish(database: Database) -> None:
    """Brings the oldest waiting job to its end."""
    with database.transaction() as session:
        job = claim_job(session, "wrk", 60)
        assert job is not None
        finish_succeeded(
            session, Lease(job.id, job.attempt, "wrk"), result={}, output_model_id=None, artifacts=[], models=[]
        )


async def collect(frames: AsyncIterator[bytes]) -> list[str]:
    return [frame.decode() async for frame in frames]


def read_seqs(frames: Sequence[str]) -> list[int]:
    return [int(line.removeprefix("id: ")) for frame in frames for line in frame.split("\n") if line.startswith("id: ")]


def test_every_stream_of_every_job_gets_every_event_once_and_in_order(
    database: Database, gauge: Gauge, submit: Submit
) -> None:
    jobs = [submit() for _ in range(5)]
    received: dict[tuple[str, int], list[str]] = {}

    async def follow(feed: EventFeed, job_id: str, number: int) -> None:
        # Some come late, some have seen the first event already.
        await anyio.sleep(0.01 * number)
        received[job_id, number] = await collect(feed.follow(OWNER, job_id, after=number % 2))

    async def run() -> None:
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as poller:
                poller.start_soon(feed.run)
                async with anyio.create_task_group() as streams:
                    for job_id in jobs:
                        for number in range(20):
                            streams.start_soon(follow, feed, job_id, number)
                    for _ in range(5):
                        for job_id in jobs:
                            await anyio.to_thread.run_sync(write_events, database, job_id, 3)
                    for _ in jobs:
                        await anyio.to_thread.run_sync(finish, database)
                poller.cancel_scope.cancel()

    anyio.run(run)
    assert len(received) == 100
    # queued, 5 × 3 of progress, started, succeeded.
    for (_, number), frames in received.items():
        assert read_seqs(frames) == list(range(1 + number % 2, 19))
        assert frames[-1].startswith("event: done\n")
        assert json.loads(frames[-1].partition("data: ")[2])["status"] == "succeeded"
    assert gauge._value.get() == 0


def test_a_stream_that_reads_slowly_misses_nothing(
    database: Database, gauge: Gauge, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_BATCH", 10)
    job_id = submit()
    seqs: list[int] = []

    async def run() -> None:
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                async for frame in feed.follow(OWNER, job_id, after=0):
                    seqs.extend(read_seqs([frame.decode()]))
                    # While it dawdles far more is written than the poller keeps for it.
                    if len(seqs) in (1, 15):
                        await anyio.to_thread.run_sync(write_events, database, job_id, 30)
                        await anyio.sleep(1.5 * stream._POLL_INTERVAL_S)
                    if len(seqs) == 61:
                        await anyio.to_thread.run_sync(finish, database)
                tasks.cancel_scope.cancel()

    anyio.run(run)
    assert seqs[0] == 1
    assert len(seqs) == 63
    assert all(later == earlier + 1 for earlier, later in pairwise(seqs))


def test_a_stream_ends_when_its_job_is_deleted(
    database: Database, gauge: Gauge, submit: Submit, files: FileStore
) -> None:
    job_id = submit()

    async def end_and_delete() -> None:
        await anyio.sleep(2 * stream._POLL_INTERVAL_S)
        # Both between two rounds of the poller, at times: the end is then never seen.
        await anyio.to_thread.run_sync(finish, database)
        await anyio.to_thread.run_sync(delete_job, database, files, job_id)

    async def run() -> None:
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                tasks.start_soon(end_and_delete)
                await collect(feed.follow(OWNER, job_id, after=0))
                tasks.cancel_scope.cancel()

    anyio.run(run)


async def follow_again(feed: EventFeed, job_id: str, frames: list[str]) -> None:
    """As a client that comes again, with the last event's id, until it has the end of its job."""
    while not (frames and frames[-1].startswith("event: done\n")):
        after = max(read_seqs(frames), default=0)
        async for frame in tell_failure(feed.follow(OWNER, job_id, after)):
            frames.append(frame.decode())  # noqa: PERF401 - at once: others look at what has come so far


def list_records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == stream.__name__ and record.levelno > logging.INFO]


def count_ends(frames: Sequence[str]) -> int:
    """How often the client was told that events cannot be read on; each time as a problem of the server's."""
    ends = [frame for frame in frames if "event: unavailable\n" in frame]
    for end in ends:
        fields = dict(line.split(": ", 1) for line in end.strip().split("\n"))
        problem = json.loads(fields["data"])
        assert (problem["status"], problem["code"]) == (503, "events_unavailable")
        assert int(fields["retry"]) >= 1000
    return len(ends)


@pytest.mark.slow
def test_a_failure_that_lasts_ends_the_streams_and_is_seldom_logged(
    database: Database, gauge: Gauge, submit: Submit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "_POLL_INTERVAL_S", 0.005)
    monkeypatch.setattr(stream, "_LONGEST_WAIT_S", 0.01)
    jobs = [submit() for _ in range(3)]
    received: list[list[str]] = [[] for _ in jobs]
    num_rounds = 0
    is_broken = False

    def spoil(*call: Any) -> tuple[str, Any]:
        # What SQLite lacks, as PostgreSQL lacked json_each_text(varchar): the poller's statement fails, no other does.
        nonlocal num_rounds
        statement, parameters = call[2], call[3]
        if is_broken and "json_each" in statement:
            num_rounds += 1
            return statement.replace("json_each", "json_each_that_is_not_there"), parameters
        return statement, parameters

    event.listen(database.engine, "before_cursor_execute", spoil, retval=True)

    async def run() -> None:
        nonlocal is_broken
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as poller:
                poller.start_soon(feed.run)
                async with anyio.create_task_group() as streams:
                    for job_id, frames in zip(jobs, received, strict=True):
                        streams.start_soon(follow_again, feed, job_id, frames)
                    is_broken = True
                    await anyio.to_thread.run_sync(wait_for, lambda: num_rounds >= 100)
                    is_broken = False
                    for _ in jobs:
                        await anyio.to_thread.run_sync(finish, database)
                poller.cancel_scope.cancel()

    anyio.run(run)
    records = list_records(caplog)
    # One for each doubling of the rounds, one for the end; one of them has a traceback.
    assert 2 <= len(records) <= math.log2(num_rounds) + 2
    assert sum(record.exc_info is not None for record in records) == 1
    for frames in received:
        assert count_ends(frames) > 0
        assert read_seqs(frames) == [1, 2, 3]
    assert gauge._value.get() == 0


def test_a_table_that_is_gone_ends_the_open_streams_and_those_that_come(
    database: Database, gauge: Gauge, submit: Submit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "_POLL_INTERVAL_S", 0.005)
    job_id = submit()
    frames: list[str] = []

    def rename(old: str, new: str) -> None:
        with closing(load_sqlite().connect(str(database.engine.url.database), timeout=PATIENCE_S)) as other:
            other.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async def run() -> None:
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run)
                async for frame in tell_failure(feed.follow(OWNER, job_id, after=0)):
                    if not frames:
                        await anyio.to_thread.run_sync(rename, "jobevent", "jobevent_away")
                    frames.append(frame.decode())
                for _ in range(20):
                    frames.extend(await collect(tell_failure(feed.follow(OWNER, job_id, after=1))))
                await anyio.to_thread.run_sync(rename, "jobevent_away", "jobevent")
                await anyio.to_thread.run_sync(finish, database)
                await follow_again(feed, job_id, frames)
                tasks.cancel_scope.cancel()

    anyio.run(run)
    assert count_ends(frames) >= 21
    assert len(list_records(caplog)) <= 4
    assert read_seqs(frames) == [1, 2, 3]
    assert gauge._value.get() == 0


def test_an_event_that_cannot_be_read_silences_the_other_streams_no_longer_than_it_is_there(
    database: Database, gauge: Gauge, submit: Submit, caplog: pytest.LogCaptureFixture
) -> None:
    job_id, spoiled_id = submit(), submit()
    received: list[str] = []
    spoiled: list[str] = []

    def change(statement: str) -> None:
        with database.transaction() as session:
            session.connection().exec_driver_sql(statement, (spoiled_id,))

    async def run() -> None:
        feed = EventFeed(database, gauge)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as poller:
                poller.start_soon(feed.run)
                async with anyio.create_task_group() as streams:
                    streams.start_soon(follow_again, feed, spoiled_id, spoiled)
                    streams.start_soon(follow_again, feed, job_id, received)
                    await anyio.to_thread.run_sync(wait_for, lambda: bool(received and spoiled))
                    await anyio.sleep(2 * stream._POLL_INTERVAL_S)
                    await anyio.to_thread.run_sync(
                        change, "INSERT INTO jobevent SELECT job_id, 2, 0, type, '{', created_at FROM jobevent "
                        "WHERE job_id = ?"
                    )  # fmt: skip
                    await anyio.to_thread.run_sync(wait_for, lambda: bool(list_records(caplog) or count_ends(spoiled)))
                    await anyio.to_thread.run_sync(change, "DELETE FROM jobevent WHERE seq = 2 AND job_id = ?")
                    for _ in range(2):
                        await anyio.to_thread.run_sync(finish, database)
                poller.cancel_scope.cancel()

    anyio.run(run)
    for frames in (received, spoiled):
        count_ends(frames)
        assert read_seqs(frames) == [1, 2, 3]
    assert gauge._value.get() == 0


def test_a_round_of_the_poller_takes_as_many_statements_for_fifty_jobs_as_for_one(
    database: Database, submit: Submit
) -> None:
    jobs = [submit() for _ in range(50)]
    stream._read_news(database, {jobs[0]: 0})  # the pooled connection, a writer's so far, is a reader's from here on
    statements: list[str] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_rest: statements.append(statement)
    )
    counts = []
    for positions in ({jobs[0]: 0}, dict.fromkeys(jobs, 0)):
        statements.clear()
        news = stream._read_news(database, positions)
        assert len(news.frames) == len(positions)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_news_are_the_events_behind_each_jobs_own_position(database: Database, submit: Submit) -> None:
    first, second, third = (submit() for _ in range(3))
    write_events(database, first, 4)
    write_events(database, second, 2)
    write_events(database, third, 1)
    with database.read() as session:
        news = [(row.job_id, row.seq) for row in list_news(session, {first: 3, second: 0})]
    assert sorted(news) == sorted([(first, 4), (first, 5), (second, 1), (second, 2), (second, 3)])
