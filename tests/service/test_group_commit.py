"""Submissions that come at the same time share a commit, and nothing else."""

from __future__ import annotations

import asyncio
import io
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, col, select

from service.group_commit import GroupCommit, Write
from storage import database as storage_database
from storage.database import Database, load_sqlite
from storage.disk_quota import Room
from storage.errors import Conflict, DiskFull, IdempotencyMismatch, QueueFull
from storage.files import FileStore
from storage.jobs import submit_job
from storage.logs import TextFormatter, bind_log_fields
from storage.settings import Settings
from storage.tables import Job, JobEvent

Answer = tuple[Job, bool] | Exception


@pytest.fixture
def group_commit(database: Database, files: FileStore) -> GroupCommit:
    return GroupCommit(database, files.room)


@pytest.fixture
def commits(database: Database) -> Iterator[list[None]]:
    """One entry for each commit."""
    found: list[None] = []

    def note(_connection: object) -> None:
        found.append(None)

    event.listen(database.engine, "commit", note)
    yield found
    event.remove(database.engine, "commit", note)


def build_write(name: str, max_queued: int = 100, idempotency: tuple[str, str] | None = None) -> Write:
    def write(session: Session) -> tuple[Job, bool]:
        return submit_job(
            session, spec={}, resolved_spec={}, kind="train", name=name, labels={}, model_id=None, max_attempts=2,
            max_runtime_s=60, max_queued=max_queued, idempotency=idempotency,
        )  # fmt: skip

    return write


def submit_behind(group_commit: GroupCommit, *others: Write, owners: Sequence[str] = ()) -> list[Answer]:
    """What becomes of `others`, which come while the transaction of a first submission is open."""
    reached, go_on = threading.Event(), threading.Event()
    answers: dict[int, Answer] = {}

    def hold(session: Session) -> tuple[Job, bool]:
        reached.set()
        go_on.wait()
        return build_write("first")(session)

    async def submit(number: int, owner: str, write: Write) -> None:
        try:
            answers[number] = await group_commit.submit(owner, write)
        except Exception as error:  # noqa: BLE001 - it is what the test asks about
            answers[number] = error

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit, -1, "local", hold)
            await anyio.to_thread.run_sync(reached.wait)
            for number, write in enumerate(others):
                tasks.start_soon(submit, number, owners[number] if owners else "local", write)
            await anyio.wait_all_tasks_blocked()
            go_on.set()

    anyio.run(run)
    assert not isinstance(answers.pop(-1), Exception)
    return [answers[number] for number in sorted(answers)]


def list_names(database: Database) -> list[str | None]:
    with database.read() as session:
        return list(session.exec(select(Job.name).order_by(col(Job.id))).all())


def test_who_comes_during_a_commit_shares_the_next_one_and_gets_the_job_asked_for(
    group_commit: GroupCommit, database: Database, commits: list[None]
) -> None:
    answers = submit_behind(group_commit, *(build_write(f"job {number}") for number in range(10)))
    for number, answer in enumerate(answers):
        assert isinstance(answer, tuple)
        job, is_new = answer
        assert (job.name, is_new) == (f"job {number}", True)
    assert len(commits) == 2
    assert list_names(database) == ["first", *(f"job {number}" for number in range(10))]
    with database.read() as session:
        assert len(session.exec(select(JobEvent)).all()) == 11


def test_each_is_submitted_as_its_own_owner(group_commit: GroupCommit) -> None:
    answers = submit_behind(group_commit, build_write("one"), build_write("two"), owners=["alice", "bob"])
    assert [answer[0].owner for answer in answers if isinstance(answer, tuple)] == ["alice", "bob"]


def test_one_that_is_refused_takes_nobody_with_it_and_leaves_nothing(
    group_commit: GroupCommit, database: Database
) -> None:
    def write_and_refuse(session: Session) -> tuple[Job, bool]:
        build_write("written before it was refused")(session)
        raise Conflict("no")

    answers = submit_behind(group_commit, build_write("before"), write_and_refuse, build_write("after"))
    assert [type(answer) for answer in answers] == [tuple, Conflict, tuple]
    assert list_names(database) == ["first", "before", "after"]


def test_the_limit_of_the_queue_counts_those_who_go_together(group_commit: GroupCommit, database: Database) -> None:
    answers = submit_behind(group_commit, *(build_write(f"job {number}", max_queued=3) for number in range(4)))
    assert [type(answer) for answer in answers] == [tuple, tuple, QueueFull, QueueFull]
    assert len(list_names(database)) == 3


