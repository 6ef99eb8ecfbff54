"""A zip file of pictures and a table of the class of each: a column of files, one of labels, perhaps one of splits."""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import PurePosixPath

from storage.errors import InvalidDataset
from worker.catalog import DatasetWarning, RefusalReason, SplitName
from worker.dataset_files.archive import Archive, Member
from worker.dataset_files.formats.class_folders import has_class_folders
from worker.dataset_files.naming import find_first_split, find_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Content, Item, PictureSource, RefusalLog, show_name
from worker.dataset_files.tables import Columns, Tables, find_tables, read_rows, refuse_row, tell_unused


def recognizes(archive: Archive, options: DatasetOptions) -> bool:
    """Pictures and a table of files and labels."""
    has_pictures = any(member.is_picture for member in archive.members)
    return has_pictures and bool(_find_tables(archive, options).used)


def read(archive: Archive, options: DatasetOptions, log: RefusalLog) -> PictureSource:
    """Every picture that a table gives a label. A table called after a split is that split's.

    Raises InvalidDataset where no table does, or one contradicts itself.
    """
    tables = _find_tables(archive, options)
    if not tables.used:
        if tables.unused:
            raise InvalidDataset(tables.unused[0], field="label_column")
        raise InvalidDataset("no table in it names pictures", field="file")
    tell_unused(tables.unused, log)
    items: list[Item] = []
    members: list[Member | None] = []
    named: set[Member] = set(tables.used)
    for table, columns in tables.used.items():
        if columns.guessed is not None:
            column = f"the column {show_name(columns.guessed)}" if columns.guessed else "the other column"
            log.tell(
                DatasetWarning.LABEL_COLUMN_GUESSED,
                f"{column} of {show_name(table.name)} was taken for the classes, as there is none beside it",
            )
        for name, label, split in _read_items(archive, table, columns):
            member = tables.index.find(name, table)
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
            log.add(member.name, RefusalReason.NO_CLASS if member.is_picture else RefusalReason.UNKNOWN_SUFFIX)
    return PictureSource(items, _read_contents(archive, members))


def _find_tables(archive: Archive, options: DatasetOptions) -> Tables:
    return find_tables(archive, options.label_column, functools.partial(has_class_folders, archive))


def _read_contents(archive: Archive, members: Sequence[Member | None]) -> Generator[Content, None, None]:
    for member in members:
        yield RefusalReason.MISSING if member is None else archive.read(member)


def _read_items(archive: Archive, table: Member, columns: Columns) -> Iterator[tuple[str, str, SplitName | None]]:
    """(file, label, split) of each row. Raises InvalidDataset at the first that is none."""
    of_table = find_first_split([PurePosixPath(table.parts[-1]).stem, *table.parts[-2::-1]])
    for line, row in read_rows(archive, table, columns):
        if max(columns.file, columns.label, columns.split or 0) >= len(row):
            raise refuse_row(table, line)
        name = row[columns.file].strip()
        if columns.split is None:
            split = find_first_split(name.replace("\\", "/").split("/")[:-1]) or of_table
        elif (split := find_split(row[columns.split])) is None:
            raise refuse_row(table, line)
        yield name, row[columns.label].strip(), split
