"""Writes how an attempt ended: files first, then its rows in one transaction, then its folders go."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress

from sqlmodel import Session

from storage.attempts import (
    Lease,
    PlannedStep,
    finish_cancelled,
    finish_failed,
    finish_succeeded,
    release_job,
    requeue_lost,
    retry_or_fail,
    suspend_job,
)
from storage.database import Database
from storage.errors import DiskFull, LeaseLost
from storage.files import FileStore
from storage.settings import Settings
from storage.tables import TERMINAL, JobStatus
from worker.engine.context import scratch_folder
from worker.engine.outcome import DISK_FULL, Outcome
from worker.engine.port import Attempt
from worker.engine.publish import Publication, publish_log, publish_outcome
from worker.engine.verdict import Judgement, Verdict

_UNPUBLISHED = {
    "code": "internal_error",
    "title": "The job failed",
    "detail": "the job's files could not be stored",
    "retryable": True,
}

log = logging.getLogger(__name__)


def finalize_attempt(
    settings: Settings, database: Database, attempt: Attempt, judgement: Judgement, outcome: Outcome | None
) -> None:
    """May be called again after an OperationalError or DiskFull. Where the lease is lost, leaves nothing behind."""
    lease, files = attempt.lease, FileStore(settings)
    status = None
    if judgement.verdict is not Verdict.DISCARDED:
        publication = Publication(files, lease)
        try:
            if judgement.verdict is Verdict.SUCCEEDED and outcome is not None:
                publish_outcome(publication, attempt.staging, outcome)
            # A parent's attempts are many and short: what they had to say stands in its events.
            elif judgement.verdict is not Verdict.WAITING:
                publish_log(publication, attempt.staging)
        except (DiskFull, OSError) as error:
            log.exception("the attempt could not be published")
            if judgement.verdict is Verdict.SUCCEEDED:
                judgement = Judgement(Verdict.FAILED, DISK_FULL if isinstance(error, DiskFull) else _UNPUBLISHED)
            # What had room until then would lie there unnamed.
            with database.transaction() as session:
                publication.withdraw(session)
            publication = Publication(files, lease)
            with suppress(DiskFull, OSError):  # the log is small, and tells what the work was
                publish_log(publication, attempt.staging)
        try:
            with database.transaction() as session:
                publication.secure(session)
                status = _write(session, lease, judgement, outcome, publication)
        except LeaseLost:
            log.warning("the attempt has lost its lease; its work is thrown away")
            with database.transaction() as session:
                publication.withdraw(session)
    shutil.rmtree(attempt.staging, ignore_errors=True)
    if status in TERMINAL:
        shutil.rmtree(scratch_folder(settings, lease.job_id), ignore_errors=True)


def _write(
    session: Session, lease: Lease, judgement: Judgement, outcome: Outcome | None, publication: Publication
) -> JobStatus:
    artifacts, error = publication.artifacts, judgement.error or {}
    if judgement.verdict is Verdict.SUCCEEDED and outcome is not None:
        finish_succeeded(
            session,
            lease,
            result=outcome.result,
            output_model_id=outcome.output_model_id,
            artifacts=artifacts,
            models=publication.models,
            datasets=publication.datasets,
        )
        return JobStatus.SUCCEEDED
    if judgement.verdict is Verdict.WAITING and outcome is not None and outcome.wait is not None:
        wait = outcome.wait
        steps = [PlannedStep(step.name, step.resolved_spec, step.step_hash, step.expected_s) for step in wait.steps]
        return suspend_job(session, lease, steps=steps, done_s=wait.done_s, later_s=wait.later_s)
    if judgement.verdict is Verdict.FAILED:
        finish_failed(session, lease, error=error, artifacts=artifacts)
        return JobStatus.FAILED
    if judgement.verdict is Verdict.CANCELLED:
        finish_cancelled(session, lease, artifacts=artifacts)
        return JobStatus.CANCELLED
    if judgement.verdict is Verdict.RELEASED:
        return release_job(session, lease, artifacts=artifacts)
    if judgement.verdict is Verdict.LOST:
        return requeue_lost(session, lease, error=error, artifacts=artifacts)
    return retry_or_fail(session, lease, error=error, artifacts=artifacts)
