"""No room is left. A real file system of eight megabytes is filled to the last page."""

from __future__ import annotations

import sys

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from storage.artifacts import list_artifacts
from storage.database import Database
from storage.errors import DiskFull, is_disk_full
from storage.files import FileStore
from storage.inventory import check_database, find_broken
from storage.jobs import queue_counts
from storage.settings import Settings
from tests.faults.conftest import SmallDisk
from tests.service.conftest import check_problem
from tests.worker.engine.conftest import Bench
from worker.engine.endings import Verdict, judge
from worker.engine.port import Ending

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")


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
        for _ in range(5000):
            answer = client.post("/v1/jobs/train", json=body)
            if answer.status_code != 202:
                break
            accepted += 1
        check_problem(answer, 507, "disk_full")
        assert client.get("/v1/jobs?page_size=1").status_code == 200
        disk.empty()
        assert client.post("/v1/jobs/train", json=body).status_code == 202
    database = Database(settings)
    with database.read() as session:
        assert sum(queue_counts(session).values()) == accepted + 1
        assert check_database(session) == []
    database.dispose()


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


def test_a_worker_on_a_full_disk_goes_on_once_there_is_room(bench: Bench, disk: SmallDisk) -> None:
    first = bench.submit("wait_for_go")
    bench.start_worker()
    bench.wait_for_run(first)
    disk.fill()
    (bench.witness / "go").touch()
    # It cannot publish: the job ends as disk_full, or waits until its end can be written down.
    bench.wait_for(lambda: bench.get(first).status in ("failed", "running", "queued", "succeeded"))
    disk.empty()
    bench.wait_for(lambda: bench.get(first).status in ("failed", "succeeded"))
    if bench.get(first).status == "failed":
        assert (bench.get(first).error or {})["code"] in ("disk_full", "worker_lost")
    bench.wait_for_status(bench.submit("succeed"), "succeeded")


def test_an_error_is_told_by_what_it_came_from() -> None:
    def wrap(inner: Exception) -> Exception:
        try:
            raise RuntimeError("the writer failed") from inner
        except RuntimeError as error:
            return error

    assert is_disk_full(wrap(OSError(28, "No space left on device")))
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(wrap(OSError(13, "Permission denied")))


def test_an_attempt_that_cannot_even_have_a_folder_fails_as_disk_full() -> None:
    judgement = judge(None, Ending(None, None, disk_full=True), None, 60)
    assert (judgement.verdict, (judgement.error or {})["code"]) == (Verdict.FAILED, "disk_full")
