"""The statements that are run again and again read what they need by an index: more rows must not make them slower."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from storage import attempts, events, jobs, models, statistics
from storage.attempts import Lease
from storage.database import Database
from storage.tables import Job, JobStatus, utc_now

OWNER = "local"
TOKEN = "1790000000000000" + "0" * 26
LEASE = Lease("job_1", 1, "wrk")

GROWING = ("job", "jobevent", "joblabel", "jobmetric", "artifact", "model")
"""Tables with a row for each job or more. The others stay as small as the number of workers, owners and kinds."""

OPERATIONS: dict[str, Callable[[Session], object]] = {
    "look for a queued job": attempts.has_queued,
    "claim": lambda session: attempts.claim_job(session, "wrk", 30),
    "list what is to be cancelled": lambda session: attempts.list_cancelling(session, "wrk"),
    "get a job": lambda session: session.get(Job, "job_1"),
    "newest job": jobs.find_newest_job,
    "newest model": lambda session: models.find_newest_model(session, "train"),
    "list": jobs.list_jobs,
    "list, a later page": lambda session: jobs.list_jobs(session, page_token=TOKEN),
    "list by status": lambda session: jobs.list_jobs(session, status=JobStatus.FAILED),
    "list by status, a later page": lambda session: jobs.list_jobs(session, status="failed", page_token=TOKEN),
    "list by kind": lambda session: jobs.list_jobs(session, kind="prune"),
    "list by kind, a later page": lambda session: jobs.list_jobs(session, kind="prune", page_token=TOKEN),
    "list by kind and status": lambda session: jobs.list_jobs(session, kind="prune", status="failed"),
    "list by model": lambda session: jobs.list_jobs(session, model_id="mdl_1"),
    "list by model, a later page": lambda session: jobs.list_jobs(session, model_id="mdl_1", page_token=TOKEN),
    "list by time": lambda session: jobs.list_jobs(session, created_after=utc_now() - timedelta(days=1)),
    "list by label": lambda session: jobs.list_jobs(session, label=("team", "a")),
    "list by label, a later page": lambda session: jobs.list_jobs(session, label=("team", "a"), page_token=TOKEN),
    "list by label and status": lambda session: jobs.list_jobs(session, label=("team", "a"), status="failed"),
    "list models": models.list_models,
    "list models, a later page": lambda session: models.list_models(session, page_token=TOKEN),
    "list models by parent": lambda session: models.list_models(session, parent_model_id="mdl_1"),
    "events after": lambda session: events.list_news(session, {"job_1": 5, "job_2": 0}),
    "newest event": lambda session: events.find_newest_seq(session, "job_1"),
    "statuses": lambda session: jobs.find_statuses(session, ["job_1", "job_2"]),
    "counts": statistics.count_jobs,
    "count of queued jobs": lambda session: statistics.count_queued(session, OWNER),
    "metrics": statistics.read_statistics,
}


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_hot_query_scans_no_table_that_grows_and_sorts_nothing(database: Database, operation: str) -> None:
    executed: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        executed.append((statement, parameters))

    with database.transaction(OWNER) as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        OPERATIONS[operation](session)
        event.remove(connection, "before_cursor_execute", note)
        plans = [
            row[3]
            for statement, parameters in executed
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert plans
    scans = [step for step in plans if step.startswith("SCAN") and step.split()[1] in GROWING]
    assert scans == []
    if operation.startswith(("list", "claim", "newest")):
        assert [step for step in plans if "TEMP B-TREE" in step] == []
