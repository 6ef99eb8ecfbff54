"""A file that came in, and the job that it is for: both are there, or neither."""

from __future__ import annotations

import anyio
import anyio.to_thread

from service.access import Caller
from service.group_commit import GroupCommit
from service.routes.submissions import submit_spec
from service.uploads import Upload, attach
from storage.database import Database
from storage.files import FileStore
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
    sent, resolved = spec.model_dump(mode="json", exclude_unset=True), spec.model_dump(mode="json")
    try:
        # What takes long comes before the turn to write.
        staged = await anyio.to_thread.run_sync(upload.stage, files)

        def queue() -> tuple[Job, bool]:
            with database.transaction(caller.owner) as session:
                check_references(session, resolved)  # one may have been deleted since it was found
                once = (key, [sent, upload.sha256])
                job, is_new = submit_spec(session, spec, sent, resolved, settings, caller.request_id, once)
                if is_new:
                    attach(session, files, job, upload, staged)
            return job, is_new

        async with group_commit.take_turn():
            return await anyio.to_thread.run_sync(queue)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(upload.close)
