"""Somebody holds the database's write lock, or all the memory: a clear error, and everything goes on afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from service.app import create_app
from service.group_commit import GroupCommit
from storage import database as storage_database
from storage.database import load_sqlite
from storage.files import FileStore
from storage.settings import Settings
from tests.service.conftest import check_problem
from tests.service.model_files import frame
from tests.worker.engine.conftest import Bench


@pytest.fixture
def lease_ttl_s() -> float:
    return 30.0


@pytest.fixture
def settings(tmp_path: Path, lease_ttl_s: float) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", lease_ttl_s=lease_ttl_s, cancel_grace_s=0.6, threads_per_slot=1,
        allowed_hosts="testserver",
    )  # fmt: skip


@contextmanager
def hold_lock(settings: Settings) -> Iterator[None]:
    """Another program writes and does not come to an end."""
    # The service's own SQLite: two different ones in one process undo each other's locks.
    with closing(load_sqlite().connect(settings.data_dir / "tonok.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA busy_timeout=60000")
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.slow
def test_while_the_database_is_locked_reading_goes_on_and_writing_is_503_with_when_to_come_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_database, "_BUSY_TIMEOUT_MS", 300)  # production waits 15 s
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        job = client.post("/v1/jobs/train", json={}).json()
        with hold_lock(settings):
            answer = client.post("/v1/jobs/train", json={})
            check_problem(answer, 503, "database_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
            check_problem(client.post(f"/v1/jobs/{job['id']}/cancel"), 503, "database_unavailable")
            assert client.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued"
            assert client.get("/healthz").status_code == 200
        assert client.post("/v1/jobs/train", json={}).status_code == 202
        assert len(client.get("/v1/jobs").json()["jobs"]) == 2


@pytest.mark.slow
def test_while_more_wait_for_the_lock_than_there_are_threads_reading_goes_on(settings: Settings) -> None:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client, ThreadPoolExecutor(45) as threads:
        path = f"/v1/jobs/{client.post('/v1/jobs/train', json={}).json()['id']}"
        with hold_lock(settings):
            waiting = [threads.submit(client.post, f"{path}/cancel") for _ in range(45)]
            time.sleep(2)
            assert client.get(path).json()["status"] == "queued"
            check_problem(client.post("/v1/jobs/job_unknown/cancel"), 404, "not_found")
            check_problem(client.delete("/v1/jobs/job_unknown"), 404, "not_found")
            assert not any(answer.done() for answer in waiting)
        assert {answer.result().status_code for answer in waiting} == {200}


def test_who_gets_no_turn_to_write_is_told_that_the_database_does_not_answer(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_database, "_BUSY_TIMEOUT_MS", 50)

    async def run() -> None:
        group_commit = GroupCommit(storage_database.Database(settings), FileStore(settings).room)

        async def wait_in_vain() -> None:
            with pytest.raises(OperationalError):
                async with group_commit.take_turn():
                    raise AssertionError

        async with group_commit.take_turn(), anyio.create_task_group() as tasks:
            tasks.start_soon(wait_in_vain)
        async with group_commit.take_turn():
            """It is given back."""

    anyio.run(run)


def test_an_upload_into_a_locked_database_waits_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_database, "_BUSY_TIMEOUT_MS", 300)
    begun: list[str] = []
    with TestClient(app := create_app(settings), raise_server_exceptions=False) as client:
        event.listen(app.state.database.engine, "before_cursor_execute", lambda *call: begun.append(call[2]))
        with hold_lock(settings):
            headers = {"Content-Type": "application/octet-stream"}
            check_problem(
                client.post("/v1/models", content=frame(b"a model"), headers=headers), 503, "database_unavailable"
            )
            assert begun.count("BEGIN IMMEDIATE") == 1
        assert client.post("/v1/models", content=frame(b"a model"), headers=headers).status_code == 202


@pytest.mark.slow
def test_a_job_that_ends_while_the_database_is_locked_succeeds_once_it_is_free(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    bench.start_worker()
    bench.wait_for_run(job_id)
    with hold_lock(bench.settings):
        (bench.witness / "go").touch()
        time.sleep(2)
        assert bench.get(job_id).status == "running"
    job = bench.wait_for_status(job_id, "succeeded")
    assert job.attempt == 1
    assert bench.get_runs(job_id) != []


@pytest.mark.slow
@pytest.mark.parametrize("lease_ttl_s", [3.0])
def test_a_lock_held_for_longer_than_a_lease_costs_an_attempt_and_no_job(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    bench.start_worker()
    bench.wait_for_run(job_id)
    with hold_lock(bench.settings):
        time.sleep(4)
        (bench.witness / "go").touch()
    job = bench.wait_for_status(job_id, "succeeded")
    assert job.attempt <= 2
