"""The dispatcher over an engine whose attempts take their time to die."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from annotated_types import Ge

from storage.attempts import Lease, claim_job, list_leases, requeue_silent
from storage.database import Database
from storage.jobs import submit_job
from storage.settings import Settings
from worker.engine.dispatcher import Dispatcher, compute_longest_wait
from worker.engine.port import Attempt, ExitStatus, Lane


class SlowEngine:
    """An adapter without processes: an attempt ends when the test says so."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.running: list[Lease] = []
        self.dead: set[Lease] = set()

    def count_free(self, lane: Lane) -> int:
        return self.slots - len(self.running) if lane is Lane.HEAVY else 0

    def submit(self, attempt: Attempt) -> None:
        self.running.append(attempt.lease)

    def cancel(self, lease: Lease, grace_s: float) -> None:
        pass

    def status(self, lease: Lease) -> ExitStatus | None:
        if lease not in self.dead:
            return None
        self.running.remove(lease)
        return ExitStatus(None, 9)

    def reconcile(self, held: Collection[Lease]) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_worker_that_gets_its_lost_job_again_still_buries_the_attempt_that_was_lost(
    settings: Settings, database: Database
) -> None:
    engine = SlowEngine(slots=2)
    dispatcher = Dispatcher(settings.model_copy(update={"lease_ttl_s": 0.01}), database, engine)
    with database.transaction() as session:
        submit_job(
            session, spec={}, resolved_spec={}, kind="train", name=None, labels={}, model_id=None, max_attempts=5,
            max_runtime_s=60, max_queued=10,
        )  # fmt: skip
    assert dispatcher.tick()
    (first,) = engine.running
    with database.transaction() as session:  # another worker takes the job for lost, and this one claims it again
        ((lease, stamp),) = list_leases(session).items()
        assert requeue_silent(session, lease, stamp) == "queued"
    assert dispatcher.tick()
    assert [lease.attempt for lease in engine.running] == [1, 2]
    engine.dead.add(first)
    dispatcher.tick()
    assert [lease.attempt for lease in engine.running] == [2]
    with database.transaction() as session:
        assert claim_job(session, "another", 30) is None


@pytest.mark.parametrize("lease_ttl_s", [0.01, 30.0, 3600.0, 1e308])
def test_a_worker_that_waits_for_its_database_is_not_taken_for_hanging(lease_ttl_s: float) -> None:
    (least,) = [rule.ge for rule in Settings.model_fields["hang_timeout_s"].metadata if isinstance(rule, Ge)]
    assert isinstance(least, float | int)
    assert compute_longest_wait(lease_ttl_s) <= least / 2
