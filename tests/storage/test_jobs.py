from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from storage import attempts, jobs
from storage.artifacts import build_artifact
from storage.attempts import Lease
from storage.database import Database
from storage.errors import Conflict, IdempotencyMismatch, InvalidPageToken, NotFound, QueueFull
from storage.files import FileStore
from storage.statistics import count_jobs
from storage.tables import Artifact, IdempotencyKey, Job, JobEvent, JobMetric, JobStatus, Model, utc_now
from tests.storage.conftest import Claim, Submit, lose_workers


def _succeed(database: Database, files: FileStore, lease: Lease, content: bytes, *, parent: str | None = None) -> str:
    """Ends a job with one model whose checkpoint has this content; returns the model's id."""
    stored = files.put_bytes(content)
    artifact = build_artifact(
        job_id=lease.job_id, kind="checkpoint", name="c", media_type="m", sha256=stored.sha256, num_bytes=1
    )
    model = Model(
        id=f"mdl_{lease.job_id}", job_id=lease.job_id, parent_model_id=parent, name="n", architecture="mlp",
        dataset="digits", files={"checkpoint": artifact.id}, created_at=utc_now(),
    )  # fmt: skip
    with database.transaction() as session:
        attempts.finish_succeeded(
            session, lease, result={"accuracy": 0.5}, output_model_id=model.id, artifacts=[artifact], models=[model]
        )
    return model.id


def test_a_submitted_job_waits_and_its_log_begins(database: Database, submit: Submit) -> None:
    job = submit(name="first", labels={"team": "a"}, model_id="mdl_x", max_attempts=3, max_runtime_s=9)
    with database.read() as session:
        found = jobs.get_job(session, job.id)
        events = jobs.list_events(session, job.id)
    assert (found.status, found.attempt, found.name, found.labels) == ("queued", 0, "first", {"team": "a"})
    assert (found.model_id, found.max_attempts, found.max_runtime_s) == ("mdl_x", 3, 9)
    assert found.resolved_spec == {"kind": "train", "seed": 0}
    assert [(event.seq, event.type) for event in events] == [(1, "queued")]


def test_an_unknown_job_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound):
        jobs.get_job(session, "job_none")


def test_the_same_key_and_body_answer_the_first_job(submit: Submit) -> None:
    first = submit(idempotency=("key", "hash"))
    assert submit(idempotency=("key", "hash")).id == first.id
    assert submit(idempotency=("other", "hash")).id != first.id


def test_the_same_key_with_another_body_is_refused(submit: Submit) -> None:
    submit(idempotency=("key", "hash"))
    with pytest.raises(IdempotencyMismatch):
        submit(idempotency=("key", "other hash"))


def test_a_key_is_forgotten_after_a_day(database: Database, submit: Submit) -> None:
    first = submit(idempotency=("key", "hash"))
    with database.transaction() as session:
        session.exec(update(IdempotencyKey).values(created_at=utc_now() - timedelta(hours=24, seconds=1)))
    assert submit(idempotency=("key", "other hash")).id != first.id


def test_a_full_queue_refuses_new_jobs_but_answers_a_known_key(submit: Submit) -> None:
    first = submit(max_queued=1, idempotency=("key", "hash"))
    with pytest.raises(QueueFull):
        submit(max_queued=1)
    assert submit(max_queued=1, idempotency=("key", "hash")).id == first.id


def test_pages_run_newest_first_and_do_not_shift_while_jobs_are_added(database: Database, submit: Submit) -> None:
    ids = [submit().id for _ in range(5)]
    with database.read() as session:
        first = jobs.list_jobs(session, page_size=2)
    submit()
    with database.read() as session:
        second = jobs.list_jobs(session, page_size=2, page_token=first.next_page_token)
        third = jobs.list_jobs(session, page_size=2, page_token=second.next_page_token)
    pages = [[job.id for job in page.items] for page in (first, second, third)]
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]
    assert third.next_page_token is None


def test_a_page_that_is_exactly_full_is_the_last(database: Database, submit: Submit) -> None:
    for _ in range(2):
        submit()
    with database.read() as session:
        assert jobs.list_jobs(session, page_size=2).next_page_token is None


