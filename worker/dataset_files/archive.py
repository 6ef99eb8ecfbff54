"""A zip file from outside: looked through before anything in it is unpacked. Its names are keys, never paths."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from storage.errors import InvalidDataset
from worker.catalog import RefusalReason
from worker.dataset_files.limits import DatasetLimits
from worker.dataset_files.naming import make_natural_key
from worker.dataset_files.source import show_name

DAMAGED = (
    zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError,
    OverflowError,
)  # fmt: skip
"""What Python raises of a damaged zip file, or a damaged entry."""
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm"}
)
_MAGIC_BYTES = 4
_ZIP = b"PK"
_LOCAL_HEADER = 30
_ENCRYPTED = 0x1
_UTF8 = 0x800
_UNPACKED_IN_PARTS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Python unpacks the others a whole block at a time, however large it gets."""
_OTHER_METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard"}
_LITTER_FOLDERS = frozenset({"__MACOSX"})
_LITTER_FILES = frozenset({"Thumbs.db", "desktop.ini"})
_HIDDEN = "."
"""Begins the names of what programs keep beside one's files: `.DS_Store`, `._1.jpg`, `.ipynb_checkpoints`."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip file."""

    parts: tuple[str, ...]
    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """With slashes."""
        return "/".join(self.parts)

    @property
    def is_picture(self) -> bool:
        """Whether it is called like one."""
        return find_suffix(self.parts[-1]) in PICTURE_SUFFIXES

    @property
    def num_bytes(self) -> int:
        """Unpacked: no more are ever read, whatever it holds."""
        return self.info.file_size


@dataclass(frozen=True)
class Archive:
    """members: in natural order of their names, without folders and what operating systems add, which is counted.

    magic: the first bytes of the file; of another than a zip file that is all that is known. scratch: a folder for what
    must be a file to be read.
    """

    path: Path
    magic: bytes
    members: Sequence[Member]
    num_ignored: int
    limits: DatasetLimits
    scratch: Path
    _file: zipfile.ZipFile | None

    def open(self, member: Member) -> IO[bytes]:
        """A stream of its bytes. Raises what is in DAMAGED, and InvalidDataset for what is not unpacked here."""
        method = member.info.compress_type
        if method not in _UNPACKED_IN_PARTS:
            raise InvalidDataset(
                f"{show_name(member.name)} is packed with {_OTHER_METHODS.get(method, f'method {method}')}: pack the "
                "zip file with deflate, or store it",
                field="file",
            )
        assert self._file is not None  # noqa: S101 - a member came from it
        return self._file.open(member.info)

    def read(self, member: Member) -> bytes | RefusalReason:
        """One picture's file, or why it cannot be had."""
        if member.num_bytes > self.limits.max_entry_bytes:
            return RefusalReason.TOO_LARGE
        try:
            return self.unpack(member)
        except DAMAGED:
            return RefusalReason.BROKEN

    def unpack(self, member: Member) -> bytes:
        """All of its bytes. Raises what is in DAMAGED."""
        with self.open(member) as stream:
            # By its size: without one Python would unpack all that is there, and then cut it off.
            content = stream.read(member.num_bytes)
        if len(content) < member.num_bytes:
            raise EOFError
        return content


def find_suffix(name: str) -> str:
    """The last part of a file's name behind a dot, with that and in lower case; empty where there is none."""
    return PurePosixPath(name).suffix.casefold()


class _GuardedFile(io.BufferedReader):
    """Refuses to be read in larger pieces than a directory may have: Python would read it whole, whatever its size."""

    def __init__(self, path: Path, limits: DatasetLimits) -> None:
        super().__init__(io.FileIO(path))
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        limit = self._limits.max_directory_bytes
        if size is not None and size > limit:
            raise InvalidDataset(f"the zip file's directory may have {limit >> 20} MiB: it is larger", field="file")
        return super().read(size)


@contextmanager
def open_archive(path: Path, scratch: Path, limits: DatasetLimits) -> Iterator[Archive]:
    """The file, looked through if it is a zip file. Raises InvalidDataset where its directory contradicts itself or
    holds too much.
    """
    with path.open("rb") as opened:
        magic = opened.read(_MAGIC_BYTES)
    if not magic.startswith(_ZIP):
        yield Archive(path, magic, (), 0, limits, scratch, None)
        return
    with _GuardedFile(path, limits) as stream:
        try:
            file = zipfile.ZipFile(stream)
        except (*DAMAGED, OSError) as error:
            reason = "a name in it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it is damaged"
            raise InvalidDataset(f"the zip file cannot be read: {reason}", field="file") from error
        with file:
            infos = file.infolist()
            _check_sizes(infos, path.stat().st_size, file.start_dir, limits)
            members = _list_members(infos)
            kept = [member for member in members if not _is_litter(member.parts)]
            kept.sort(key=lambda member: make_natural_key(member.name))
            yield Archive(path, magic, kept, len(members) - len(kept), limits, scratch, file)


def _check_sizes(infos: Sequence[zipfile.ZipInfo], num_bytes: int, directory_at: int, limits: DatasetLimits) -> None:
    total = sum(info.file_size for info in infos)
    if total > limits.max_expansion * num_bytes:
        raise InvalidDataset(
            f"the zip file would expand from {num_bytes:,} to {total:,} bytes: more than {limits.max_expansion} times",
            field="file",
        )
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.flag_bits & _ENCRYPTED:
            raise InvalidDataset(f"{show_name(info.filename)} is encrypted: give no password", field="file")
        if info.header_offset < end:
            raise InvalidDataset("entries of the zip file overlap", field="file")
        end = info.header_offset + _LOCAL_HEADER + info.compress_size
    if end > directory_at:
        raise InvalidDataset("an entry of the zip file reaches beyond its place", field="file")


def _list_members(infos: Sequence[zipfile.ZipInfo]) -> list[Member]:
    members, seen = [], set()
    for info in infos:
        name = _read_name(info).replace("\\", "/")  # as old programs for Windows write
        parts = tuple(part for part in name.split("/") if part != ".")
        is_folder = parts[-1:] in ((), ("",))
        parts = parts[:-1] if is_folder else parts
        if not {"", ".."}.isdisjoint(parts):
            raise InvalidDataset(f"{show_name(name)} is no name within a folder", field="file")
        if is_folder:
            continue
        if parts in seen:
            raise InvalidDataset(f"{show_name(name)} is in the zip file twice", field="file")
        seen.add(parts)
        members.append(Member(parts, info))
    return members


def _read_name(info: zipfile.ZipInfo) -> str:
    """The entry's name. Many programs write UTF-8 and do not say so, and Python reads that as code page 437."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            raise InvalidDataset(f"the name {show_name(name)} in the zip file is not UTF-8", field="file") from None
    if "\0" in name:
        raise InvalidDataset(f"the name {show_name(name)} in the zip file holds a zero byte", field="file")
    return name


def _is_litter(parts: tuple[str, ...]) -> bool:
    is_hidden = any(part.startswith(_HIDDEN) for part in parts)
    return is_hidden or parts[-1] in _LITTER_FILES or not _LITTER_FOLDERS.isdisjoint(parts[:-1])
