"""Any order of events, against a model of the status machine that knows nothing of SQL.

The rules call the real functions with leases in force, lost and forged; the model says what must come of it. After
each step every row, every event log and every file is compared.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from sqlalchemy import update
from sqlmodel import Session, col, select

from storage import attempts
from storage.artifacts import build_artifact
from storage.attempts import Lease
from storage.database import Database
from storage.errors import Conflict, LeaseLost, NotFound
from storage.files import FileStore
from storage.ids import new_id
from storage.jobs import delete_job, get_job, list_events, request_cancel, submit_job
from storage.settings import Settings
from storage.steps import list_children
from storage.tables import Job, Model, utc_now
from tests.storage.status_model import TERMINAL, Jobs, Known

ERROR = {"code": "worker_lost", "title": "t", "detail": "d", "retryable": True}
WORKERS = st.sampled_from(["wrk_1", "wrk_2"])
CONTENTS = st.sampled_from([b"a", b"b", b"c"])  # few, so that jobs come to share files

AFTER_EVENT = {
    "queued": "queued",
    "waiting": "running",
    "resumed": "queued", "started": "running", "requeued": "queued", "cancelling": "cancelling",
    "succeeded": "succeeded", "failed": "failed", "cancelled": "cancelled",
}  # fmt: skip
"""What a reader of the event log alone takes the job's status to be."""


@cache
def _build_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tonok-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(Settings(data_dir=folder, database_url=None))
    database.create()
    database.dispose()
    return folder


