"""How a parent finds its own step again after an upgrade."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from storage import attempts
from storage.attempts import Lease, PlannedStep
from storage.jobs import get_job
from storage.steps import compute_step_hash, list_children
from tests.worker.engine.conftest import Bench
from worker.engine.child_jobs import stage_step
from worker.job_spec import JobSpec, Step


class LaterSpec(JobSpec):
    """A kind that has got a field since its jobs were stored."""

    kind: Literal["sample"] = "sample"
    depth: int = 3
    added: bool = False


class NextSpec(LaterSpec):
    """The same whose results mean something else by now."""

    version: ClassVar[int] = LaterSpec.version + 1


@pytest.mark.parametrize(
    ("spec", "is_found"),
    [
        (LaterSpec(), True),
        (LaterSpec(name="called otherwise", max_attempts=1), True),
        (LaterSpec(depth=4), False),
        (LaterSpec(added=True), False),
        (NextSpec(), False),
    ],
)
def test_a_step_that_was_stored_without_a_field_is_found_where_the_field_has_its_default(
    bench: Bench, spec: JobSpec, is_found: bool
) -> None:
    stored: dict[str, Any] = LaterSpec().model_dump(mode="json")
    del stored["added"]
    parent = bench.submit("parent")
    with bench.database.transaction() as session:
        assert attempts.claim_job(session, "wrk", 30) is not None
        lease = Lease(parent, 1, "wrk")
        old_hash = compute_step_hash(session, stored, LaterSpec.version)
        attempts.suspend_job(
            session, lease, steps=[PlannedStep("first", stored, old_hash, 1.0)], done_s=0.0, later_s=0.0
        )
    with bench.database.read() as session:
        staged = stage_step(session, get_job(session, parent), "first", Step(spec, 1.0))
        (child,) = list_children(session, parent)
    assert (staged.step_hash == child.step_hash) is is_found
