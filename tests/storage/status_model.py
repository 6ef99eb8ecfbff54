"""The status machine of jobs as a model without a database, for test_status_machine.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.attempts import Lease
from storage.losses import MAX_LOST_WORKERS

TERMINAL = {"succeeded", "failed", "cancelled"}


@dataclass
class Known:
    """A job as the model has it."""

    max_attempts: int
    base_model: str | None
    parent_id: str | None = None
    step_hash: str | None = None
    status: str = "queued"
    attempt: int = 0
    failed_attempts: int = 0
    lost_workers: int = 0
    cancel_requested: bool = False
    holder: str | None = None
    waits_for: set[str] | None = None
    model_id: str | None = None
    hashes: set[str] = field(default_factory=set)

    def holds(self, lease: Lease) -> bool:
        active = self.status in ("running", "cancelling")
        return active and (self.attempt, self.holder) == (lease.attempt, lease.holder)

    @property
    def counted_attempt(self) -> int:
        return min(self.failed_attempts + 1, self.max_attempts) if self.attempt else 0


class Jobs(dict[str, Known]):
    """The status machine, by id in the order of submission. A job may wait for others, its steps."""

    def has_ended(self, job_id: str) -> bool:
        # What was deleted had ended.
        return job_id not in self or self[job_id].status in TERMINAL

    def get_steps(self, job_id: str) -> list[str]:
        return [step for step, known in self.items() if known.parent_id == job_id]

    def end(self, job_id: str, status: str) -> None:
        """A job that ends stops its steps, and its parent and who else waits for it learn of it."""
        known = self[job_id]
        known.status, known.holder, known.waits_for = status, None, None
        self._stop_steps(job_id)
        parent = [] if known.parent_id is None else [known.parent_id]
        for waiting_id in parent + [other for other in self._list_waiting(job_id) if other not in parent]:
            if not self.has_ended(waiting_id):
                self._go_on(waiting_id, is_in_vain=status != "succeeded")

    def requeue(self, job_id: str) -> None:
        self[job_id].status, self[job_id].holder, self[job_id].waits_for = "queued", None, None

    def crash(self, job_id: str) -> None:
        """Its process is gone."""
        self[job_id].failed_attempts += 1
        self._try_again(job_id, is_last=self[job_id].failed_attempts >= self[job_id].max_attempts)

    def lose(self, job_id: str) -> None:
        """Its worker is gone."""
        self[job_id].lost_workers += 1
        self._try_again(job_id, is_last=self[job_id].lost_workers >= MAX_LOST_WORKERS)

    def _try_again(self, job_id: str, *, is_last: bool) -> None:
        if self[job_id].cancel_requested:
            self.end(job_id, "cancelled")
        elif is_last:
            self.end(job_id, "failed")
        else:
            self.requeue(job_id)

    def stop(self, job_id: str) -> None:
        """Somebody wants the job to stop."""
        known = self[job_id]
        if known.status in ("queued", "running"):
            known.cancel_requested = True
        if known.status == "queued":
            self.end(job_id, "cancelled")
        elif known.status == "running":
            known.status = "cancelling"
            if known.waits_for is not None:
                self._stop_steps(job_id)
                self._go_on(job_id, is_in_vain=False)

    def find_step(self, job_id: str, step_hash: str) -> str | None:
        """The job's own step, else the oldest that waits or runs for somebody else."""
        own = [step for step in self.get_steps(job_id) if self[step].step_hash == step_hash]
        shared = [
            other
            for other, known in self.items()
            if known.step_hash == step_hash and known.status in ("queued", "running") and not known.cancel_requested
        ]
        return next(iter(own + shared), None)

    def wait(self, job_id: str, steps: set[str]) -> None:
        known = self[job_id]
        if known.cancel_requested:
            self.end(job_id, "cancelled")
        elif all(map(self.has_ended, steps)):
            self.requeue(job_id)
        else:
            known.holder, known.waits_for = None, steps

    def _stop_steps(self, job_id: str) -> None:
        for step in self.get_steps(job_id):
            if self.has_ended(step):
                continue
            heir = next((other for other in self._list_waiting(step) if other != job_id), None)
            if heir is None:
                self.stop(step)
            else:
                self[step].parent_id = heir

    def _list_waiting(self, job_id: str) -> list[str]:
        return [
            other for other, known in self.items() if known.status == "running" and job_id in (known.waits_for or ())
        ]

    def _go_on(self, job_id: str, *, is_in_vain: bool) -> None:
        """Who waits goes on when nothing runs any more, or in vain; who is to be cancelled waits for the rest."""
        known = self[job_id]
        if known.waits_for is None:
            return
        # Who is to be cancelled does not wait for what others share with it.
        own = [step for step in known.waits_for if step in self and self[step].parent_id == job_id]
        if all(map(self.has_ended, own if known.cancel_requested else known.waits_for)):
            if known.cancel_requested:
                self.end(job_id, "cancelled")
            else:
                self.requeue(job_id)
        elif is_in_vain and not known.cancel_requested:
            self.requeue(job_id)
