"""Files that come in: counted and hashed while they are received, kept on disk and not in memory, not looked into.

What a file holds is found out by the job that it is for, in a process of its own. A job's upload is an artifact like
any other: it is listed, it is stored by its hash, and it goes when the job goes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, cast

import anyio.to_thread
from fastapi import Request
from sqlmodel import Session

from service.bodies import check_encoding, read_chunks
from service.errors import RequestRefused
from storage.artifacts import build_artifact, lock_publication
from storage.disk_quota import Held
from storage.errors import DiskFull
from storage.files import FileStore, StagedFile
from storage.tables import Job
from worker.catalog import ArtifactKind

MAX_PICTURE_BYTES = 32 * 1024**2


@dataclass(frozen=True)
class Upload:
    """A received file, still nameless on the disk: it is gone as soon as it is closed, however that comes about.

    held: the room in the store that it has been given. open_until: what ends with it.
    """

    stream: BinaryIO
    sha256: str
    name: str
    media_type: str
    held: Held | None = None
    open_until: ExitStack = field(default_factory=ExitStack)

    def stage(self, files: FileStore) -> StagedFile:
        """Copies it to beside the store, until it is closed or published. Raises DiskFull, also where only this file
        would be too much.
        """
        held_bytes = 0 if self.held is None else self.held.num_bytes
        files.room.check(self.stream.seek(0, io.SEEK_END), held_bytes=held_bytes)
        self.stream.seek(0)
        staged = files.stage_stream(self.stream, self.held)
        self.open_until.callback(staged.discard)
        return staged

    def close(self) -> None:
        """Once it is stored, or nobody wants it: an answer that is waited for does not hold it open."""
        self.open_until.close()


@asynccontextmanager
async def receive(request: Request, max_bytes: int, names: Mapping[str, str]) -> AsyncIterator[Upload]:
    """The body as an upload. names: media type → the name that the file gets.

    Raises RequestRefused (408, 413, 415, 422, 429), DiskFull.
    """
    check_encoding(request)
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type not in names:
        raise RequestRefused(
            415,
            "unsupported_media_type",
            f"Send the file itself as {' or '.join(names)}.",
            pointer="Content-Type",
            headers={"Accept": ", ".join(names)},
        )
    state = request.app.state
    folder, files, digest = state.settings.data_dir, cast("FileStore", state.files), hashlib.sha256()
    with ExitStack() as open_until:
        open_until.enter_context(state.open_uploads.hold(request.state.caller.owner))
        held = open_until.enter_context(files.room.hold())
        stream = cast("BinaryIO", await anyio.to_thread.run_sync(lambda: tempfile.TemporaryFile(dir=folder)))  # noqa: SIM115
        open_until.enter_context(stream)
        announced = int(request.headers.get("content-length", 0))
        if 0 < announced <= max_bytes:
            # All at once: of many that come together the first to ask are taken, and none gives up half-way.
            await anyio.to_thread.run_sync(held.grow, announced)
        num_bytes = 0
        async for chunk in read_chunks(request, max_bytes, "file"):
            digest.update(chunk)
            num_bytes += len(chunk)
            await anyio.to_thread.run_sync(_write, stream, chunk, held, num_bytes - held.num_bytes)
        if num_bytes == 0:  # what curl sends in place of a file that is not there
            raise RequestRefused(422, "empty_body", "The body is empty: send the file itself.", pointer="")
        yield Upload(stream, digest.hexdigest(), names[media_type], media_type, held, open_until)


def pack(content: bytes, name: str, media_type: str) -> Upload:
    """Bytes that the service made itself, as an upload."""
    return Upload(io.BytesIO(content), hashlib.sha256(content).hexdigest(), name, media_type)


def attach(session: Session, files: FileStore, job: Job, upload: Upload, staged: StagedFile) -> None:
    """In the transaction that queues the job: its upload gets its name and becomes the job's first artifact."""
    lock_publication(session)
    stored = files.publish(staged)
    session.add(
        build_artifact(
            job_id=job.id,
            kind=ArtifactKind.UPLOAD,
            name=upload.name,
            media_type=upload.media_type,
            sha256=stored.sha256,
            num_bytes=stored.num_bytes,
        )
    )


def _write(stream: BinaryIO, chunk: bytes, held: Held, unheld_bytes: int) -> None:
    if unheld_bytes > 0:
        held.grow(unheld_bytes)
    try:
        stream.write(chunk)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("the disk that holds the data directory is full") from error
        raise
