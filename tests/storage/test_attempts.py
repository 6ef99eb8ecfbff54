"""Claim, lease, fence."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import update
from sqlmodel import Session

from storage import attempts
from storage.artifacts import build_artifact, list_artifacts
from storage.attempts import Lease
from storage.database import Database, clock
from storage.errors import LeaseLost
from storage.jobs import get_job, list_events, request_cancel
from storage.losses import LONGEST_WAIT_S, MAX_LOST_WORKERS, wait_after_loss
from storage.tables import Job
from tests.storage.conftest import Claim, Submit, lose_workers

ERROR = {"code": "worker_lost", "title": "t", "detail": "d", "retryable": True}


def test_a_claim_takes_the_oldest_job_counts_the_attempt_and_starts_the_lease(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job, _later = submit(), submit()
    before = database.now()
    assert claim("worker", ttl=30) == Lease(job.id, 1, "worker")
    with database.read() as session:
        claimed = get_job(session, job.id)
    assert claimed.status == "running"
    assert claimed.started_at is not None
    assert claimed.lease_expires_at is not None
    assert before + 30 <= claimed.lease_expires_at <= database.now() + 30


def test_an_empty_queue_gives_nothing(database: Database) -> None:
    with database.transaction() as session:
        assert attempts.claim_job(session, "worker", 30) is None
        assert not attempts.has_queued(session)


def test_a_claim_may_choose_kinds_or_leave_some_out(database: Database, submit: Submit) -> None:
    heavy, light = submit(kind="train"), submit(kind="predict")
    only_light = attempts.KindChoice(["predict"], is_excluded=False)
    for choice, expected in ((only_light, light), (attempts.KindChoice(["predict"]), heavy)):
        with database.transaction() as session:
            assert attempts.has_queued(session, choice)
            claimed = attempts.claim_job(session, "worker", 30, choice)
            assert claimed is not None
            assert claimed.id == expected.id
            assert not attempts.has_queued(session, choice)


def test_workers_that_race_for_the_queue_never_claim_the_same_job(database: Database, submit: Submit) -> None:
    ids = {submit().id for _ in range(40)}
    claimed: list[str] = []

    def work(holder: str) -> None:
        while True:
            with database.transaction() as session:
                job = attempts.claim_job(session, holder, 30)
            if job is None:
                return
            claimed.append(job.id)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == 40
    assert set(claimed) == ids


WRITES: dict[str, Callable[[Session, Lease], object]] = {
    "renew": lambda session, lease: attempts.renew_lease(session, lease, 30),
    "progress": lambda session, lease: attempts.record_progress(session, lease, progress={}),
    "warn": lambda session, lease: attempts.add_warning(session, lease, "w"),
    "succeed": lambda session, lease: attempts.finish_succeeded(
        session, lease, result={}, output_model_id=None, artifacts=[], models=[]
    ),
    "fail": lambda session, lease: attempts.finish_failed(session, lease, error=ERROR),
    "cancel": attempts.finish_cancelled,
    "lose": lambda session, lease: attempts.requeue_lost(session, lease, error=ERROR),
    "retry": lambda session, lease: attempts.retry_or_fail(session, lease, error=ERROR),
    "release": attempts.release_job,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_no_write_of_an_attempt_that_was_taken_over_changes_anything(
    database: Database, submit: Submit, claim: Claim, write: Callable[[Session, Lease], object]
) -> None:
    job = submit()
    lost = claim("worker")
    with database.transaction() as session:
        lose_workers(session)
    held = claim("worker")  # the same worker even: the attempt alone tells them apart
    with database.read() as session:
        before, events = get_job(session, job.id), list_events(session, job.id)
    for lease in (lost, Lease(job.id, held.attempt, "another worker")):
        with pytest.raises(LeaseLost), database.transaction() as session:
            write(session, lease)
    with database.read() as session:
        assert get_job(session, job.id) == before
        assert list_events(session, job.id) == events


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_an_ended_job_never_changes(
    database: Database, submit: Submit, claim: Claim, write: Callable[[Session, Lease], object]
) -> None:
    submit()
    lease = claim()
    with database.transaction() as session:
        attempts.finish_failed(session, lease, error=ERROR)
    with pytest.raises(LeaseLost), database.transaction() as session:
        write(session, lease)


def test_a_silent_workers_job_goes_back_to_the_queue(database: Database, submit: Submit, claim: Claim) -> None:
    silent, healthy = submit(), submit()
    lost = claim("silent")
    held = claim("healthy")
    with database.transaction() as session:
        stamps = attempts.list_leases(session)
        assert stamps.keys() == {lost, held}
        assert attempts.requeue_silent(session, lost, stamps[lost]) == "queued"
        assert attempts.requeue_silent(session, lost, stamps[lost]) is None
        assert attempts.list_leases(session) == {held: stamps[held]}
    with database.read() as session:
        assert get_job(session, silent.id).status == "queued"
        assert get_job(session, silent.id).lease_holder is None
        assert get_job(session, healthy.id).status == "running"


def test_a_lease_that_was_renewed_in_the_last_moment_is_left_alone(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit()
    lease = claim(ttl=30)
    with database.transaction() as session:
        stamp = attempts.list_leases(session)[lease]
        attempts.renew_lease(session, lease, 60)
        assert attempts.list_leases(session)[lease] > stamp
        assert attempts.requeue_silent(session, lease, stamp) is None
        assert get_job(session, job.id).status == "running"


def test_a_job_whose_own_process_uses_up_its_attempts_fails(database: Database, submit: Submit) -> None:
    job = submit(max_attempts=2)
    for expected in ("queued", "failed"):
        with database.transaction() as session:
            assert attempts.retry_or_fail(session, claim_in(session), error=ERROR) == expected
    with database.read() as session:
        failed = get_job(session, job.id)
    assert (failed.status, failed.counted_attempt, failed.error) == ("failed", 2, ERROR)
    assert failed.finished_at is not None


def end_waits(database: Database) -> None:
    """The moment has come until which jobs were left in the queue."""
    with database.transaction() as session:
        session.exec(update(Job).values(claimable_at=None))


def test_lost_workers_use_up_none_of_a_jobs_attempts(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit(max_attempts=1)
    for number in range(1, 6):
        assert claim().attempt == number  # the fence goes up all the same
        with database.transaction() as session:
            assert list(lose_workers(session).values()) == ["queued"]
            assert get_job(session, job.id).counted_attempt == 1
        end_waits(database)
    with database.transaction() as session:
        assert attempts.retry_or_fail(session, claim_in(session), error=ERROR) == "failed"


def test_a_job_that_takes_its_worker_along_again_and_again_fails_as_worker_lost(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit(max_attempts=1)
    ends = []
    for _ in range(MAX_LOST_WORKERS):
        claim()
        with database.transaction() as session:
            ends += list(lose_workers(session).values())
        end_waits(database)
    assert ends == ["queued"] * (MAX_LOST_WORKERS - 1) + ["failed"]
    with database.read() as session:
        failed = get_job(session, job.id)
    assert ((failed.error or {})["code"], failed.counted_attempt, failed.max_attempts) == ("worker_lost", 1, 1)


def test_the_more_workers_a_job_has_lost_the_longer_it_lets_others_go_first() -> None:
    waits = [wait_after_loss(number) for number in range(1, MAX_LOST_WORKERS)]
    assert waits[:2] == [0.0, 0.0]  # a machine that is restarted twice
    assert waits == sorted(waits)
    assert 0 < waits[2] < waits[-1] == LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("ahead_s", "is_claimable"), [(-1.0, True), (0.5 * LONGEST_WAIT_S, False), (2 * LONGEST_WAIT_S, True)]
)
def test_a_job_waits_until_its_moment_but_not_for_a_clock_that_was_set_back(
    database: Database, submit: Submit, ahead_s: float, is_claimable: bool
) -> None:
    job = submit()
    with database.transaction() as session:
        session.exec(update(Job).values(claimable_at=clock(session) + ahead_s))
        assert attempts.has_queued(session) is is_claimable
        claimed = attempts.claim_job(session, "worker", 30)
    assert (None if claimed is None else claimed.id) == (job.id if is_claimable else None)


def test_a_lost_job_lets_a_later_one_go_first_once_it_is_suspect(
    database: Database, submit: Submit, claim: Claim
) -> None:
    suspect, later = submit(), submit()
    for _ in range(3):
        assert claim().job_id == suspect.id
        with database.transaction() as session:
            lose_workers(session)
    assert claim().job_id == later.id


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit()
    lease = claim()
    with database.transaction() as session:
        request_cancel(session, job.id)
        assert attempts.list_cancelling(session, "worker") == [job.id]
        assert lose_workers(session) == {lease: "cancelled"}
        assert attempts.list_cancelling(session, "worker") == []


def test_an_attempt_given_back_in_good_order_does_not_count_against_the_job(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit(max_attempts=1)
    with database.transaction() as session:
        assert attempts.release_job(session, claim_in(session)) == "queued"
    lease = claim()
    assert lease.attempt == 2
    with database.transaction() as session:
        assert attempts.retry_or_fail(session, lease, error=ERROR) == "failed"
    with database.read() as session:
        found = get_job(session, job.id)
        assert (found.counted_attempt, found.max_attempts) == (1, 1)


def claim_in(session: Session) -> Lease:
    job = attempts.claim_job(session, "worker", 30)
    assert job is not None
    return Lease(job.id, job.attempt, "worker")


def test_a_new_attempt_starts_with_a_clean_slate_but_keeps_when_the_job_first_started(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit()
    lease = claim()
    with database.transaction() as session:
        attempts.record_progress(session, lease, progress={"percent": 50}, phase="training")
        attempts.add_warning(session, lease, "w")
        lose_workers(session)
        first_start = get_job(session, job.id).started_at
    claim()
    with database.read() as session:
        again = get_job(session, job.id)
    assert (again.progress, again.phase, again.warnings) == ({}, None, [])
    assert again.started_at == first_start


def test_a_warning_is_kept_once_per_wording(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit()
    lease = claim()
    for message in ("a", "b", "a"):
        with database.transaction() as session:
            attempts.add_warning(session, lease, message)
    with database.read() as session:
        assert get_job(session, job.id).warnings == ["a", "b"]


def test_the_log_of_a_crashed_attempt_is_kept(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit()
    lease = claim()
    log = build_artifact(job_id=job.id, kind="log", name="log-1.txt", media_type="m", sha256="0" * 64, num_bytes=1)
    with database.transaction() as session:
        assert attempts.retry_or_fail(session, lease, error=ERROR, artifacts=[log]) == "queued"
    with database.read() as session:
        assert [artifact.name for artifact in list_artifacts(session, job.id)] == ["log-1.txt"]
