"""What triggers keep must at all times be what counting the rows would give."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import update
from sqlmodel import col, select

from storage import migrations
from storage.artifacts import build_artifact
from storage.attempts import Lease, claim_job, finish_failed, finish_succeeded, release_job, retry_or_fail
from storage.database import Database
from storage.errors import Conflict
from storage.files import FileStore
from storage.jobs import delete_job, request_cancel, submit_job
from storage.statistics import DURATION_BOUNDS_S, count_jobs, count_queued, read_statistics
from storage.tables import TERMINAL, Artifact, Job, JobEvent, JobStatus, utc_now

OWNERS = ("ada", "grace")
KINDS = ("train", "prune", "compress")
CRASH = {"code": "worker_lost", "title": "t", "detail": "d", "retryable": True}


class Chaos:
    """Does to jobs what clients and workers do, in any order, and remembers what a deletion makes forget."""

    def __init__(self, database: Database, files: FileStore, seed: int) -> None:
        self.random = random.Random(seed)
        self.database = database
        self.files = files
        self.leases: list[Lease] = []
        self.ended = 0

    def submit(self) -> None:
        with self.database.transaction(self.random.choice(OWNERS)) as session:
            submit_job(
                session, spec={}, resolved_spec={}, kind=self.random.choice(KINDS), name=None, labels={},
                model_id=None, max_attempts=3, max_runtime_s=60, max_queued=1000,
            )  # fmt: skip

    def claim(self) -> None:
        with self.database.transaction() as session:
            job = claim_job(session, "wrk", 60)
            if job is not None:
                self.leases.append(Lease(job.id, job.attempt, "wrk"))

    def cancel(self) -> None:
        with self.database.transaction() as session:
            job_id = self._pick(session.exec(select(Job.id)).all())
            if job_id is not None:
                with suppress(Conflict):
                    request_cancel(session, job_id)

    def end(self) -> None:
        if not self.leases:
            return
        lease = self.leases.pop(self.random.randrange(len(self.leases)))
        # Few contents for many artifacts: equal files are stored once.
        stored = self.files.put_bytes(b"x" * self.random.randrange(1, 6))
        artifact = build_artifact(
            job_id=lease.job_id, kind="log", name="n", media_type="m", sha256=stored.sha256, num_bytes=stored.num_bytes
        )
        with self.database.transaction() as session:
            match self.random.choice(("succeed", "fail", "crash", "release")):
                case "succeed":
                    finish_succeeded(session, lease, result={}, output_model_id=None, artifacts=[artifact], models=[])
                case "fail":
                    finish_failed(session, lease, error=CRASH, artifacts=[artifact])
                case "crash":
                    retry_or_fail(session, lease, error=CRASH, artifacts=[artifact])
                case "release":
                    release_job(session, lease, artifacts=[artifact])

    def delete(self) -> None:
        with self.database.read() as session:
            job_id = self._pick(session.exec(select(Job.id).where(col(Job.status).in_(TERMINAL))).all())
        if job_id is not None:
            delete_job(self.database, self.files, job_id)

    def step(self) -> None:
        moves = (self.submit, self.submit, self.submit, self.claim, self.claim, self.end, self.cancel, self.delete)
        self.random.choice(moves)()

    def _pick(self, ids: object) -> str | None:
        listed = sorted(ids)  # type: ignore[call-overload]
        return self.random.choice(listed) if listed else None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_tallies_are_what_counting_the_rows_gives(database: Database, files: FileStore, seed: int) -> None:
    chaos = Chaos(database, files, seed)
    for _ in range(100):
        chaos.step()
    with database.read() as session:
        statistics = read_statistics(session)
        jobs = session.exec(select(Job)).all()
        artifacts = session.exec(select(Artifact)).all()
        counted = Counter((job.kind, job.status) for job in jobs)
        assert counted
        assert {key: value for key, value in statistics.num_jobs.items() if value} == counted
        assert count_jobs(session) == dict.fromkeys(JobStatus, 0) | Counter(JobStatus(job.status) for job in jobs)
        assert statistics.stored_bytes == sum(artifact.num_bytes for artifact in artifacts)
    for owner in OWNERS:
        own = [job for job in jobs if job.owner == owner]
        with database.read(owner) as session:
            assert count_queued(session, owner) == sum(job.status == JobStatus.QUEUED for job in own)
            assert sum(count_jobs(session).values()) == len(own)


def test_attempts_requeues_and_durations_outlive_their_jobs(database: Database, files: FileStore) -> None:
    """Prometheus takes a counter that falls for a restart of the service."""
    chaos = Chaos(database, files, 0)
    for _ in range(3):
        chaos.submit()
        chaos.claim()
    first, second, third = chaos.leases
    with database.transaction() as session:
        release_job(session, first)
        # Of the two that end, one took two seconds and the other a day and an hour.
        for lease, seconds in ((second, 2), (third, 90_000)):
            long_ago = utc_now().timestamp() - seconds
            moment = utc_now().fromtimestamp(long_ago, tz=utc_now().tzinfo)
            session.exec(update(Job).where(col(Job.id) == lease.job_id).values(started_at=moment, kind="train"))
            finish_failed(session, lease, error=CRASH)
    with database.transaction() as session:
        session.exec(update(Job).values(kind="train"))
    for lease in (second, third):
        delete_job(database, files, lease.job_id)
    with database.read() as session:
        statistics = read_statistics(session)
        assert [event.type for event in session.exec(select(JobEvent)).all()].count("requeued") == 1
    assert sum(statistics.num_attempts.values()) == 3
    assert {reason: number for (_, reason), number in statistics.num_requeues.items()} == {"worker_stopped": 1}
    durations = statistics.durations["train", "failed"]
    assert {bound: number for bound, number in durations.num_jobs.items() if number} == {"5.0": 1, "+Inf": 1}
    assert durations.total_s == pytest.approx(90_002, abs=60)
    assert tuple(durations.num_jobs) == DURATION_BOUNDS_S


def test_an_upgrade_counts_what_is_there_already(database: Database, files: FileStore) -> None:
    chaos = Chaos(database, files, 2)
    for _ in range(80):  # without deletions: of what is gone nothing can be counted
        chaos.random.choice((chaos.submit, chaos.submit, chaos.claim, chaos.end, chaos.cancel))()
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.read() as session:
        before = read_statistics(session)
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
        command.upgrade(config, "head")
    with database.read() as session:
        after = read_statistics(session)
    assert after.num_jobs == {key: value for key, value in before.num_jobs.items() if value}
    assert after.num_attempts == before.num_attempts
    assert after.num_requeues == before.num_requeues
    assert after.stored_bytes == before.stored_bytes
    assert {key: each.num_jobs for key, each in after.durations.items()} == {
        key: each.num_jobs for key, each in before.durations.items()
    }
    assert before.durations
