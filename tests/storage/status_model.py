"""The status machine of jobs as a model without a database, for test_status_machine.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.attempts import Lease

TERMINAL = {"succeeded", "failed", "cancelled"}


@dataclass
class Known:
    """A job as the model has it."""

    max_attempts: int
    base_model: str | None
    parent_id: str | None = None
    status: str = "queued"
    attempt: int = 0
    cancel_requested: bool = False
    holder: str | None = None
    waits_for: set[str] | None = None
    model_id: str | None = None
    hashes: set[str] = field(default_factory=set)

    def holds(self, lease: Lease) -> bool:
        active = self.status in ("running", "cancelling")
        return active and (self.attempt, self.holder) == (lease.attempt, lease.holder)


class Jobs(dict[str, Known]):
    """The status machine, by id in the order of submission. A job may wait for others, its steps."""

    def has_ended(self, job_id: str) -> bool:
        return self[job_id].status in TERMINAL

    def get_steps(self, job_id: str) -> list[str]:
        return [step for step, known in self.items() if known.parent_id == job_id]

    def end(self, job_id: str, status: str) -> None:
        """A job that ends stops its steps, and its parent learns of it."""
        known = self[job_id]
        known.status, known.holder, known.waits_for = status, None, None
        self._stop_steps(job_id)
        if known.parent_id is not None and not self.has_ended(known.parent_id):
            self._go_on(known.parent_id, is_in_vain=status != "succeeded")

    def requeue(self, job_id: str) -> None:
        self[job_id].status, self[job_id].holder, self[job_id].waits_for = "queued", None, None

    def lose(self, job_id: str) -> None:
        """Its process or its worker is gone."""
        known = self[job_id]
        if known.cancel_requested:
            self.end(job_id, "cancelled")
        elif known.attempt >= known.max_attempts:
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

    def wait(self, job_id: str, steps: set[str]) -> None:
        known = self[job_id]
        known.max_attempts += 1
        if known.cancel_requested:
            self.end(job_id, "cancelled")
        elif all(map(self.has_ended, steps)):
            self.requeue(job_id)
        else:
            known.holder, known.waits_for = None, steps

    def _stop_steps(self, job_id: str) -> None:
        for step in self.get_steps(job_id):
            if not self.has_ended(step):
                self.stop(step)

    def _go_on(self, job_id: str, *, is_in_vain: bool) -> None:
        """Who waits goes on when nothing runs any more, or in vain; who is to be cancelled waits for the rest."""
        known = self[job_id]
        if known.waits_for is None:
            return
        if all(map(self.has_ended, known.waits_for)):
            if known.cancel_requested:
                self.end(job_id, "cancelled")
            else:
                self.requeue(job_id)
        elif is_in_vain and not known.cancel_requested:
            self.requeue(job_id)
