"""Brings queued jobs to the engine, keeps their leases, and writes how each attempt ended."""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from storage import attempts, statistics, workers
from storage.attempts import KindChoice, Lease
from storage.backoff import Backoff
from storage.database import Database
from storage.errors import DiskFull, LeaseLost, is_disk_full
from storage.files import FileStore
from storage.ids import new_id
from storage.logs import bind_log_fields
from storage.settings import Settings
from storage.tables import TERMINAL
from worker.engine.cleanup import sweep_files, sweep_folders
from worker.engine.context import staging_folder
from worker.engine.finalize import finalize_attempt
from worker.engine.lease_monitor import LeaseMonitor
from worker.engine.outcome import find_outcome
from worker.engine.port import Attempt, Engine, ExitStatus, Lane
from worker.engine.publish import Publication, publish_log
from worker.engine.verdict import Stop, judge

_POLL_S = 0.05
_TROUBLE_S = 1.0
_LONGEST_TROUBLE_S = 5.0
_SWEEP_S = 60.0
_SWEEP_FILES_S = 3600.0
_WORKER_FORGOTTEN_S = 3600.0

log = logging.getLogger(__name__)


def compute_longest_wait(lease_ttl_s: float) -> float:
    """Seconds between two tries at a database that does not answer.

    Never so many that a lease runs out before it is given up, nor that who waits for signs of life takes the worker for
    hanging.
    """
    return min(max(_TROUBLE_S, lease_ttl_s / 10), _LONGEST_TROUBLE_S)


@dataclass
class _Running:
    """An attempt that this worker holds; times are of the monotonic clock."""

    attempt: Attempt
    kind: str
    max_runtime_s: int
    started_at: float
    renewed_at: float
    stop: Stop | None = None
    exit_status: ExitStatus | None = None


