"""Shorthand for putting jobs into the queue."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session

from storage.attempts import Lease, claim_job, list_leases, requeue_silent
from storage.database import Database
from storage.jobs import submit_job
from storage.tables import Job, JobStatus

Submit = Callable[..., Job]
SubmitAs = Callable[..., Job]
Claim = Callable[..., Lease]


@pytest.fixture
def submit_as(database: Database) -> SubmitAs:
    """Submits a job in a session of this owner; keyword arguments replace those of an ordinary one."""

    def submit_as(owner: str | None, **changes: Any) -> Job:
        values: dict[str, Any] = {
            "spec": {"kind": "train"}, "resolved_spec": {"kind": "train", "seed": 0}, "kind": "train", "name": None,
            "labels": {}, "model_id": None, "max_attempts": 2, "max_runtime_s": 60, "max_queued": 100,
        }  # fmt: skip
        with database.transaction(owner) as session:
            return submit_job(session, **values | changes)[0]

    return submit_as


@pytest.fixture
def submit(submit_as: SubmitAs) -> Submit:
    """The same where nobody is asked for a key."""
    return partial(submit_as, None)


@pytest.fixture
def claim(database: Database) -> Claim:
    """Claims the oldest queued job."""

    def claim(holder: str = "worker", ttl: float = 30.0) -> Lease:
        with database.transaction() as session:
            job = claim_job(session, holder, ttl)
        assert job is not None
        return Lease(job.id, job.attempt, holder)

    return claim


def lose_workers(session: Session) -> dict[Lease, JobStatus | None]:
    """What becomes of the jobs when every worker that holds one has fallen silent."""
    return {lease: requeue_silent(session, lease, stamp) for lease, stamp in list_leases(session).items()}
