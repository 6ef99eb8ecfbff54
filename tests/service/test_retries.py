"""What a job shows of its attempts, and retries of jobs that an older version stored."""

from __future__ import annotations

from fastapi.testclient import TestClient

from storage.attempts import release_job, retry_or_fail
from storage.tables import Job
from tests.service.conftest import Workshop, check_problem
from tests.storage.conftest import lose_workers


def test_a_retry_of_what_an_older_version_stored_is_queued_and_hashed_as_it_will_run(
    client: TestClient, workshop: Workshop
) -> None:
    model_id = workshop.train()
    new = workshop.submit("prune", model_id=model_id)
    workshop.fail(workshop.claim())
    with workshop.database.transaction() as session:
        job = session.get_one(Job, new)
        wanted, job.step_hash = job.step_hash, "of an older version"
        job.resolved_spec = {**job.resolved_spec, "steps": 6, "epochs_per_step": 1, "forgotten": True}
    answer = client.post(f"/v1/jobs/{new}/retry")
    assert answer.status_code == 202
    with workshop.database.read() as session:
        again = session.get_one(Job, answer.json()["id"])
        assert (again.step_hash, again.resolved_spec["steps"], again.max_attempts) == (wanted, 6, 2)


def test_a_retry_of_what_cannot_be_run_any_more_names_the_field(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    with workshop.database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.resolved_spec = {**job.resolved_spec, "optimizer": "gone"}
    check_problem(client.post(f"/v1/jobs/{job_id}/retry"), 409, "conflict", "optimizer")


def test_a_job_shows_which_attempt_it_is_at_and_how_often_it_was_started(
    client: TestClient, workshop: Workshop
) -> None:
    job_id = workshop.submit("train")
    seen = []
    for fate in ("lost", "released", "crashed", "running"):
        lease = workshop.claim()
        with workshop.database.transaction() as session:
            if fate == "lost":
                lose_workers(session)
            elif fate == "released":
                release_job(session, lease)
            elif fate == "crashed":
                retry_or_fail(session, lease, error={"code": "worker_lost"})
        job = client.get(f"/v1/jobs/{job_id}").json()
        seen.append((job["attempt"], job["max_attempts"], job["num_starts"]))
    assert seen == [(1, 2, 1), (1, 2, 2), (2, 2, 3), (2, 2, 4)]
