"""Cancelling, and running out of time."""

from __future__ import annotations

import pytest

from storage.artifacts import list_artifacts
from storage.jobs import request_cancel
from tests.worker.engine.conftest import Bench, is_alive


def _cancel(bench: Bench, job_id: str) -> str:
    with bench.database.transaction() as session:
        return request_cancel(session, job_id).status


@pytest.mark.slow
def test_a_run_that_reports_is_cancelled_at_its_next_report(bench: Bench) -> None:
    job_id = bench.submit("wait")
    bench.start_worker()
    run = bench.wait_for_run(job_id)
    bench.wait_for(lambda: bench.get(job_id).phase == "waiting")  # else the wish may be there before its first report
    assert _cancel(bench, job_id) == "cancelling"
    job = bench.wait_for_status(job_id, "cancelled")
    assert job.phase == "waiting"
    assert job.error is None
    bench.wait_for(lambda: not is_alive(run))
    with bench.database.read() as session:
        assert [artifact.kind for artifact in list_artifacts(session, job_id)] == ["log"]


@pytest.mark.slow
def test_a_run_that_ignores_the_wish_is_killed_with_all_that_it_started_and_the_worker_goes_on(bench: Bench) -> None:
    job_id = bench.submit("with_grandchild")
    bench.start_worker()
    run = bench.wait_for_run(job_id)
    grandchild = int(bench.wait_for(lambda: next((p.read_text() for p in bench.witness.glob("grandchild")), "")))
    _cancel(bench, job_id)
    bench.wait_for_status(job_id, "cancelled")
    bench.wait_for(lambda: not is_alive(run) and not is_alive(grandchild))
    bench.wait_for_status(bench.submit("imports"), "succeeded")


@pytest.mark.slow
def test_a_queued_job_is_cancelled_at_once_and_never_runs(bench: Bench) -> None:
    job_id = bench.submit("succeed")
    assert _cancel(bench, job_id) == "cancelled"
    bench.drain()
    assert bench.get(job_id).status == "cancelled"
    assert bench.get_runs(job_id) == []


@pytest.mark.slow
@pytest.mark.parametrize("action", ["wait", "ignore_everything", "freeze"])
def test_a_run_past_its_deadline_is_stopped_and_not_tried_again(bench: Bench, action: str) -> None:
    job_id = bench.submit(action, max_runtime_s=1)
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "deadline_exceeded"
    assert "max_runtime_s = 1" in job.error["detail"]