def test_one_idempotency_key_twice_at_the_same_time_is_one_job(group_commit: GroupCommit, database: Database) -> None:
    hashes = ("hash", "hash", "another hash")
    answers = submit_behind(group_commit, *(build_write("a", idempotency=("key", sent)) for sent in hashes))
    assert isinstance(answers[0], tuple)
    assert isinstance(answers[1], tuple)
    assert answers[0][0].id == answers[1][0].id
    assert [answers[0][1], answers[1][1]] == [True, False]
    assert isinstance(answers[2], IdempotencyMismatch)
    assert list_names(database) == ["first", "a"]


def test_a_commit_that_fails_is_nobodys_success(group_commit: GroupCommit, database: Database) -> None:
    def break_commit(session: Session) -> tuple[Job, bool]:
        session.connection().execute(text("PRAGMA defer_foreign_keys=ON"))
        session.connection().execute(
            text("INSERT INTO joblabel VALUES ('job_that_is_not_there', 'key', 'local', 'value', '2026-01-01')")
        )
        return build_write("its commit fails")(session)

    answers = submit_behind(group_commit, build_write("beside it"), break_commit)
    assert [type(answer) for answer in answers] == [IntegrityError, IntegrityError]
    assert list_names(database) == ["first"]


def test_behind_a_locked_database_nobody_waits_twice(
    settings: Settings, database: Database, group_commit: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_database, "_BUSY_TIMEOUT_MS", 300)
    fresh = Database(settings)  # whose connections wait for 0.3 s
    begun: list[str] = []
    event.listen(fresh.engine, "before_cursor_execute", lambda *call: begun.append(call[2]))
    impatient = GroupCommit(fresh, FileStore(settings).room)
    errors: list[Exception] = []

    async def submit(number: int) -> None:
        try:
            await impatient.submit("local", build_write(f"job {number}"))
        except OperationalError as error:
            errors.append(error)

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(submit, number)

    holder = load_sqlite().connect(settings.data_dir / "tonok.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    anyio.run(run)
    holder.close()
    assert len(errors) == 5
    # Each raises its own, and all name the one that it was.
    assert len({id(error) for error in errors}) == 5
    assert len({id(error.__cause__) for error in errors}) == 1
    assert {str(error) for error in errors} == {str(errors[0].__cause__)}
    assert begun.count("BEGIN IMMEDIATE") == 1
    anyio.run(group_commit.submit, "local", build_write("later"))
    assert list_names(database) == ["later"]
    fresh.dispose()


def test_a_request_that_is_cancelled_takes_nobody_with_it(group_commit: GroupCommit, database: Database) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold(session: Session) -> tuple[Job, bool]:
        reached.set()
        go_on.wait()
        return build_write("cancelled")(session)

    async def run() -> None:
        # As a server does when it stops: the task itself, past every scope of anyio.
        first = asyncio.create_task(group_commit.submit("local", hold))
        beside = asyncio.create_task(group_commit.submit("local", build_write("beside it")))
        await anyio.to_thread.run_sync(reached.wait)
        behind = asyncio.create_task(group_commit.submit("local", build_write("behind it")))
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        assert not beside.done()
        assert not behind.done()
        go_on.set()
        assert [(await task)[0].name for task in (beside, behind)] == ["beside it", "behind it"]

    anyio.run(run)
    assert list_names(database) == ["cancelled", "beside it", "behind it"]


def test_who_comes_when_no_thread_can_be_started_is_told_so(
    group_commit: GroupCommit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        with monkeypatch.context() as patched, anyio.fail_after(60):
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await group_commit.submit("local", build_write("without a thread"))
        await group_commit.submit("local", build_write("later"))

    anyio.run(run)
    assert list_names(database) == ["later"]


def test_what_befell_many_is_not_logged_as_the_first_ones(settings: Settings, tmp_path: Path) -> None:
    url = SecretStr(f"sqlite:///{tmp_path}")  # a folder, which only `model_copy` lets through
    broken = GroupCommit(Database(settings.model_copy(update={"database_url": url})), Room(settings))

    async def run() -> None:
        with bind_log_fields(request_id="the-first"), pytest.raises(OperationalError):
            await broken.submit("local", build_write("job"))

    handler = logging.StreamHandler(written := io.StringIO())
    handler.setFormatter(TextFormatter())
    log = logging.getLogger("service.group_commit")
    log.addHandler(handler)
    anyio.run(run)
    log.removeHandler(handler)
    assert "1 submissions could not be written" in written.getvalue()
    assert "the-first" not in written.getvalue()


def test_without_room_on_the_disk_nobody_is_let_in(settings: Settings, database: Database) -> None:
    full = GroupCommit(database, Room(settings.model_copy(update={"max_data_bytes": 0})))

    async def run() -> None:
        with pytest.raises(DiskFull):
            await full.submit("local", build_write("job"))

    anyio.run(run)
    assert list_names(database) == []
