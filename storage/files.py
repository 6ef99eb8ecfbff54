"""Content-addressed files: the name is the SHA-256 of the bytes, so a file never changes and is stored once."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from storage.disk_quota import UNNAMED, Held, Room
from storage.errors import CorruptFile, DiskFull, NotFound, is_disk_full
from storage.settings import Settings

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20
_TEMPORARY_KEPT_S = 24 * 3600.0


@dataclass(frozen=True)
class StoredFile:
    """What addresses a stored file, and its length."""

    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class StagedFile:
    """A durable copy that lies beside the store, without a name in it. held: room that is its own once it has one."""

    file: StoredFile
    temporary: Path
    held: Held | None

    def discard(self) -> None:
        """Removes it, unless it has been published."""
        self.temporary.unlink(missing_ok=True)


class FileStore:
    """`<data_dir>/files/ab/cd…`: a file is written beside, made durable, and only then given its name."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.data_dir / "files"
        self._temporary = settings.data_dir / UNNAMED
        self.room = Room(settings)

    def put(self, source: Path) -> StoredFile:
        """Stores a copy of a file. Raises DiskFull."""
        with source.open("rb") as stream:
            return self.put_stream(stream)

    def put_stream(self, stream: BinaryIO) -> StoredFile:
        """Stores what a stream holds from where it stands. Raises DiskFull."""
        return self._store(_read_chunks(stream))

    def put_bytes(self, content: bytes) -> StoredFile:
        """Stores bytes. Raises DiskFull."""
        return self._store((content,))

    def stage_stream(self, stream: BinaryIO, held: Held | None) -> StagedFile:
        """Copies what a stream holds from where it stands, for `publish`. Raises DiskFull."""
        return self._stage(_read_chunks(stream), held)

    def publish(self, staged: StagedFile) -> StoredFile:
        """Gives a staged file its name, which takes no time. Raises DiskFull."""
        target = self.path(staged.file.sha256)
        with _disk_full_translated():
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                fsync_folder(self._root)
            with self.room.note(staged.file.num_bytes, staged.held):
                # Also where the file exists: a copy that has rotted on the disk is healed this way.
                staged.temporary.replace(target)
            fsync_folder(target.parent)
        return staged.file

    def path(self, sha256: str) -> Path:
        """Where the file of this hash lies, if it does. Nothing but the hash makes the path."""
        if _SHA256.fullmatch(sha256) is None:
            raise ValueError("not a SHA-256 in lower-case hexadecimal")
        return self._root / sha256[:2] / sha256[2:]

    def has(self, sha256: str) -> bool:
        """Whether the file is stored (its bytes unread)."""
        return self.path(sha256).is_file()

    def find(self, sha256: str) -> Path:
        """The path of a file that is there (its bytes unread). Raises NotFound."""
        if not self.has(sha256):
            raise NotFound("the stored file is gone")
        return self.path(sha256)

    def open_verified(self, sha256: str) -> BinaryIO:
        """The file at its beginning, every byte of it checked before. Raises NotFound, CorruptFile."""
        try:
            stream = self.path(sha256).open("rb")
        except FileNotFoundError:
            raise NotFound("the stored file is gone") from None
        if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            stream.close()
            raise CorruptFile("the stored file no longer matches its SHA-256")
        stream.seek(0)
        return stream

    def verify(self, sha256: str) -> Path:
        """The path of a file whose bytes were just checked. Raises NotFound, CorruptFile."""
        self.open_verified(sha256).close()
        return self.path(sha256)

    def remove(self, sha256: str) -> None:
        """Removes the file, if it is there. See `artifacts.remove_unreferenced`."""
        self.path(sha256).unlink(missing_ok=True)

    def list_stored(self, *, older_than_s: float = 0.0) -> Iterator[str]:
        """Hashes of the files in the store that were put there at least so many seconds ago."""
        newest = time.time() - older_than_s
        for path in self._root.glob("??/*"):
            sha256 = path.parent.name + path.name
            with suppress(FileNotFoundError):
                if _SHA256.fullmatch(sha256) is not None and path.stat().st_mtime <= newest:
                    yield sha256

    def sweep_temporary(self) -> None:
        """Removes what writers that died left behind a day ago or earlier."""
        if self._temporary.is_dir():
            for leftover in self._temporary.iterdir():
                with suppress(FileNotFoundError):
                    if time.time() - leftover.stat().st_mtime > _TEMPORARY_KEPT_S:
                        leftover.unlink()

    def _store(self, chunks: Iterable[bytes]) -> StoredFile:
        staged = self._stage(chunks, None)
        try:
            return self.publish(staged)
        finally:
            staged.discard()

    def _stage(self, chunks: Iterable[bytes], held: Held | None) -> StagedFile:
        temporary = self._temporary / secrets.token_hex(16)
        digest, num_bytes = hashlib.sha256(), 0
        with _disk_full_translated():
            self._temporary.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as stream:
                    for chunk in chunks:
                        digest.update(chunk)
                        num_bytes += stream.write(chunk)
                    stream.flush()
                    os.fsync(stream.fileno())
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return StagedFile(StoredFile(digest.hexdigest(), num_bytes), temporary, held)


def _read_chunks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK_BYTES), b"")


@contextmanager
def _disk_full_translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull("the disk that holds the data directory is full") from error
        raise


def fsync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: a rename is durable only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
