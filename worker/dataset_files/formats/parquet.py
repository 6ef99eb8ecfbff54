"""Parquet as Hugging Face writes it: a column of pictures' files and one of labels. A file, or several in a zip."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from storage.errors import InvalidDataset
from worker.catalog import DatasetWarning, RefusalReason, SplitName
from worker.dataset_files import parquet_rows
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.arrays import read_exactly
from worker.dataset_files.naming import find_first_split, find_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Content, Item, PictureSource, RefusalLog, show_first, show_name

_MAGIC = b"PAR1"
_SUFFIX = ".parquet"
_COPY_BYTES = 1 << 20
_LENGTH = struct.Struct(">I")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Table:
    """labels, splits: of each row, None where it has none."""

    path: Path
    name: str
    labels: Sequence[str | int | None]
    splits: Sequence[SplitName | None]
    class_names: tuple[str, ...] | None


def recognizes(archive: Archive, _: DatasetOptions) -> bool:
    """A Parquet file, or any in a zip file."""
    return archive.magic == _MAGIC or any(map(_is_parquet, archive.members))


def read(archive: Archive, options: DatasetOptions, refusals: RefusalLog) -> PictureSource:
    """Every row that has a label."""
    tables = []
    if archive.magic == _MAGIC:
        tables.append(_open_table(archive, archive.path, "the file", None, options, refusals))
    for member in archive.members:
        if not _is_parquet(member):
            refusals.add(member.name, RefusalReason.UNKNOWN_SUFFIX)
            continue
        unpacked = archive.scratch / f"table-{len(tables)}"
        _unpack(archive, member, unpacked)
        tables.append(_open_table(archive, unpacked, member.name, _find_split(member), options, refusals))
    names = {table.class_names for table in tables}
    if len(names) > 1:
        raise InvalidDataset("the Parquet files name different classes", field="classes")
    class_names = next(iter(names), None)
    items, is_kept = [], []
    for table in tables:
        for row, (label, split) in enumerate(zip(table.labels, table.splits, strict=True)):
            name = f"{table.name}[{row}]"
            # Unlabelled rows are marked with -1 too.
            has_label = label is not None and not (isinstance(label, int) and label < 0)
            is_kept.append(has_label)
            if label is not None and has_label:
                items.append(Item(name, _name_label(label, table), split))
            else:
                refusals.add(name, RefusalReason.NO_CLASS)
    return PictureSource(items, _keep(_read_pictures(archive, tables, options), is_kept), class_names)


def _is_parquet(member: Member) -> bool:
    return member.parts[-1].casefold().endswith(_SUFFIX)


def _find_split(member: Member) -> SplitName | None:
    """Of `train-00000-of-00001.parquet`, or `default/train/0000.parquet`."""
    words = [word for part in reversed(member.parts) for word in re.split("[^a-zA-Z]+", part)]
    return find_first_split(words)


def _unpack(archive: Archive, member: Member, target: Path) -> None:
    if member.num_bytes > archive.limits.max_decoded_bytes:
        raise InvalidDataset(f"{show_name(member.name)} is too large", field="file")
    try:
        with archive.open(member) as stream, target.open("wb") as file:
            shutil.copyfileobj(stream, file, _COPY_BYTES)
    except DAMAGED as error:
        raise InvalidDataset(f"{show_name(member.name)} is damaged", field="file") from error


def _name_label(label: str | int, table: _Table) -> str:
    if table.class_names is None or isinstance(label, str):
        return str(label)
    if label >= len(table.class_names):
        raise InvalidDataset(f"{show_name(table.name)} has labels without a class name", field="classes")
    return table.class_names[label]


def _keep(contents: Generator[Content, None, None], is_kept: Sequence[bool]) -> Generator[Content, None, None]:
    with closing(contents):
        for content, keep in zip(contents, is_kept, strict=True):
            if keep:
                yield content


def _open_table(
    archive: Archive, path: Path, name: str, split: SplitName | None, options: DatasetOptions, refusals: RefusalLog
) -> _Table:
    """split: of the rows of a table that says none of its own."""
    with _read_rows(archive, path, name, options) as stream:
        head = _read_head(stream, archive, name)
    if "error" in head:
        field = "file" if options.label_column is None else "label_column"
        raise InvalidDataset(f"{show_name(name)} cannot be read: {head['error']}", field=field)
    class_names = head["class_names"]
    if class_names is not None and len(set(class_names)) < len(class_names):
        raise InvalidDataset(f"{show_name(name)} names a class twice", field="classes")
    labels = head["labels"]
    splits = _name_splits(head["splits"] or [None] * len(labels), split, name, refusals)
    return _Table(path, name, labels, splits, None if class_names is None else tuple(class_names))


def _name_splits(
    said: Sequence[str | None], split: SplitName | None, name: str, refusals: RefusalLog
) -> list[SplitName | None]:
    """The split of each row: that of the table where it says none, or where the column holds something else."""
    found = {value: find_split(value) for value in set(said) if value is not None and value.strip()}
    others = sorted(value for value, named in found.items() if named is None)
    if others:
        refusals.tell(
            DatasetWarning.SPLIT_COLUMN_NOT_USED,
            f"the column of splits in {show_name(name)} is not used, as it holds {show_first(others)}",
            count=len(others),
        )
        return [split] * len(said)
    return [split if value is None else found.get(value) or split for value in said]


def _read_head(stream: IO[bytes], archive: Archive, name: str) -> dict[str, Any]:
    (length,) = _LENGTH.unpack(read_exactly(stream, _LENGTH.size))
    if length > archive.limits.max_table_bytes:
        raise InvalidDataset(f"the labels of {show_name(name)} are too long", field="classes")
    head: dict[str, Any] = json.loads(read_exactly(stream, length))
    return head


def _read_pictures(
    archive: Archive, tables: Sequence[_Table], options: DatasetOptions
) -> Generator[Content, None, None]:
    """The pictures of all rows of all tables, as long as they are not many times what the file has."""
    left = archive.limits.max_expansion * archive.path.stat().st_size
    for table in tables:
        with _read_rows(archive, table.path, table.name, options) as stream:
            _read_head(stream, archive, table.name)
            for _ in table.labels:
                (length,) = _LENGTH.unpack(read_exactly(stream, _LENGTH.size))
                if length == parquet_rows.NULL:
                    yield RefusalReason.MISSING
                elif length == parquet_rows.TOO_LARGE:
                    yield RefusalReason.TOO_LARGE
                else:
                    left -= length
                    if left < 0:
                        raise InvalidDataset(
                            f"{show_name(table.name)} expands more than {archive.limits.max_expansion} times",
                            field="file",
                        )
                    yield read_exactly(stream, length)


@contextmanager
def _read_rows(archive: Archive, path: Path, name: str, options: DatasetOptions) -> Iterator[IO[bytes]]:
    """What parquet_rows writes of a file."""
    limits = archive.limits
    command = [
        sys.executable, "-P", parquet_rows.__file__, str(path), str(limits.max_pictures), str(limits.max_entry_bytes),
        options.label_column or "",
    ]  # fmt: skip
    # Its own allocator reserves a gigabyte at once.
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    errors = archive.scratch / "errors"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            yield process.stdout
        except EOFError as error:
            status = process.wait()
            *_, last = errors.read_text(errors="replace").splitlines() or ["no word"]
            log.info("the process that reads %s ended with %d: %s", show_name(name), status, last)
            raise InvalidDataset(
                f"{show_name(name)} is damaged, or takes more memory to read than it may", field="file"
            ) from error
        finally:
            process.kill()
