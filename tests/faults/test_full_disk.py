"""No room is left. A real file system of eight megabytes is filled to the last page."""

from __future__ import annotations

import sys

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from service.app import create_app
from storage.artifacts import list_artifacts
from storage.database import Database
from storage.errors import DiskFull, is_disk_full
from storage.files import FileStore
from storage.integrity import check_database, find_broken
from storage.settings import Settings
from storage.tables import Job
from tests.faults.conftest import SmallDisk
from tests.service.conftest import check_problem
from tests.worker.engine.conftest import Bench, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


@pytest.fixture
def settings(disk: SmallDisk) -> Settings:
    """The data directory on the small disk, with no floor: here the disk itself says that it is full."""
    return Settings(
        data_dir=disk.folder / "data", cancel_grace_s=0.6, threads_per_slot=1, min_free_bytes=0,
        allowed_hosts="testserver",
    )  # fmt: skip


def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(
    files: FileStore, disk: SmallDisk, settings: Settings
) -> None:
    whole = files.put_bytes(b"abc").sha256
    disk.fill(keep_bytes=100_000)
    with pytest.raises(DiskFull):
        files.put_bytes(bytes(1_000_000))
    assert list((settings.data_dir / "files" / "tmp").iterdir()) == []
    assert list(files.list_stored()) == [whole]
    files.verify(whole)


def test_a_submission_that_the_disk_has_no_room_for_is_507_and_later_accepted(
    settings: Settings, disk: SmallDisk
) -> None:
    body = {"labels": {f"key{number}": "x" * 100 for number in range(16)}}
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        assert client.post("/v1/jobs/train", json={}).status_code == 202
        disk.fill()
        accepted = 1
        # The write-ahead log has been given some pages already: these are used up first.
        while (answer := client.post("/v1/jobs/train", json=body)).status_code == 202:
            accepted += 1
        check_problem(answer, 507, "disk_full")
        assert client.get("/v1/jobs?page_size=1").status_code == 200
        disk.empty()
        assert client.post("/v1/jobs/train", json=body).status_code == 202
    database = Database(settings)
    with database.read() as session:
        assert len(session.exec(select(Job)).all()) == accepted + 1
        assert check_database(session) == []
    database.dispose()


@pytest.mark.slow
def test_a_job_that_fills_the_disk_fails_as_disk_full_and_takes_what_it_wrote_along(
    bench: Bench, files: FileStore
) -> None:
    job_id = bench.submit("fill_disk", max_attempts=3)
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error == {
        "code": "disk_full", "title": "The disk is full", "detail": "no room is left in the data directory",
        "retryable": True,
    }  # fmt: skip
    assert not list((bench.settings.data_dir / "staging").iterdir())
    later = bench.submit("succeed")
    bench.drain()
    assert bench.get(later).status == "succeeded"
    with bench.database.read() as session:
        assert list(find_broken(session, files, read_all=True)) == []


@pytest.mark.slow
def test_a_result_that_fits_the_staging_folder_but_not_the_store_fails_as_disk_full_without_leftovers(
    bench: Bench, files: FileStore, disk: SmallDisk
) -> None:
    # Two files of two megabytes each: written once they fit, copied into the store the second no longer does.
    disk.fill(keep_bytes=7_000_000)
    job_id = bench.submit("write_large")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, (job.error or {})["code"]) == ("failed", "disk_full")
    with bench.database.read() as session:
        assert [artifact.kind for artifact in list_artifacts(session, job_id)] in ([], ["log"])
        named = {artifact.sha256 for artifact in list_artifacts(session, job_id)}
    assert set(files.list_stored()) == named


@pytest.mark.slow
def test_a_worker_on_a_full_disk_goes_on_once_there_is_room(bench: Bench, disk: SmallDisk) -> None:
    job_id = bench.submit("wait_for_go")
    worker = bench.start_worker()
    run = bench.wait_for_run(job_id)
    disk.fill()
    (bench.witness / "go").touch()
    bench.wait_for(lambda: not is_alive(run))
    assert worker.poll() is None
    disk.empty()
    # Whether it still had room for its result is a matter of pages; that its end is told is not.
    job = bench.wait_for(lambda: (found := bench.get(job_id)).status in ("succeeded", "failed") and found)
    assert job.status == "succeeded" or job.error["code"] == "disk_full"
    bench.wait_for_status(bench.submit("imports"), "succeeded")
    assert worker.poll() is None


def test_an_error_is_told_by_what_it_came_from() -> None:
    def wrap(inner: Exception) -> Exception:
        try:
            raise RuntimeError("the writer failed") from inner
        except RuntimeError as error:
            return error

    assert is_disk_full(wrap(OSError(28, "No space left on device")))
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(wrap(OSError(13, "Permission denied")))
