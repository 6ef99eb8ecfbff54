"""A zip file of pictures and a table of the class of each: a column of files, one of labels, perhaps one of splits."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import PurePosixPath

from storage.errors import InvalidDataset
from worker.catalog import RefusalReason, SplitName
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.naming import find_first_split, find_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Content, Item, PictureSource, RefusalLog, show_name
from worker.dataset_files.tables import Columns, PictureIndex, UnclearTable, decode_text, find_tables, is_picture


def recognizes(archive: Archive, options: DatasetOptions) -> bool:
    """Pictures and a table of files and labels."""
    if not any(map(is_picture, archive.members)):
        return False
    return any(isinstance(columns, Columns) for columns in find_tables(archive, options.label_column).values())


def read(archive: Archive, options: DatasetOptions, log: RefusalLog) -> PictureSource:
    """Every picture that a table gives a label. A table called after a split is that split's.

    Raises InvalidDataset where no table does, or one contradicts itself.
    """
    index = PictureIndex(archive)
    items: list[Item] = []
    members: list[Member | None] = []
    named: set[Member] = set()
    tables = find_tables(archive, options.label_column)
    if not any(isinstance(columns, Columns) for columns in tables.values()):
        for table, columns in tables.items():
            if isinstance(columns, UnclearTable):
                raise InvalidDataset(columns.describe(table.name), field="label_column")
        raise InvalidDataset("no table in it names pictures", field="file")
    for table, columns in tables.items():
        if isinstance(columns, UnclearTable):
            log.tell_unused_table(columns.describe(table.name))
            continue
        named.add(table)
        for name, label, split in _read_rows(_read_text(archive, table), columns, table):
            member = index.find(name, table)
            if member in named:
                raise InvalidDataset(f"the tables name {show_name(name)} twice", field="classes")
            if member is not None:
                named.add(member)
            if not label:
                log.add(name, RefusalReason.NO_CLASS)
                continue
            items.append(Item(name, sys.intern(label), split))
            members.append(member)
            if len(items) > archive.limits.max_pictures:
                raise InvalidDataset(
                    f"the tables name more than {archive.limits.max_pictures:,} pictures", field="pictures"
                )
    for member in archive.members:
        if member not in named:
            log.add(member.name, RefusalReason.NO_CLASS if is_picture(member) else RefusalReason.UNKNOWN_SUFFIX)
    return PictureSource(items, _read_contents(archive, members))


def _read_contents(archive: Archive, members: Sequence[Member | None]) -> Generator[Content, None, None]:
    for member in members:
        yield RefusalReason.MISSING if member is None else archive.read(member)


def _read_text(archive: Archive, member: Member) -> str:
    if member.num_bytes > archive.limits.max_table_bytes:
        raise InvalidDataset(
            f"{show_name(member.name)} may have {archive.limits.max_table_bytes >> 20} MiB", field="file"
        )
    try:
        return decode_text(archive.unpack(member))
    except DAMAGED as error:
        raise InvalidDataset(
            f"{show_name(member.name)} is damaged, or neither UTF-8 nor UTF-16", field="file"
        ) from error


def _read_rows(text: str, columns: Columns, table: Member) -> Iterator[tuple[str, str, SplitName | None]]:
    """(file, label, split) of each row but the titles. Raises InvalidDataset at the first that is none."""
    of_table = find_first_split([PurePosixPath(table.parts[-1]).stem, *table.parts[-2::-1]])
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=columns.delimiter, strict=True)
    try:
        if columns.has_titles:
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