@pytest.mark.parametrize(
    "token",
    ["", "!", "é", "bm90IGpzb24", "W10", "WzEsIDJd", "WyJub3QgYSBkYXRlIiwgImpvYl8xIl0",
     "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwgImpvYl8xIl0", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgMV0"],
)  # fmt: skip
def test_a_page_token_of_somebody_elses_making_is_refused_by_name(database: Database, token: str) -> None:
    with database.read() as session, pytest.raises(InvalidPageToken) as raised:
        jobs.list_jobs(session, page_token=token)
    assert raised.value.field == "page_token"


def test_filters_narrow_the_list(database: Database, submit: Submit, claim: Claim) -> None:
    running = submit(kind="prune", labels={"team": "a"})
    claim()
    waiting = submit(labels={"team": "b", "a.b-c": 'quote"'}, model_id="mdl_x")
    with database.read() as session:

        def found(**filters: object) -> list[str]:
            return [job.id for job in jobs.list_jobs(session, **filters).items]  # type: ignore[arg-type]

        assert found(status="running") == found(kind="prune") == found(label=("team", "a")) == [running.id]
        assert found(model_id="mdl_x") == found(label=("a.b-c", 'quote"')) == [waiting.id]
        assert found(label=("team", "c")) == found(label=('"', "a")) == found(label=("te", "a")) == []
        assert found(created_after=running.created_at) == [waiting.id]
        assert found(created_after=waiting.created_at) == []


def test_a_queued_job_is_cancelled_at_once(database: Database, submit: Submit) -> None:
    job = submit()
    with database.transaction() as session:
        cancelled = jobs.request_cancel(session, job.id)
    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is not None
    with database.transaction() as session:
        assert jobs.request_cancel(session, job.id).status == "cancelled"
        assert attempts.claim_job(session, "worker", 1) is None
        assert [event.type for event in jobs.list_events(session, job.id)] == ["queued", "cancelled"]


def test_a_running_job_is_asked_to_stop_once_however_often_the_client_asks(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit()
    claim()
    for _ in range(2):
        with database.transaction() as session:
            assert jobs.request_cancel(session, job.id).status == "cancelling"
    with database.read() as session:
        assert [event.type for event in jobs.list_events(session, job.id)] == ["queued", "started", "cancelling"]


def test_an_ended_job_cannot_be_cancelled(database: Database, files: FileStore, submit: Submit, claim: Claim) -> None:
    job = submit()
    _succeed(database, files, claim(), b"x")
    with pytest.raises(Conflict, match="succeeded"), database.transaction() as session:
        jobs.request_cancel(session, job.id)
    with pytest.raises(NotFound), database.transaction() as session:
        jobs.request_cancel(session, "job_none")


def test_deleting_a_job_removes_its_rows_and_files(
    database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    job = submit(idempotency=("key", "hash"))
    lease = claim()
    with database.transaction() as session:
        attempts.record_progress(session, lease, progress={}, metrics={"loss": [jobs.MetricPoint(1, 1)]})
    _succeed(database, files, lease, b"weights")
    sha256 = files.put_bytes(b"weights").sha256
    jobs.delete_job(database, files, job.id)
    with database.read() as session:
        for table in (Job, JobEvent, JobMetric, Artifact, Model, IdempotencyKey):
            assert session.exec(select(table)).all() == []
    assert not files.has(sha256)


def test_a_file_shared_with_another_job_stays(
    database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    first, second = submit(), submit()
    sha256 = files.put_bytes(b"same").sha256
    for _ in range(2):
        _succeed(database, files, claim(), b"same")
    jobs.delete_job(database, files, first.id)
    assert files.has(sha256)
    jobs.delete_job(database, files, second.id)
    assert not files.has(sha256)


def test_a_job_that_has_not_ended_is_not_deleted(
    database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    job = submit()
    with pytest.raises(Conflict, match="queued"):
        jobs.delete_job(database, files, job.id)
    claim()
    with pytest.raises(Conflict, match="running"):
        jobs.delete_job(database, files, job.id)


def test_a_job_is_kept_while_another_job_builds_on_its_model(
    database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    parent = submit()
    model_id = _succeed(database, files, claim(), b"a")
    child = submit(model_id=model_id)
    with pytest.raises(Conflict, match=child.id):
        jobs.delete_job(database, files, parent.id)
    _succeed(database, files, claim(), b"b", parent=model_id)
    with pytest.raises(Conflict, match=rf"mdl_{child.id}\b.*\b(?<!mdl_){child.id}"):
        jobs.delete_job(database, files, parent.id)
    jobs.delete_job(database, files, child.id)
    jobs.delete_job(database, files, parent.id)
    with database.read() as session:
        assert session.exec(select(Job)).all() == []


@pytest.mark.parametrize("field", ["compare_to", "teachers", "controls"])
def test_a_job_is_kept_while_any_field_of_a_waiting_job_names_its_model(
    field: str, database: Database, files: FileStore, submit: Submit, claim: Claim
) -> None:
    named = submit()
    model_id = _succeed(database, files, claim(), b"a")
    value = {"compare_to": model_id, "teachers": [model_id], "controls": [{"model": model_id}]}[field]
    waiting = submit(kind="predict", resolved_spec={"kind": "predict", "model_id": "mdl_other", field: value})
    with pytest.raises(Conflict, match=waiting.id):
        jobs.delete_job(database, files, named.id)
    with database.transaction() as session:
        jobs.request_cancel(session, waiting.id)
    # What people write is no reference.
    submit(name=model_id, resolved_spec={"kind": "train", "name": model_id, "labels": {"of": model_id}})
    jobs.delete_job(database, files, named.id)


def test_events_are_read_from_where_the_reader_left_off(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit()
    lease = claim()
    with database.transaction() as session:
        for percent in range(5):
            attempts.record_progress(session, lease, progress={"percent": percent})
    with database.read() as session:
        assert [event.seq for event in jobs.list_events(session, job.id, after=3, limit=2)] == [4, 5]
        assert jobs.list_events(session, job.id, after=7) == []


def test_metrics_are_thinned_evenly_and_keep_both_ends(database: Database, submit: Submit, claim: Claim) -> None:
    job = submit()
    lease = claim()
    with database.transaction() as session:
        points = [jobs.MetricPoint(step, step / 2) for step in range(101)]
        attempts.record_progress(session, lease, progress={}, metrics={"loss": points, "other": points[:3]})
    with database.read() as session:
        thinned = jobs.list_metrics(session, job.id, max_points=5)
        assert [point.step for point in thinned["loss"]] == [0, 25, 50, 75, 100]
        assert [point.value for point in thinned["other"]] == [0, 0.5, 1]
        assert list(jobs.list_metrics(session, job.id, names=["other"])) == ["other"]
        assert [point.step for point in jobs.list_metrics(session, job.id, ["loss"], 1)["loss"]] == [100]


def test_an_attempt_that_goes_on_continues_the_series_and_measures_a_step_anew(
    database: Database, submit: Submit, claim: Claim
) -> None:
    job = submit()
    for attempt, steps in ((1, (1, 2)), (2, (2, 3))):
        lease = claim()
        points = [jobs.MetricPoint(step, attempt) for step in steps]
        with database.transaction() as session:
            attempts.record_progress(session, lease, progress={}, metrics={"loss": points})
            assert len(lose_workers(session)) == 1
    with database.read() as session:
        series = jobs.list_metrics(session, job.id)["loss"]
    assert [(point.step, point.attempt) for point in series] == [(1, 1), (2, 2), (3, 2)]


def test_the_counts_name_every_status(database: Database, submit: Submit, claim: Claim) -> None:
    submit()
    submit()
    claim()
    with database.read() as session:
        counts = count_jobs(session)
    assert set(counts) == set(JobStatus)
    assert {status: count for status, count in counts.items() if count} == {"queued": 1, "running": 1}


def test_timestamps_come_back_aware_and_in_utc(database: Database, submit: Submit) -> None:
    job = submit()
    with database.read() as session:
        created_at = session.exec(select(Job.created_at).where(col(Job.id) == job.id)).one()
    assert created_at == job.created_at
    assert created_at.utcoffset() == timedelta(0)
