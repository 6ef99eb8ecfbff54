"""Processes die. Every test kills real ones."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import pytest

from storage.artifacts import list_artifacts
from storage.jobs import list_events
from storage.settings import Settings
from storage.workers import list_live_workers
from tests.worker.engine.conftest import Bench, is_alive


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A lease so short that a test can wait for its end."""
    return Settings(data_dir=tmp_path / "data", lease_ttl_s=2.0, cancel_grace_s=0.6, threads_per_slot=1)


def _is_gone(pid: int) -> bool:
    return not is_alive(pid)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_a_crash_costs_an_attempt_and_the_next_one_finds_the_scratch_folder(bench: Bench) -> None:
    job_id = bench.submit("exit_once")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt, job.result) == ("succeeded", 2, {"kept": "first"})
    with bench.database.read() as session:
        types = [event.type for event in list_events(session, job_id) if event.type != "progress"]
    assert types == ["queued", "started", "requeued", "started", "succeeded"]


@pytest.mark.slow
def test_a_job_that_always_crashes_fails_once_its_attempts_are_used_up_and_leaves_every_log(bench: Bench) -> None:
    job_id = bench.submit("exit", max_attempts=3)
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 3)
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
    assert "exit code 7" in job.error["detail"]
    with bench.database.read() as session:
        assert [artifact.name for artifact in list_artifacts(session, job_id)] == [
            "log-1.txt", "log-2.txt", "log-3.txt",
        ]  # fmt: skip


@pytest.mark.slow
def test_a_segmentation_fault_leaves_its_traceback_in_the_log_and_the_worker_alive(bench: Bench) -> None:
    crashing, next_one = bench.submit("segfault", max_attempts=1), bench.submit("succeed")
    bench.drain()
    job = bench.get(crashing)
    assert (job.status, bench.get(next_one).status) == ("failed", "succeeded")
    assert "SIGSEGV" in (job.error or {})["detail"]
    with bench.database.read() as session:
        log = list_artifacts(session, crashing)[0]
    content = (bench.settings.data_dir / "files" / log.sha256[:2] / log.sha256[2:]).read_text()
    assert "Segmentation fault" in content
    assert "_segfault" in content


@pytest.mark.slow
def test_a_killed_run_starts_again(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    bench.start_worker()
    os.kill(bench.wait_for_run(job_id), signal.SIGKILL)
    bench.wait_for_run(job_id, number=2)
    (bench.witness / "go").touch()
    assert bench.wait_for_status(job_id, "succeeded").attempt == 2


@pytest.mark.slow
def test_a_killed_worker_takes_its_processes_along_and_another_worker_takes_its_job_over(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    worker = bench.start_worker()
    bench.wait_for_run(job_id)
    children = _children(worker.pid)
    assert len(children) == 2  # the run, and the process that stands by
    worker.kill()
    bench.wait_for(lambda: not any(is_alive(child) for child in children))
    bench.start_worker()
    bench.wait_for_run(job_id, number=2)
    (bench.witness / "go").touch()
    assert bench.wait_for_status(job_id, "succeeded").attempt == 2


@pytest.mark.slow
def test_killed_workers_cost_a_job_none_of_its_attempts(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go", max_attempts=1)
    for number in (1, 2):
        worker = bench.start_worker()
        run = bench.wait_for_run(job_id, number)
        worker.kill()
        bench.wait_for(functools.partial(_is_gone, run))
    (bench.witness / "go").touch()
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt, job.counted_attempt, job.max_attempts) == ("succeeded", 3, 1, 1)
    with bench.database.read() as session:
        events = list_events(session, job_id)
        logs = [artifact.name for artifact in list_artifacts(session, job_id) if artifact.kind == "log"]
    reasons = [event.data for event in events if event.type == "requeued"]
    assert reasons == [{"reason": "worker_lost", "is_counted": False}] * 2
    assert logs == ["log-1.txt", "log-2.txt", "log-3.txt"]
    assert not list((bench.settings.data_dir / "staging").iterdir())
    assert not list((bench.settings.data_dir / "scratch").iterdir())


@pytest.mark.slow
def test_a_frozen_worker_whose_job_was_taken_over_publishes_nothing_and_works_on(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    frozen = bench.start_worker()
    first_run = bench.wait_for_run(job_id)
    frozen.send_signal(signal.SIGSTOP)
    (bench.witness / "go").touch()
    bench.wait_for(lambda: not is_alive(first_run))  # it has left an outcome that nobody has read
    bench.drain()
    before = bench.get(job_id)
    assert (before.status, before.attempt) == ("succeeded", 2)
    frozen.send_signal(signal.SIGCONT)
    later = bench.submit("imports")
    bench.wait_for_status(later, "succeeded")
    after = bench.get(job_id)
    assert after == before
    with bench.database.read() as session:
        artifacts = list_artifacts(session, job_id) + list_artifacts(session, later)
    assert sorted(artifact.name for artifact in artifacts) == [
        "curve.png",
        "log-1.txt",
        "log-1.txt",
        "log-2.txt",
        "weights.bin",
    ]
    stored = {path for path in (bench.settings.data_dir / "files").rglob("*") if path.is_file()}
    assert len(stored) == len({artifact.sha256 for artifact in artifacts})


@pytest.mark.slow
def test_the_run_of_a_frozen_worker_ends_by_itself_before_its_lease_does(bench: Bench) -> None:
    job_id = bench.submit("ignore_everything")
    frozen = bench.start_worker()
    run = bench.wait_for_run(job_id)
    frozen.send_signal(signal.SIGSTOP)
    bench.wait_for(lambda: not is_alive(run))


@pytest.mark.slow
def test_two_workers_share_the_queue_and_run_every_job_once(bench: Bench) -> None:
    job_ids = [bench.submit("imports") for _ in range(8)]
    workers = [bench.start_worker(drain=True), bench.start_worker(drain=True)]
    assert [worker.wait(120) for worker in workers] == [0, 0]
    assert [len(bench.get_runs(job_id)) for job_id in job_ids] == [1] * 8
    assert {bench.get(job_id).status for job_id in job_ids} == {"succeeded"}


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_gives_its_job_back_and_costs_it_no_attempt(bench: Bench) -> None:
    job_id = bench.submit("ignore_everything", max_attempts=1)
    worker = bench.start_worker()
    run = bench.wait_for_run(job_id)
    with bench.database.read() as session:
        assert [node.pid for node in list_live_workers(session, 60)] == [worker.pid]
    worker.terminate()
    assert worker.wait(120) == 0
    assert not is_alive(run)
    job = bench.get(job_id)
    assert (job.status, job.counted_attempt, job.max_attempts) == ("queued", 1, 1)
    with bench.database.read() as session:
        assert list_live_workers(session, 60) == []
