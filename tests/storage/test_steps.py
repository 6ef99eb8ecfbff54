"""Parents and their steps, without processes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import Session

from storage import attempts, jobs
from storage.artifacts import build_artifact
from storage.attempts import Lease, PlannedStep
from storage.database import Database
from storage.errors import Conflict
from storage.files import FileStore
from storage.steps import compute_step_hash, find_step, list_children
from storage.tables import Job, Model, utc_now
from tests.storage.conftest import Claim, Submit, SubmitAs

STEPS = [
    PlannedStep(
        name,
        {"kind": "train", "name": name, "labels": {"team": "a"}, "max_attempts": 1, "max_runtime_s": 60},
        f"hash of {name}",
        expected_s,
    )
    for name, expected_s in (("short", 10.0), ("long", 30.0))
]


def suspend(database: Database, lease: Lease) -> str:
    with database.transaction() as session:
        return attempts.suspend_job(session, lease, steps=STEPS, done_s=20, later_s=40)


def get(database: Database, job_id: str) -> Job:
    with database.read() as session:
        return jobs.get_job(session, job_id)


def get_children(database: Database, job_id: str) -> list[Job]:
    with database.read() as session:
        return list_children(session, job_id)


def succeed(database: Database, lease: Lease) -> None:
    with database.transaction() as session:
        attempts.finish_succeeded(session, lease, result={}, output_model_id=None, artifacts=[], models=[])


def test_a_waiting_parent_holds_no_lease_that_could_run_out(database: Database, submit: Submit, claim: Claim) -> None:
    parent = submit()
    assert suspend(database, claim()) == "running"
    with database.transaction() as session:
        assert attempts.list_leases(session) == {}
    waiting = get(database, parent.id)
    assert (waiting.status, waiting.lease_holder, waiting.lease_expires_at) == ("running", None, None)
    assert [child.labels for child in get_children(database, parent.id)] == [{"team": "a"}, {"team": "a"}]


def test_the_parents_bar_is_made_of_what_its_steps_are_expected_to_cost(
    database: Database, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    suspend(database, claim())
    succeed(database, claim())
    second = claim()
    with database.transaction() as session:
        attempts.record_progress(session, second, progress={"percent": 50.0}, phase="training", message="epoch 1")
    waiting = get(database, parent.id)
    # 20 before, 10 for the first step, half of 30 for the second: 45 of 100. It went faster than expected.
    assert waiting.progress["percent"] == 45.0
    assert 0 < waiting.progress["eta_s"] < 55.0
    assert waiting.phase == "long: training"
    with database.read() as session:
        assert jobs.list_events(session, parent.id)[-1].data["message"] == "long: epoch 1"


def test_a_parent_whose_steps_ended_before_it_began_to_wait_does_not_wait_for_ever(
    database: Database, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    suspend(database, claim())
    first, second = claim(), claim()
    with database.transaction() as session:
        attempts.finish_failed(session, first, error={"code": "diverged"})
    lease = claim()  # woken early, by the failure
    assert lease.job_id == parent.id
    succeed(database, second)
    assert suspend(database, lease) == "queued"
    assert len(get_children(database, parent.id)) == 2


def test_a_parent_whose_steps_are_all_queued_is_cancelled_at_once_with_them(
    database: Database, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    suspend(database, claim())
    with database.transaction() as session:
        assert jobs.request_cancel(session, parent.id).status == "cancelled"
    assert [child.status for child in get_children(database, parent.id)] == ["cancelled", "cancelled"]
    with database.read() as session:
        assert [event.type for event in jobs.list_events(session, parent.id)] == [
            "queued", "started", "waiting", "cancelling", "step_ended", "step_ended", "cancelled",
        ]  # fmt: skip


def test_a_cancel_that_comes_while_the_parent_goes_to_wait_is_kept(
    database: Database, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    lease = claim()
    with database.transaction() as session:
        jobs.request_cancel(session, parent.id)
    assert suspend(database, lease) == "cancelled"
    assert get_children(database, parent.id) == []


def test_an_ended_parent_hears_nothing_more_of_its_steps(database: Database, submit: Submit, claim: Claim) -> None:
    parent = submit()
    suspend(database, claim())
    first, second = claim(), claim()
    with database.transaction() as session:
        attempts.finish_failed(session, first, error={"code": "diverged"})
    resumed = claim()
    with database.transaction() as session:
        attempts.finish_failed(session, resumed, error={"code": "diverged"})
    with database.read() as session:
        assert jobs.list_events(session, parent.id)[-1].type == "failed"
    assert get(database, second.job_id).status == "cancelling"
    with database.transaction() as session:
        attempts.finish_cancelled(session, second)
    with database.read() as session:
        assert jobs.list_events(session, parent.id)[-1].type == "failed"


def test_a_step_of_an_unfinished_parent_and_a_model_that_is_a_parents_result_are_not_deleted(
    database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    suspend(database, claim())
    lease, other = claim(), claim()
    artifact = build_artifact(
        job_id=lease.job_id, kind="checkpoint", name="c", media_type="m", sha256="0" * 64, num_bytes=1
    )
    model = Model(
        id="mdl_1", job_id=lease.job_id, name="n", architecture="mlp", dataset="digits",
        files={"checkpoint": artifact.id}, created_at=utc_now(),
    )  # fmt: skip
    with database.transaction() as session:
        attempts.finish_succeeded(
            session, lease, result={}, output_model_id="mdl_1", artifacts=[artifact], models=[model]
        )
    with pytest.raises(Conflict, match=parent.id):
        jobs.delete_job(database, files, lease.job_id)
    succeed(database, other)
    with database.transaction() as session:
        attempts.finish_succeeded(
            session, claim_in(session), result={}, output_model_id="mdl_1", artifacts=[], models=[]
        )
    with pytest.raises(Conflict, match=parent.id):
        jobs.delete_job(database, files, lease.job_id)
    with pytest.raises(Conflict, match=f"result of job {parent.id} names this step"):
        jobs.delete_job(database, files, other.job_id)
    jobs.delete_job(database, files, parent.id)
    assert get_children(database, parent.id) == []


def claim_in(session: Session) -> Lease:
    job = attempts.claim_job(session, "worker", 30)
    assert job is not None
    return Lease(job.id, job.attempt, "worker")


def suspend_two(database: Database, submit: Submit, claim: Claim) -> tuple[str, str, dict[str, str]]:
    """Two parents that wait for the same two steps; the ids of both and of the steps by name."""
    first, second = submit(), submit()
    leases = [claim(), claim()]
    for lease in leases:
        assert suspend(database, lease) == "running"
    return first.id, second.id, {str(child.name): child.id for child in get_children(database, first.id)}


def test_a_step_that_is_queued_for_one_parent_is_awaited_by_the_other(
    database: Database, submit: Submit, claim: Claim
) -> None:
    first, second, steps = suspend_two(database, submit, claim)
    assert get_children(database, second) == []
    assert set((get(database, second).waits_for or {})["steps"]) == set(steps.values())
    short = claim()
    with database.transaction() as session:
        attempts.record_progress(session, short, progress={"percent": 50.0}, phase="training", message="epoch 1")
    for parent in (first, second):
        assert (get(database, parent).phase, get(database, parent).progress["percent"]) == ("short: training", 25.0)
    succeed(database, short)
    succeed(database, claim())
    with database.read() as session:
        stories = [[event.type for event in jobs.list_events(session, parent)] for parent in (first, second)]
    assert stories[0] == stories[1]
    assert stories[0][-4:] == ["step_ended", "step_started", "step_ended", "resumed"]
    assert {claim().job_id, claim().job_id} == {first, second}


def test_a_cancelled_parent_leaves_its_steps_to_who_waits_for_them(
    database: Database, submit: Submit, claim: Claim
) -> None:
    first, second, steps = suspend_two(database, submit, claim)
    running = claim()
    with database.transaction() as session:
        assert jobs.request_cancel(session, first).status == "cancelled"
    assert {child.id: child.status for child in get_children(database, second)} == {
        steps["short"]: "running", steps["long"]: "queued",
    }  # fmt: skip
    succeed(database, running)
    with database.transaction() as session:
        assert jobs.request_cancel(session, second).status == "cancelled"
    assert get(database, steps["long"]).status == "cancelled"


def test_a_parent_that_only_shares_is_cancelled_at_once_and_stops_nothing(
    database: Database, submit: Submit, claim: Claim
) -> None:
    first, second, steps = suspend_two(database, submit, claim)
    with database.transaction() as session:
        assert jobs.request_cancel(session, second).status == "cancelled"
    assert get(database, first).status == "running"
    assert {get(database, step).status for step in steps.values()} == {"queued"}


def test_a_parent_that_fails_leaves_what_still_runs_to_who_waits_for_it(
    database: Database, submit: Submit, claim: Claim
) -> None:
    first, second, steps = suspend_two(database, submit, claim)
    doomed = claim()
    with database.transaction() as session:
        attempts.finish_failed(session, doomed, error={"code": "diverged"})
    resumed = [claim(), claim()]
    assert {lease.job_id for lease in resumed} == {first, second}
    # The second one tries by itself what has failed for the first, and goes on sharing the rest.
    assert suspend(database, resumed[1]) == "running"
    waited_for = set((get(database, second).waits_for or {})["steps"])
    assert steps["long"] in waited_for
    assert steps["short"] not in waited_for
    with database.transaction() as session:
        attempts.finish_failed(session, resumed[0], error={"code": "diverged"})
    assert get(database, steps["long"]).status == "queued"
    assert get(database, steps["long"]).parent_job_id == second


def test_nobody_shares_with_another_owner_or_what_is_being_stopped(
    database: Database, submit: Submit, submit_as: SubmitAs, claim: Claim
) -> None:
    first, other = submit(), submit_as("another")
    leases = [claim(), claim()]
    for lease in leases:
        suspend(database, lease)
    assert len(get_children(database, other.id)) == 2
    with database.transaction() as session:
        jobs.request_cancel(session, get_children(database, first.id)[1].id)
    third = submit()
    lease = next(lease for lease in iter(claim, None) if lease.job_id == third.id)
    suspend(database, lease)
    assert [child.name for child in get_children(database, third.id)] == ["long"]


def test_what_cannot_change_a_result_is_no_part_of_the_hash(database: Database) -> None:
    spec = {"kind": "train", "seed": 0, "epochs": 3, "name": None, "labels": {}, "max_attempts": 2, "max_runtime_s": 60}
    with database.read() as session:
        plain = compute_step_hash(session, spec, 1)
        named = {"name": "n", "labels": {"a": "b"}, "max_attempts": 1, "max_runtime_s": 5}
        assert compute_step_hash(session, spec | named, 1) == plain
        assert compute_step_hash(session, spec | {"initial_model_id": None}, 1) == plain
        others = [compute_step_hash(session, spec | change, 1) for change in ({"seed": 1}, {"epochs": 4})]
        assert len({plain, *others, compute_step_hash(session, spec, 2)}) == 4


@pytest.mark.parametrize("damage", ["gone", "rotten"])
def test_a_job_whose_file_is_gone_or_rotten_is_no_step_done_before(
    database: Database, files: FileStore, submit: Submit, claim: Claim, damage: str
) -> None:
    done = submit(step_hash="hash")
    stored = files.put_bytes(b"weights")
    artifact = build_artifact(
        job_id=done.id, kind="k", name="weights.bin", media_type="m", sha256=stored.sha256, num_bytes=stored.num_bytes
    )
    lease = claim()
    with database.transaction() as session:
        attempts.finish_succeeded(session, lease, result={}, output_model_id=None, artifacts=[artifact], models=[])
    parent = submit()
    with database.read() as session:
        found = find_step(session, files, parent, "hash", None)
        assert found is not None
        assert found.id == done.id
    if damage == "gone":
        files.remove(stored.sha256)
    else:
        files.path(stored.sha256).write_bytes(b"weightz")
    with database.read() as session:
        assert find_step(session, files, parent, "hash", None) is None


def test_a_clock_set_back_while_a_step_runs_leaves_the_time_left_above_zero(
    database: Database, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    suspend(database, claim())
    lease = claim()
    with database.transaction() as session:
        session.get_one(Job, lease.job_id).started_at = utc_now() + timedelta(days=1)
    with database.transaction() as session:
        attempts.record_progress(session, lease, progress={"percent": 50.0})
    assert get(database, parent.id).progress["eta_s"] > 0
