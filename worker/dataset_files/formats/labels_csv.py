"""A zip file of pictures and a table of the class of each: a column of files, one of labels, perhaps one of splits."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from storage.errors import InvalidDataset
from worker.catalog import RefusalReason, SplitName
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.formats.class_folders import is_picture
from worker.dataset_files.naming import find_first_split, find_split
from worker.dataset_files.source import Content, Item, PictureSource, RefusalLog, show_name

_SUFFIX = ".csv"
_DELIMITERS = ",;\t"
_FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "image_path", "name", "id", "image_id")
_LABEL_COLUMNS = ("label", "class", "class_name", "category", "target")
_SPLIT_COLUMNS = ("split", "set", "subset")


@dataclass(frozen=True)
class _Columns:
    delimiter: str
    file: int
    label: int
    split: int | None


def recognizes(archive: Archive) -> bool:
    """Pictures and a table of files and labels."""
    tables = [member for member in archive.members if _is_table(member)]
    return any(map(is_picture, archive.members)) and any(
        _find_columns(_read_head(archive, member)) is not None for member in tables
    )


def read(archive: Archive, log: RefusalLog) -> PictureSource:
    """Every picture that a table gives a label. A table called after a split is that split's."""
    index = _PictureIndex(archive)
    items: list[Item] = []
    members: list[Member | None] = []
    named: set[Member] = set()
    for table in filter(_is_table, archive.members):
        text = _read_text(archive, table)
        columns = _find_columns(text[: text.find("\n") + 1] or text)
        if columns is None:
            log.add(table.name, RefusalReason.UNKNOWN_SUFFIX)
            continue
        for name, label, split in _read_rows(text, columns, table):
            if not label:
                log.add(name, RefusalReason.NO_CLASS)
                continue
            member = index.find(name, table)
            if member in named:
                raise InvalidDataset(f"the tables name {show_name(name)} twice", field="classes")
            if member is not None:
                named.add(member)
            items.append(Item(name, sys.intern(label), split))
            members.append(member)
            if len(items) > archive.limits.max_pictures:
                raise InvalidDataset(
                    f"the tables name more than {archive.limits.max_pictures:,} pictures", field="pictures"
                )
    for member in archive.members:
        if not _is_table(member) and member not in named:
            log.add(member.name, RefusalReason.NO_CLASS if is_picture(member) else RefusalReason.UNKNOWN_SUFFIX)
    return PictureSource(items, _read_contents(archive, members))


class _PictureIndex:
    """Finds the pictures that a table names: by their whole name, from the table's folder, or by the last part or that
    without its suffix, where only one picture is called so.
    """

    def __init__(self, archive: Archive) -> None:
        pictures = [member for member in archive.members if is_picture(member)]
        self._whole: Mapping[tuple[str, ...], Member] = {member.parts: member for member in pictures}
        self._short: dict[str, Member | None] = {}
        for member in pictures:
            for name in {member.parts[-1], PurePosixPath(member.parts[-1]).stem}:
                self._short[name] = None if name in self._short else member

    def find(self, name: str, table: Member) -> Member | None:
        """The picture, None where there is none or more than one."""
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part != ".")
        for whole in (parts, (*table.parts[:-1], *parts)):
            if whole in self._whole:
                return self._whole[whole]
        return self._short.get(parts[-1]) if len(parts) == 1 else None


def _read_contents(archive: Archive, members: Sequence[Member | None]) -> Generator[Content, None, None]:
    for member in members:
        yield RefusalReason.MISSING if member is None else archive.read(member)


def _is_table(member: Member) -> bool:
    return member.parts[-1].casefold().endswith(_SUFFIX)


def _read_head(archive: Archive, member: Member) -> str:
    """The first line, as far as a line of titles may go."""
    try:
        with archive.open(member) as stream:
            return stream.readline(csv.field_size_limit()).decode("utf-8-sig")
    except DAMAGED:
        return ""


def _read_text(archive: Archive, member: Member) -> str:
    if member.num_bytes > archive.limits.max_table_bytes:
        raise InvalidDataset(
            f"{show_name(member.name)} may have {archive.limits.max_table_bytes >> 20} MiB", field="file"
        )
    try:
        return archive.unpack(member).decode("utf-8-sig")
    except DAMAGED as error:
        raise InvalidDataset(f"{show_name(member.name)} is damaged, or not UTF-8", field="file") from error


def _find_columns(head: str) -> _Columns | None:
    """The columns of a line of titles, None where it has none of files or none of labels."""
    for delimiter in _DELIMITERS:
        titles = [title.strip().strip('"').casefold() for title in head.split(delimiter)]

        def find(names: Sequence[str], titles: Sequence[str] = titles) -> int | None:
            return next((titles.index(name) for name in names if name in titles), None)

        file, label = find(_FILE_COLUMNS), find(_LABEL_COLUMNS)
        if file is not None and label is not None:
            return _Columns(delimiter, file, label, find(_SPLIT_COLUMNS))
    return None


def _read_rows(text: str, columns: _Columns, table: Member) -> Iterator[tuple[str, str, SplitName | None]]:
    """(file, label, split) of each row but the titles. Raises InvalidDataset at the first that is none."""
    of_table = find_first_split([PurePosixPath(table.parts[-1]).stem, *table.parts[-2::-1]])
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter, strict=True)
    try:
        next(rows)
        for row in rows:
            if not row:
                continue
            name = row[columns.file].strip()
            if columns.split is None:
                split = find_first_split(name.replace("\\", "/").split("/")[:-1]) or of_table
            elif (split := find_split(row[columns.split])) is None:
                raise ValueError("a split that is none")
            yield name, row[columns.label].strip(), split
    except (csv.Error, IndexError, ValueError, StopIteration) as error:
        raise InvalidDataset(
            f"line {rows.line_num} of {show_name(table.name)} is no row of the table", field="file"
        ) from error
