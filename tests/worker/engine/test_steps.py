"""Jobs made of jobs. Every test runs real workers, of one slot."""

from __future__ import annotations

import functools
import os
import signal
from typing import Any

import pytest

from storage.artifacts import list_artifacts
from storage.files import FileStore
from storage.jobs import delete_job, list_events, request_cancel
from storage.steps import list_children
from storage.tables import Job
from tests.worker.engine.conftest import Bench, is_alive


def _children(bench: Bench, job_id: str) -> dict[str, Job]:
    """The steps of a job by what they do."""
    with bench.database.read() as session:
        return {child.spec["action"]: child for child in list_children(session, job_id)}


def _events(bench: Bench, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    with bench.database.read() as session:
        return [(event.type, event.data) for event in list_events(session, job_id, limit=1000)]


def _has_phase(bench: Bench, job_id: str, phase: str) -> bool:
    return bench.get(job_id).phase == phase


def _go(bench: Bench) -> None:
    (bench.witness / "go").touch()


@pytest.mark.slow
def test_a_parent_waits_without_a_slot_and_goes_on_when_its_steps_have_ended(bench: Bench) -> None:
    job_id = bench.submit("parent")
    bench.start_worker()
    bench.wait_for(lambda: bench.get(job_id).phase == "waiting for second, third")
    waiting = bench.get(job_id)
    assert (waiting.status, waiting.lease_holder) == ("running", None)
    assert waiting.started_at is not None
    _go(bench)
    job = bench.wait_for_status(job_id, "succeeded")
    children = _children(bench, job_id)
    assert job.result == {
        name: {"job_id": children[action].id, "is_reused": False}
        for name, action in (("first", "succeed"), ("second", "wait_for_go"), ("third", "imports"))
    }
    assert job.output_model_id == children["succeed"].output_model_id
    # Waiting costs the parent none of its attempts; each step ran once.
    assert (len(bench.get_runs(job_id)), job.attempt, job.counted_attempt, job.max_attempts) == (3, 3, 1, 2)
    assert [len(bench.get_runs(child.id)) for child in children.values()] == [1, 1, 1]
    story = [(kind, data.get("step")) for kind, data in _events(bench, job_id) if kind != "progress"]
    assert story == [
        ("queued", None), ("started", None), ("waiting", None),
        ("step_started", "first"), ("step_ended", "first"), ("resumed", None),
        ("started", None), ("waiting", None),
        ("step_started", "second"), ("step_ended", "second"), ("step_started", "third"), ("step_ended", "third"),
        ("resumed", None), ("started", None), ("succeeded", None),
    ]  # fmt: skip
    messages = [data["message"] for kind, data in _events(bench, job_id) if kind == "progress" and "message" in data]
    assert messages[:3] == ["first: epoch 1", "first: epoch 2", "first: epoch 3"]
    percents = [data["percent"] for kind, data in _events(bench, job_id) if kind == "progress" and data.get("percent")]
    # The first of three steps of equal cost, at 30, 60 and 90 %.
    assert percents[:3] == [10.0, 20.0, 30.0]


@pytest.mark.slow
def test_steps_that_were_done_before_are_reused_by_a_child_but_never_by_a_client(bench: Bench) -> None:
    _go(bench)
    first = bench.submit("parent")
    bench.drain()
    second, alone = bench.submit("parent"), bench.submit("succeed")
    bench.drain()
    again = bench.get(second).result or {}
    assert {name: step["job_id"] for name, step in again.items()} == {
        name: step["job_id"] for name, step in (bench.get(first).result or {}).items()
    }
    assert all(step["is_reused"] for step in again.values())
    assert (len(bench.get_runs(second)), len(bench.get_runs(alone))) == (1, 1)
    assert _children(bench, second) == {}


@pytest.mark.slow
def test_two_parents_at_once_share_the_steps_that_they_both_want(bench: Bench) -> None:
    first, second = bench.submit("parent"), bench.submit("parent")
    bench.start_worker()
    for job_id in (first, second):
        bench.wait_for(functools.partial(_has_phase, bench, job_id, "waiting for second, third"))
    _go(bench)
    results = [bench.wait_for_status(job_id, "succeeded").result or {} for job_id in (first, second)]
    ids = [{name: step["job_id"] for name, step in result.items()} for result in results]
    assert ids[0] == ids[1]
    assert [len(bench.get_runs(step)) for step in ids[0].values()] == [1, 1, 1]
    assert _children(bench, second) == {}
    told = [(kind, data["step"]) for kind, data in _events(bench, second) if kind == "step_ended"]
    assert sorted(told) == [("step_ended", "first"), ("step_ended", "second"), ("step_ended", "third")]


@pytest.mark.slow
def test_cancelling_one_parent_leaves_the_step_that_another_waits_for(bench: Bench) -> None:
    first, second = bench.submit("parent"), bench.submit("parent")
    bench.start_worker()
    for job_id in (first, second):
        bench.wait_for(functools.partial(_has_phase, bench, job_id, "waiting for second, third"))
    step = _children(bench, first)["wait_for_go"].id
    bench.wait_for_run(step)
    with bench.database.transaction() as session:
        assert request_cancel(session, first).status == "cancelled"
    assert bench.get(step).status == "running"
    _go(bench)
    result = bench.wait_for_status(second, "succeeded").result or {}
    assert result["second"] == {"job_id": step, "is_reused": False}  # it is the second one's own by now
    assert len(bench.get_runs(step)) == 1


@pytest.mark.slow
def test_a_step_whose_file_is_gone_is_done_again(bench: Bench, files: FileStore) -> None:
    _go(bench)
    first = bench.submit("parent")
    bench.drain()
    files.remove(_sha256_of(bench, _children(bench, first)["succeed"].id))
    second = bench.submit("parent")
    bench.drain()
    result = bench.get(second).result or {}
    assert [result[name]["is_reused"] for name in ("first", "second", "third")] == [False, True, True]


def _sha256_of(bench: Bench, job_id: str) -> str:
    with bench.database.read() as session:
        return next(artifact.sha256 for artifact in list_artifacts(session, job_id) if artifact.name == "curve.png")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "step"])
