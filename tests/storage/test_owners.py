"""Whose rows a session sees, and the revision that gave every row an owner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlmodel import col, select

import storage
from storage import jobs, models
from storage.artifacts import build_artifact, get_artifact, get_artifact_of_job
from storage.attempts import Lease, PlannedStep, claim_job, finish_succeeded, suspend_job
from storage.database import Database
from storage.errors import IdempotencyMismatch, NotFound, QueueFull
from storage.files import FileStore
from storage.keys import KEY, create_key, find_key, has_keys, list_keys, revoke_key
from storage.statistics import count_jobs
from storage.steps import find_step, list_children
from storage.tables import ApiKey, Job, Model, utc_now
from tests.storage.conftest import SubmitAs


@pytest.fixture
def succeed(database: Database, files: FileStore) -> Callable[[], tuple[str, str]]:
    """Ends the oldest waiting job with one artifact and one model; returns their ids."""

    def succeed() -> tuple[str, str]:
        with database.transaction() as session:
            job = claim_job(session, "worker", 30)
            assert job is not None
            artifact = build_artifact(
                job_id=job.id,
                kind="checkpoint",
                name="c",
                media_type="m",
                sha256=files.put_bytes(b"w").sha256,
                num_bytes=1,
            )
            model = Model(
                id=f"mdl_{job.id}", job_id=job.id, parent_model_id=job.model_id, name="n", architecture="mlp",
                dataset="digits", files={"checkpoint": artifact.id}, created_at=utc_now(),
            )  # fmt: skip
            finish_succeeded(
                session, Lease(job.id, job.attempt, "worker"), result={}, output_model_id=model.id,
                artifacts=[artifact], models=[model],
            )  # fmt: skip
        return artifact.id, model.id

    return succeed


def test_what_another_owner_has_is_not_there(
    database: Database, files: FileStore, submit_as: SubmitAs, succeed: Callable[[], tuple[str, str]]
) -> None:
    job = submit_as("alice")
    artifact_id, model_id = succeed()
    with database.transaction("bob") as session:
        for ask in (
            lambda: jobs.get_job(session, job.id),
            lambda: jobs.request_cancel(session, job.id),
            lambda: jobs.list_events(session, job.id),
            lambda: jobs.list_metrics(session, job.id),
            lambda: models.get_model(session, model_id),
            lambda: models.get_lineage(session, model_id),
            lambda: get_artifact(session, artifact_id),
            lambda: get_artifact_of_job(session, job.id, artifact_id),
        ):
            with pytest.raises(NotFound):
                ask()
        assert jobs.list_jobs(session).items == jobs.list_jobs(session, model_id=model_id).items == []
        assert models.list_models(session).items == models.list_models(session, job_id=job.id).items == []
        assert models.find_newest_model(session, "train") is None
        assert jobs.find_newest_job(session) is None
        assert set(count_jobs(session).values()) == {0}
    with pytest.raises(NotFound):
        jobs.delete_job(database, files, job.id, "bob")
    with database.read("alice") as session:
        assert jobs.get_job(session, job.id).status == "succeeded"
        assert get_artifact_of_job(session, job.id, artifact_id).id == artifact_id
        newest = models.find_newest_model(session, "train")
        assert newest is not None
        assert newest.id == model_id


def test_a_waiting_job_of_another_owner_is_not_cancelled(database: Database, submit_as: SubmitAs) -> None:
    job = submit_as("alice")
    with pytest.raises(NotFound), database.transaction("bob") as session:
        jobs.request_cancel(session, job.id)
    with database.read() as session:
        assert jobs.get_job(session, job.id).status == "queued"


def test_models_and_steps_have_the_owner_and_the_request_of_their_job(
    database: Database, files: FileStore, submit_as: SubmitAs, succeed: Callable[[], tuple[str, str]]
) -> None:
    step = PlannedStep(
        "first", {"kind": "train", "name": None, "labels": {}, "max_attempts": 1, "max_runtime_s": 9}, "hash", 1.0
    )
    submit_as("bob", step_hash="hash")
    succeed()
    parent = submit_as("alice", request_id="req-1")
    with database.transaction() as session:
        claimed = claim_job(session, "worker", 30)
        assert claimed is not None
        suspend_job(session, Lease(parent.id, claimed.attempt, "worker"), steps=[step], done_s=0, later_s=0)
        [child] = list_children(session, parent.id)
        assert (child.owner, child.request_id) == ("alice", "req-1")
        assert jobs.list_events(session, child.id)[0].data == {"request_id": "req-1"}
        # What another owner has done already is no step of anybody else's.
        assert find_step(session, files, Job(id="job_a", owner="alice", kind="study"), "hash", None) is None
        assert find_step(session, files, Job(id="job_b", owner="bob", kind="study"), "hash", None) is not None
    _, model_id = succeed()
    with database.read("alice") as session:
        assert models.get_model(session, model_id).owner == "alice"


def test_two_owners_may_use_the_same_idempotency_key(submit_as: SubmitAs) -> None:
    first = submit_as("alice", idempotency=("key", "hash"))
    other = submit_as("bob", idempotency=("key", "another hash"))
    assert other.id != first.id
    assert submit_as("alice", idempotency=("key", "hash")).id == first.id
    with pytest.raises(IdempotencyMismatch):
        submit_as("bob", idempotency=("key", "hash"))


def test_one_owners_full_queue_does_not_shut_out_another(submit_as: SubmitAs) -> None:
    submit_as("alice", max_queued=1)
    with pytest.raises(QueueFull):
        submit_as("alice", max_queued=1)
    submit_as("bob", max_queued=1)


def test_a_key_opens_until_it_is_revoked_and_is_nowhere_in_the_database(database: Database) -> None:
    with database.transaction() as session:
        assert not has_keys(session)
        key = create_key(session, "alice")
    assert KEY.fullmatch(key.secret)
    assert key.secret not in repr(key)
    with database.read() as session:
        found = find_key(session, key.secret)
        assert found is not None
        assert (found.id, found.owner) == (key.id, "alice")
        assert find_key(session, key.secret[:-1] + "!") is None
        assert has_keys(session)
        row = session.get_one(ApiKey, key.id).model_dump()
    assert not any(key.secret in str(value) for value in row.values())
    with database.transaction() as session:
        revoke_key(session, key.id)
    with database.transaction() as session:
        assert find_key(session, key.secret) is None
        assert not has_keys(session)
        assert [listed.revoked_at is None for listed in list_keys(session)] == [False]
        with pytest.raises(NotFound):
            revoke_key(session, key.id)


def migrate(database: Database, revision: str) -> None:
    """Brings the schema up or down to the revision."""
    config = Config()
    config.set_main_option("script_location", str(Path(storage.__file__).parent / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        go = command.downgrade if revision < "0003" else command.upgrade
        go(config, revision)


def test_what_was_there_before_owners_belongs_to_the_default_one_and_survives_the_way_back(
    database: Database, submit_as: SubmitAs, succeed: Callable[[], tuple[str, str]]
) -> None:
    old = submit_as(None, idempotency=("key", "hash"), labels={"team": "a"})
    artifact_id, model_id = succeed()
    migrate(database, "0002")
    with database.engine.connect() as connection:
        columns = connection.execute(text("SELECT * FROM job")).mappings().one()
        assert "owner" not in columns
        assert columns["id"] == old.id
        [key] = connection.execute(text("SELECT * FROM idempotencykey")).mappings().all()
        assert (key["key"], key["job_id"], "owner" in key) == ("key", old.id, False)
    migrate(database, "head")
    with database.read("local") as session:
        job = jobs.get_job(session, old.id)
        assert (job.owner, job.labels, job.status) == ("local", {"team": "a"}, "succeeded")
        assert models.get_model(session, model_id).owner == "local"
        assert get_artifact(session, artifact_id).id == artifact_id
        assert [event.type for event in jobs.list_events(session, old.id)] == ["queued", "started", "succeeded"]
    assert submit_as("local", idempotency=("key", "hash")).id == old.id


def test_on_the_way_back_the_older_of_two_equal_idempotency_keys_stays(database: Database, submit_as: SubmitAs) -> None:
    first = submit_as("bob", idempotency=("key", "hash"))
    submit_as("alice", idempotency=("key", "another"))
    migrate(database, "0002")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT job_id FROM idempotencykey")).scalars().all() == [first.id]
        assert connection.execute(text("SELECT count(*) FROM job")).scalar_one() == 2
    migrate(database, "head")
    with database.read() as session:
        assert set(session.exec(select(Job.owner).order_by(col(Job.id))).all()) == {"local"}
