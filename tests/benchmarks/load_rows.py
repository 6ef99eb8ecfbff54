"""Jobs as a service has them after months of use, written straight into its database."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from storage.database import Database
from storage.tables import Job, JobEvent, JobStatus, utc_now
from worker.jobs import SPECS

CHUNK = 5000
KINDS = ("train", "prune", "quantize", "compress")
SECONDS_APART = 60
MOST_JOBS = 200_000
ENDINGS = {JobStatus.SUCCEEDED: 90, JobStatus.FAILED: 7, JobStatus.CANCELLED: 3}
# The size of what a search for the highest sparsity keeps: its curve.
RESULT = {"curve": [{"sparsity": step / 40, "accuracy": 0.9, "accuracy_drop": 0.4, "loss": 0.3} for step in range(40)]}


def add_jobs(database: Database, first: int, end: int, seed: int) -> None:
    """Adds finished jobs with the numbers first … end - 1, one a minute, each with its three events."""
    generator = random.Random(f"{seed} {first}")
    specs = {
        kind: SPECS[kind].model_validate(SPECS[kind].model_json_schema()["examples"][0]).model_dump(mode="json")
        for kind in KINDS
    }
    begin = utc_now() - timedelta(seconds=SECONDS_APART * MOST_JOBS)
    for start in range(first, end, CHUNK):
        jobs = [_build_job(number, generator, specs, begin) for number in range(start, min(end, start + CHUNK))]
        events = [
            {"job_id": job["id"], "seq": seq, "attempt": 1, "type": kind, "data": {}, "created_at": job["created_at"]}
            for job in jobs
            for seq, kind in enumerate(("queued", "started", job["status"]), start=1)
        ]
        with database.transaction() as session:
            session.connection().execute(insert(Job), jobs)
            session.connection().execute(insert(JobEvent), events)


def build_job_id(number: int) -> str:
    """The id of the job with this number."""
    return f"job_{number:026d}"


def _build_job(number: int, generator: random.Random, specs: dict[str, dict[str, Any]], begin: Any) -> dict[str, Any]:
    kind = generator.choice(list(specs))
    created_at = begin + timedelta(seconds=SECONDS_APART * number)
    [status] = generator.choices(list(ENDINGS), list(ENDINGS.values()))
    return {
        "id": build_job_id(number),
        "owner": "local",
        "kind": kind,
        "status": status.value,
        "labels": {"team": f"team-{generator.randrange(50)}", "run": f"run-{number}"},
        "progress": {"percent": 100.0},
        "spec": specs[kind],
        "resolved_spec": specs[kind],
        "model_id": f"mdl_{number // 10:026d}",
        "result": RESULT,
        "warnings": [],
        "attempt": 1,
        "max_attempts": 2,
        "max_runtime_s": 7200,
        "cancel_requested": False,
        "created_at": created_at,
        "started_at": created_at,
        "finished_at": created_at + timedelta(seconds=generator.uniform(1, 900)),
        "updated_at": created_at,
    }