class StatusMachine(RuleBasedStateMachine):
    """Jobs, and the leases that workers hold or believe to hold."""

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tonok-machine-"))
        shutil.copytree(_build_template(), self.folder, dirs_exist_ok=True)
        self.settings = Settings(data_dir=self.folder, database_url=None)
        self.database, self.files = Database(self.settings), FileStore(self.settings)
        self.known = Jobs()
        self.deleted: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.dispose()
            shutil.rmtree(self.folder)

    # --- what a client does

    @rule(target=jobs, max_attempts=st.integers(1, 3))
    def submit(self, max_attempts: int) -> str:
        return self._submit(max_attempts, None)

    @rule(target=jobs, parent=jobs)
    def submit_on_a_model(self, parent: str) -> Any:
        known = self.known.get(parent)
        if known is None or known.model_id is None:
            return multiple()
        return self._submit(2, known.model_id)

    def _submit(self, max_attempts: int, model_id: str | None) -> str:
        spec = {"kind": "train"}
        with self.database.transaction() as session:
            job, is_new = submit_job(
                session, spec=spec, resolved_spec=spec, kind="train", name=None, labels={}, model_id=model_id,
                max_attempts=max_attempts, max_runtime_s=60, max_queued=1000,
            )  # fmt: skip
        assert is_new
        self.known[job.id] = Known(max_attempts, model_id)
        return job.id

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        known = self.known.get(job_id)
        if known is None:
            self._expect(NotFound, lambda session: request_cancel(session, job_id))
        elif known.status in ("succeeded", "failed"):
            self._expect(Conflict, lambda session: request_cancel(session, job_id))
        else:
            with self.database.transaction() as session:
                request_cancel(session, job_id)
            self.known.stop(job_id)

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str) -> None:
        known = self.known.get(job_id)
        if known is None:
            with pytest.raises(NotFound):
                delete_job(self.database, self.files, job_id)
        elif self._is_needed(job_id):
            with pytest.raises(Conflict):
                delete_job(self.database, self.files, job_id)
        else:
            doomed = {job_id, *self.known.get_steps(job_id)}
            delete_job(self.database, self.files, job_id)
            for gone in doomed:
                del self.known[gone]
            self.deleted |= doomed

    def _is_needed(self, job_id: str) -> bool:
        doomed = {job_id, *self.known.get_steps(job_id)}
        if not all(map(self.known.has_ended, doomed)):
            return True
        parent_id = self.known[job_id].parent_id
        if parent_id is not None and parent_id in self.known and not self.known.has_ended(parent_id):
            return True
        models = {self.known[gone].model_id for gone in doomed} - {None}
        return any(
            other.base_model in models and (other.status not in TERMINAL or other.model_id is not None)
            for other_id, other in self.known.items()
            if other_id not in doomed
        )

    # --- what a worker does

    @rule(target=leases, holder=WORKERS)
    def start(self, holder: str) -> Any:
        waiting = [job_id for job_id, known in self.known.items() if known.status == "queued"]
        with self.database.transaction() as session:
            job = attempts.claim_job(session, holder, 30)
        if not waiting:
            assert job is None
            return multiple()
        assert job is not None
        assert job.id == waiting[0], "the oldest goes first"
        known = self.known[job.id]
        known.status, known.holder = "running", holder
        known.attempt += 1
        return Lease(job.id, known.attempt, holder)

    @rule(target=leases, lease=leases, holder=WORKERS, ahead=st.integers(-1, 1))
    def forge(self, lease: Lease, holder: str, ahead: int) -> Lease:
        """A lease that somebody may believe to hold: of another attempt, or of another worker."""
        return Lease(lease.job_id, lease.attempt + ahead, holder)

    @rule(lease=leases)
    def report(self, lease: Lease) -> None:
        self._write(lease, lambda session: attempts.record_progress(session, lease, progress={"percent": 1}))

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        self._write(lease, lambda session: attempts.renew_lease(session, lease, 30))

    @rule(lease=leases, content=CONTENTS)
    def succeed(self, lease: Lease, content: bytes) -> None:
        stored = self.files.put_bytes(content)
        artifact = build_artifact(
            job_id=lease.job_id, kind="checkpoint", name="w", media_type="m", sha256=stored.sha256, num_bytes=1
        )
        known = self.known.get(lease.job_id)
        model = Model(
            id=new_id("mdl"), job_id=lease.job_id, parent_model_id=None if known is None else known.base_model,
            name="n",
            architecture="mlp", dataset="digits", files={"checkpoint": artifact.id}, created_at=utc_now(),
        )  # fmt: skip
        done = self._write(
            lease,
            lambda session: attempts.finish_succeeded(
                session, lease, result={}, output_model_id=model.id, artifacts=[artifact], models=[model]
            ),
        )
        if done is not None:
            done.model_id = model.id
            done.hashes.add(stored.sha256)
            self.known.end(lease.job_id, "succeeded")
        self._withdraw(stored.sha256)

    @rule(lease=leases)
    def fail(self, lease: Lease) -> None:
        done = self._write(lease, lambda session: attempts.finish_failed(session, lease, error=ERROR))
        if done is not None:
            self.known.end(lease.job_id, "failed")

    @rule(lease=leases)
    def stop(self, lease: Lease) -> None:
        done = self._write(lease, lambda session: attempts.finish_cancelled(session, lease))
        if done is not None:
            self.known.end(lease.job_id, "cancelled")

    @rule(lease=leases)
    def crash(self, lease: Lease) -> None:
        done = self._write(lease, lambda session: attempts.retry_or_fail(session, lease, error=ERROR))
        if done is not None:
            self.known.crash(lease.job_id)

    @rule(lease=leases)
    def release(self, lease: Lease) -> None:
        done = self._write(lease, lambda session: attempts.release_job(session, lease))
        if done is not None:
            if done.cancel_requested:
                self.known.end(lease.job_id, "cancelled")
            else:
                self.known.requeue(lease.job_id)

    @rule(target=jobs, lease=leases, num_steps=st.integers(1, 2))
    def wait(self, lease: Lease, num_steps: int) -> Any:
        """The attempt asks for steps that are jobs of their own; asked again, it means the same ones. Others ask for
        the same: what somebody else has queued or runs is shared.
        """
        known = self.known.get(lease.job_id)
        if known is not None and known.parent_id is not None:
            return multiple()  # a step has no steps
        spec: dict[str, Any] = {"kind": "train", "name": None, "labels": {}, "max_attempts": 2, "max_runtime_s": 60}
        steps = [attempts.PlannedStep(f"step {number}", spec, f"{number}", 1.0) for number in range(num_steps)]
        found = {step.step_hash: self.known.find_step(lease.job_id, step.step_hash) for step in steps}
        waiting = self._write(
            lease, lambda session: attempts.suspend_job(session, lease, steps=steps, done_s=0.0, later_s=1.0)
        )
        if waiting is None:
            return multiple()
        asked = {step for step in found.values() if step is not None}
        added = []
        if not waiting.cancel_requested:
            with self.database.read() as session:
                for step in list_children(session, lease.job_id):
                    if step.id not in self.known:
                        assert found[str(step.step_hash)] is None
                        self.known[step.id] = Known(2, None, lease.job_id, step.step_hash)
                        added.append(step.id)
            assert len(asked) + len(added) == num_steps
        self.known.wait(lease.job_id, asked | set(added))
        return multiple(*added)

    @rule(lease=leases, is_stale=st.booleans())
    def expire(self, lease: Lease, is_stale: bool) -> None:
        """Somebody has seen no sign of the holder, or takes an old sighting for the present."""
        with self.database.transaction() as session:
            stamp = attempts.list_leases(session).get(lease)
            status = attempts.requeue_silent(session, lease, (stamp or 0.0) - is_stale)
        if stamp is None or is_stale:
            assert status is None
        else:
            self.known.lose(lease.job_id)
            with self.database.transaction() as session:  # how long it is left waiting is told in test_attempts.py
                session.exec(update(Job).where(col(Job.id) == lease.job_id).values(claimable_at=None))
            assert status == self.known[lease.job_id].status

    def _write(self, lease: Lease, write: Callable[[Session], object]) -> Known | None:
        """Writes with the lease: done where the model says that it is held, else refused."""
        known = self.known.get(lease.job_id)
        if known is None or not known.holds(lease):
            self._expect(LeaseLost, write)
            return None
        with self.database.transaction() as session:
            write(session)
        return known

    def _expect(self, error: type[Exception], write: Callable[[Session], object]) -> None:
        with pytest.raises(error), self.database.transaction() as session:
            write(session)

    def _withdraw(self, sha256: str) -> None:
        """A worker whose lease was lost takes its file back, unless a row names it."""
        if not any(sha256 in known.hashes for known in self.known.values()):
            self.files.remove(sha256)

    # --- what must hold at any moment

    @invariant()
    def every_row_is_as_the_model_has_it(self) -> None:
        with self.database.read() as session:
            rows = {job.id: job for job in session.exec(select(Job)).all()}
            held = attempts.list_leases(session).keys()
        found = {
            job_id: (
                job.status, job.attempt, job.counted_attempt, job.lost_workers, job.max_attempts,
                job.cancel_requested, job.lease_holder, job.parent_job_id,
                None if job.waits_for is None else set(job.waits_for["steps"]),
            )
            for job_id, job in rows.items()
        }  # fmt: skip
        assert found == {
            job_id: (
                known.status, known.attempt, known.counted_attempt, known.lost_workers, known.max_attempts,
                known.cancel_requested, known.holder, known.parent_id, known.waits_for,
            )
            for job_id, known in self.known.items()
        }  # fmt: skip
        assert all(0 <= job.counted_attempt <= job.max_attempts for job in rows.values())
        assert {lease.job_id for lease in held} == {job_id for job_id, known in self.known.items() if known.holder}
        assert all((job.finished_at is not None) == (job.status in TERMINAL) for job in rows.values())

    @invariant()
    def every_log_tells_the_same_story(self) -> None:
        with self.database.read() as session:
            for job_id, known in self.known.items():
                events = list_events(session, job_id, limit=1000)
                assert [event.seq for event in events] == list(range(1, len(events) + 1))
                told = [AFTER_EVENT[event.type] for event in events if event.type in AFTER_EVENT]
                assert told[-1] == known.status
                assert TERMINAL.isdisjoint(told[:-1])
                assert [event.type for event in events].count("started") == known.attempt

    @invariant()
    def every_file_has_its_row_and_every_row_its_file(self) -> None:
        named = set().union(*(known.hashes for known in self.known.values()))
        assert set(self.files.list_stored()) == named
        assert all(hashlib.sha256(self.files.path(sha256).read_bytes()).hexdigest() == sha256 for sha256 in named)

    @invariant()
    def what_was_deleted_is_gone(self) -> None:
        with self.database.read() as session:
            for job_id in self.deleted:
                with pytest.raises(NotFound):
                    get_job(session, job_id)


StatusMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
TestStatusMachine = pytest.mark.slow(StatusMachine.TestCase)