class Dispatcher:
    """The worker's one loop. It owns the leases; the engine owns the processes."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        engine: Engine,
        *,
        light_kinds: Collection[str] = (),
        lanes: Collection[Lane] = tuple(Lane),
        on_round: Callable[[], None] = lambda: None,
    ) -> None:
        self.worker_id = new_id("wrk")
        self._settings = settings
        self._database = database
        self._files = FileStore(settings)
        self._engine = engine
        self._light_kinds = light_kinds
        self._lanes = lanes
        self._on_round = on_round
        # By lease, not by job: an attempt that was lost may still be dying here when this worker claims its job anew.
        self._running: dict[Lease, _Running] = {}
        self._leases = LeaseMonitor(settings.lease_ttl_s)
        self._backoff = Backoff(
            log, "use the database", first_s=_TROUBLE_S, longest_s=compute_longest_wait(settings.lease_ttl_s)
        )
        self._is_stopping = False
        self._beat_at = 0.0
        self._sweep_at = 0.0
        self._sweep_files_at = 0.0

    def stop(self) -> None:
        """Lets `run` return soon; running attempts are stopped, their jobs queued again. Safe in a signal handler."""
        self._is_stopping = True

    def run(self, *, drain: bool = False) -> None:
        """Works until `stop`; with `drain`, until every job of its lanes has ended."""
        log.info("worker %s starts with %d slot(s)", self.worker_id, self._settings.slots)
        try:
            while not (self._is_stopping and not self._running) and not (drain and self._is_drained()):
                self._on_round()
                if not self.tick():
                    time.sleep(_POLL_S)
        finally:
            self._engine.close()
        with self._database.transaction() as session:
            workers.remove_worker(session, self.worker_id)
        log.info("worker %s stops", self.worker_id)

    def tick(self) -> bool:
        """One round; returns whether a job was started, so that the next round is worth while at once."""
        try:
            if time.monotonic() >= self._beat_at:
                self._beat()
            self._watch()
            is_started = not self._is_stopping and any(
                self._engine.count_free(lane) > 0 and self._start_next(lane) for lane in self._lanes
            )
        except (OperationalError, DiskFull) as error:
            wait_s = self._backoff.fail(error)
            self._give_up_unrenewed()
            time.sleep(wait_s)
            return False
        self._backoff.succeed()
        return is_started

    def _is_drained(self) -> bool:
        if self._running:
            return False
        # A worker of light jobs alone must not wait for those that it never runs.
        kinds = None if Lane.HEAVY in self._lanes else self._light_kinds
        with self._database.read() as session:
            counts = statistics.count_jobs(session, kinds)
        return all(status in TERMINAL or count == 0 for status, count in counts.items())

    # --- leases

    def _beat(self) -> None:
        ttl = self._settings.lease_ttl_s
        now = time.monotonic()
        with self._database.transaction() as session:
            for running in self._running.values():
                try:
                    attempts.renew_lease(session, running.attempt.lease, ttl)
                except LeaseLost:
                    running.stop = Stop.LOST
            workers.record_heartbeat(
                session,
                worker_id=self.worker_id,
                pid=os.getpid(),
                host=socket.gethostname(),
                slots=self._settings.slots,
                info={"python": platform.python_version(), "jobs": sorted({lease.job_id for lease in self._running})},
            )
            workers.remove_silent_workers(session, _WORKER_FORGOTTEN_S)
            recovered = self._recover(session)
        held = [running for running in self._running.values() if running.stop is not Stop.LOST]
        for running in held:
            running.renewed_at = now
        self._engine.reconcile({running.attempt.lease for running in held})
        self._beat_at = now + ttl / 4
        if recovered or now >= self._sweep_at:
            sweep_folders(self._settings, self._database)
            self._sweep_at = now + _SWEEP_S
        if now >= self._sweep_files_at:
            sweep_files(self._settings, self._database)
            self._sweep_files_at = now + _SWEEP_FILES_S

    def _recover(self, session: Session) -> bool:
        recovered = False
        for lease, stamp in self._leases.find_silent(attempts.list_leases(session), time.monotonic()).items():
            status = attempts.requeue_silent(session, lease, stamp)
            if status is None:
                continue
            log.warning("attempt %d of %s was lost; the job is now %s", lease.attempt, lease.job_id, status)
            publication = Publication(self._files, lease)
            with suppress(DiskFull, OSError):  # without its log, if need be
                publish_log(publication, staging_folder(self._settings, lease))
            publication.secure(session)
            session.add_all(publication.artifacts)
            recovered = True
        return recovered

    def _give_up_unrenewed(self) -> None:
        # The holder stops itself before its lease runs out, so that two attempts never run at once. One that has ended
        # by now is kept: whether it may still be published, its fence will tell.
        for running in self._running.values():
            if running.exit_status is None and time.monotonic() - running.renewed_at > 0.8 * self._settings.lease_ttl_s:
                running.stop = Stop.LOST
                self._engine.cancel(running.attempt.lease, grace_s=0)

    # --- the life of an attempt

    def _choose_kinds(self, lane: Lane) -> KindChoice:
        if lane is Lane.HEAVY:
            return KindChoice(self._light_kinds)
        # One of each kind at a time: a prediction, of a second, must not wait behind many imports.
        taken = {running.kind for running in self._running.values()}
        return KindChoice([kind for kind in self._light_kinds if kind not in taken], is_excluded=False)

    def _start_next(self, lane: Lane) -> bool:
        choice = self._choose_kinds(lane)
        with self._database.read() as session:
            if not attempts.has_queued(session, choice):
                return False
        with self._database.transaction() as session:
            job = attempts.claim_job(session, self.worker_id, self._settings.lease_ttl_s, choice)
        if job is None:
            return False
        lease = Lease(job.id, job.attempt, self.worker_id)
        now = time.monotonic()
        staging = staging_folder(self._settings, lease)
        attempt = Attempt(lease, job.resolved_spec, staging, job.owner, job.request_id, lane)
        self._running[lease] = _Running(attempt, job.kind, job.max_runtime_s, now, now)
        with _name_in_log(attempt):
            log.info("an attempt at a %s job starts", job.kind)
            try:
                self._engine.submit(attempt)
            except OSError as error:
                log.exception("the attempt could not be started")
                self._running[lease].exit_status = ExitStatus(None, None, disk_full=is_disk_full(error))
        return True

    def _watch(self) -> None:
        if not self._running:
            return
        with self._database.read() as session:
            cancelling = attempts.list_cancelling(session, self.worker_id)
        now = time.monotonic()
        for lease, running in list(self._running.items()):
            if running.stop is None:
                if lease.job_id in cancelling:
                    running.stop = Stop.CANCEL
                elif now >= running.started_at + running.max_runtime_s:
                    running.stop = Stop.DEADLINE
                elif self._is_stopping:
                    running.stop = Stop.RELEASE
            if running.stop is not None:
                self._engine.cancel(lease, 0 if running.stop is Stop.LOST else self._settings.cancel_grace_s)
            running.exit_status = running.exit_status or self._engine.status(lease)
            if running.exit_status is not None:
                attempt = running.attempt
                outcome = find_outcome(attempt.staging) if running.exit_status.exit_code == 0 else None
                judgement = judge(running.stop, running.exit_status, outcome, running.max_runtime_s)
                with _name_in_log(attempt):
                    finalize_attempt(self._settings, self._database, attempt, judgement, outcome)
                    log.info("the attempt has ended: %s", judgement.verdict)
                del self._running[lease]


def _name_in_log(attempt: Attempt) -> AbstractContextManager[None]:
    """Lines written inside say which attempt they are about, and which request it goes back to."""
    lease = attempt.lease
    return bind_log_fields(job_id=lease.job_id, attempt=lease.attempt, request_id=attempt.request_id)
