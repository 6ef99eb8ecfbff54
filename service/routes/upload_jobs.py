"""A file that came in, and the job that it is for: both are there, or neither."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread

from service.access import Caller
from service.group_commit import GroupCommit
from service.routes.submissions import hash_request
from service.uploads import Upload, attach
from storage.database import Database
from storage.files import FileStore, StagedFile
from storage.jobs import submit_job
from storage.references import check_references
from storage.settings import Settings
from storage.tables import Job
from worker.job_spec import UploadSpec


async def submit_upload(
    group_commit: GroupCommit,
    database: Database,
    files: FileStore,
    settings: Settings,
    caller: Caller,
    spec: UploadSpec,
    upload: Upload,
    key: str | None,
) -> tuple[Job, bool]:
    """Queues the job that the file is for, and only with it stores the file; returns it and whether it is new.

    Closes the upload: of one that waits in vain, or whose client goes, nothing stays.
    """
    try:
        # What takes long comes before the turn to write.
        staged = await anyio.to_thread.run_sync(upload.stage, files)
        queue = partial(_queue, database, files, settings, caller, spec, upload, staged, key)
        async with group_commit.take_turn():
            return await anyio.to_thread.run_sync(queue)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(upload.close)


def _queue(
    database: Database,
    files: FileStore,
    settings: Settings,
    caller: Caller,
    spec: UploadSpec,
    upload: Upload,
    staged: StagedFile,
    key: str | None,
) -> tuple[Job, bool]:
    sent, resolved = spec.model_dump(mode="json", exclude_unset=True), spec.model_dump(mode="json")
    with database.transaction(caller.owner) as session:
        check_references(session, resolved)  # one may have been deleted since it was found
        job, is_new = submit_job(
            session,
            spec=sent,
            resolved_spec=resolved,
            kind=spec.kind,
            name=spec.name,
            labels=spec.labels,
            model_id=getattr(spec, "model_id", None),
            max_attempts=spec.max_attempts,
            max_runtime_s=spec.max_runtime_s,
            max_queued=settings.max_queued_jobs,
            idempotency=None if key is None else (key, hash_request(spec.kind, [sent, upload.sha256])),
            request_id=caller.request_id,
        )
        if is_new:
            attach(session, files, job, upload, staged)
    return job, is_new