def test_killed_in_the_middle_it_goes_on_from_the_last_finished_step(bench: Bench, victim: str) -> None:
    job_id = bench.submit("parent")
    worker = bench.start_worker()
    bench.wait_for(lambda: bench.get(job_id).phase == "waiting for second, third")
    step = _children(bench, job_id)["wait_for_go"].id
    run = bench.wait_for_run(step)
    if victim == "worker":
        worker.kill()
        bench.wait_for(lambda: not is_alive(run))
        bench.start_worker()
    else:
        os.kill(run, signal.SIGKILL)
    _go(bench)
    assert bench.wait_for_status(job_id, "succeeded").attempt == 3
    children = _children(bench, job_id)
    assert {action: len(bench.get_runs(child.id)) for action, child in children.items()} == {
        "succeed": 1, "wait_for_go": 2, "imports": 1,
    }  # fmt: skip


@pytest.mark.slow
def test_a_failing_step_fails_its_parent_by_name_and_stops_the_others(bench: Bench) -> None:
    job_id = bench.submit("parent_of_failing")
    bench.drain()
    job, children = bench.get(job_id), _children(bench, job_id)
    assert job.status == "failed"
    assert job.error == {
        "code": "diverged",
        "title": "A step of the job failed",
        "detail": f"step doomed ({children['fail'].id}) failed: the loss is not finite",
        "retryable": False,
    }
    assert children["wait"].status == "cancelled"


@pytest.mark.slow
def test_a_step_that_is_lost_fails_its_parent_too(bench: Bench) -> None:
    job_id = bench.submit("parent_of_crashing")
    bench.drain()
    job = bench.get(job_id)
    assert job.status == "failed"
    assert ((job.error or {})["code"], (job.error or {})["retryable"]) == ("worker_lost", True)


@pytest.mark.slow
def test_cancelling_a_waiting_parent_stops_its_steps_and_then_itself(bench: Bench) -> None:
    job_id = bench.submit("parent_of_waiting")
    bench.start_worker()
    bench.wait_for(lambda: "wait" in _children(bench, job_id))
    run = bench.wait_for_run(_children(bench, job_id)["wait"].id)
    with bench.database.transaction() as session:
        assert request_cancel(session, job_id).status == "cancelling"
    job = bench.wait_for_status(job_id, "cancelled")
    bench.wait_for(lambda: not is_alive(run))
    assert {child.status for child in _children(bench, job_id).values()} == {"cancelled"}
    assert job.finished_at is not None
    assert len(bench.get_runs(job_id)) == 1
    assert _events(bench, job_id)[-1][0] == "cancelled"


@pytest.mark.slow
def test_a_step_that_is_cancelled_alone_fails_its_parent_by_name(bench: Bench) -> None:
    job_id = bench.submit("parent_of_waiting")
    bench.start_worker()
    bench.wait_for(lambda: "wait" in _children(bench, job_id))
    step = _children(bench, job_id)["wait"].id
    bench.wait_for_run(step)
    with bench.database.transaction() as session:
        request_cancel(session, step)
    error = bench.wait_for_status(job_id, "failed").error or {}
    assert error["code"] == "step_cancelled"
    assert f"step endless ({step})" in error["detail"]
    bench.wait_for(lambda: _children(bench, job_id)["imports"].status == "cancelled")


@pytest.mark.slow
def test_a_parent_is_deleted_with_its_steps(bench: Bench, files: FileStore) -> None:
    _go(bench)
    job_id = bench.submit("parent")
    bench.drain()
    delete_job(bench.database, files, job_id)
    assert _children(bench, job_id) == {}
    assert [path for path in (bench.settings.data_dir / "files").rglob("*") if path.is_file()] == []
