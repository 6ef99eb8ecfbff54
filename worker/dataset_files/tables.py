"""Which tables in a zip file of pictures say the class of each: by the titles of the columns and what is in them."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from storage.errors import InvalidDataset
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.naming import find_split
from worker.dataset_files.source import show_name

PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm"}
)
LABEL_TITLES = ("label", "labels", "class", "class_name", "category", "target")
SPLIT_TITLES = ("split", "set", "subset", "data_set")
_FILE_TITLES = (
    "file", "filename", "file_name", "filepath", "filepaths", "path", "image", "image_path", "image_id", "name", "id"
)  # fmt: skip
_DELIMITERS: Mapping[str, str] = {".csv": ",;\t|", ".tsv": "\t", ".txt": ",;\t "}
_ENCODINGS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_HEAD_BYTES = 1 << 16
_HEAD_ROWS = 100
"""That are looked at to tell what a column holds."""
_MOST_TITLES = 12
_MOST_TABLES = 1000
"""That are looked at: some data sets have a text beside every picture."""


@dataclass(frozen=True)
class Columns:
    """Places of the columns of a table. has_titles: whether its first line is one of titles."""

    delimiter: str
    file: int
    label: int
    split: int | None
    has_titles: bool


@dataclass(frozen=True)
class UnclearTable:
    """One that names pictures, and of whose columns none is known to hold the classes."""

    titles: tuple[str, ...]

    def describe(self, name: str) -> str:
        """What to do about it, in a sentence."""
        shown = ", ".join(map(show_name, self.titles[:_MOST_TITLES]))
        return (
            f"{show_name(name)} names pictures, and which of its columns ({shown}) holds their classes is not known: "
            "say it with label_column"
        )


class PictureIndex:
    """Finds the pictures that a table names: by their whole name, from the table's folder, or by the last part or that
    without its suffix, where only one picture is called so. Letters with accents are found in either form of Unicode.
    """

    def __init__(self, archive: Archive) -> None:
        pictures = [member for member in archive.members if is_picture(member)]
        self._whole: Mapping[tuple[str, ...], Member] = {_fold_parts(member.parts): member for member in pictures}
        self._short: dict[str, Member | None] = {}
        for parts, member in self._whole.items():
            for name in {parts[-1], PurePosixPath(parts[-1]).stem}:
                self._short[name] = None if name in self._short else member

    def find(self, name: str, table: Member) -> Member | None:
        """The picture, None where there is none or more than one."""
        parts = _fold_parts(part for part in name.replace("\\", "/").split("/") if part != ".")
        for whole in (parts, (*_fold_parts(table.parts[:-1]), *parts)):
            if whole in self._whole:
                return self._whole[whole]
        return self._short.get(parts[-1]) if len(parts) == 1 else None


def is_picture(member: Member) -> bool:
    """Whether it is called like one."""
    return _find_suffix(member) in PICTURE_SUFFIXES


def find_tables(archive: Archive, label_column: str | None) -> dict[Member, Columns | UnclearTable]:
    """The tables that name pictures or whose titles say that they would, in the order of their names.

    label_column: the title of the column of classes, in whatever case. Raises InvalidDataset where it is given and no
    table has it.
    """
    tables = [member for member in archive.members if _find_suffix(member) in _DELIMITERS][:_MOST_TABLES]
    index = PictureIndex(archive) if tables else None
    found = {}
    for table in tables:
        assert index is not None  # noqa: S101 - there is a table
        if (columns := _find_columns(table, _read_head(archive, table), index, label_column)) is not None:
            found[table] = columns
    if label_column is not None and not any(isinstance(columns, Columns) for columns in found.values()):
        raise InvalidDataset(
            f"no table that names pictures has a column {show_name(label_column)}", field="label_column"
        )
    return found


def decode_text(content: bytes) -> str:
    """The text of a table, as programs write it: UTF-8, or UTF-16 with its mark. Raises ValueError."""
    return content.decode(_ENCODINGS.get(content[:2], "utf-8-sig"))


def fold_title(title: str) -> str:
    """A column's title as it is looked for."""
    return title.strip().casefold()


def _find_suffix(member: Member) -> str:
    return PurePosixPath(member.parts[-1]).suffix.casefold()


def _fold_parts(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(part if part.isascii() else unicodedata.normalize("NFC", part) for part in parts)


def _read_head(archive: Archive, table: Member) -> str:
    """Its first whole lines; empty where it cannot be read."""
    try:
        with archive.open(table) as stream:
            content = stream.read(min(_HEAD_BYTES, table.num_bytes))
        if len(content) < table.num_bytes:  # not cut within a letter
            newline = "\n".encode("utf-16-le") if content[:2] in _ENCODINGS else b"\n"
            end = content.rfind(newline)
            content = content[: end + len(newline)] if end >= 0 else b""
        return decode_text(content)
    except DAMAGED:
        return ""


def _find_columns(
    table: Member, head: str, index: PictureIndex, label_column: str | None
) -> Columns | UnclearTable | None:
    """None where the table is of something else."""
    for delimiter in _DELIMITERS[_find_suffix(table)]:
        try:
            rows = list(itertools.islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), _HEAD_ROWS))
        except csv.Error:
            continue
        rows = [row for row in rows if row]
        if rows and len(rows[0]) > 1 and (found := _find_in_rows(table, rows, delimiter, index, label_column)):
            return found
    return None


def _find_in_rows(
    table: Member, rows: Sequence[Sequence[str]], delimiter: str, index: PictureIndex, label_column: str | None
) -> Columns | UnclearTable | None:
    titles = [fold_title(title) for title in rows[0]]
    label = _find_title(titles, LABEL_TITLES if label_column is None else (fold_title(label_column),))
    named = _find_column_of_pictures(table, rows, titles, label, index)
    file = _find_title(titles, _FILE_TITLES) if named is None else named
    if file is None or file == label:
        return None
    has_titles = index.find(rows[0][file].strip(), table) is None
    split = _find_title(titles, SPLIT_TITLES) if has_titles else None
    if label is not None and has_titles:
        return Columns(delimiter, file, label, split, has_titles)
    if named is None:
        return None
    others = [place for place in range(len(titles)) if place not in (file, split) and (titles[place] or not has_titles)]
    if label_column is None and len(others) == 1:
        (other,) = others
        if _holds_classes(table, rows[has_titles:], file, other, index):
            return Columns(delimiter, file, other, split, has_titles)
    return UnclearTable(tuple(rows[0]))


def _find_column_of_pictures(
    table: Member, rows: Sequence[Sequence[str]], titles: Sequence[str], label: int | None, index: PictureIndex
) -> int | None:
    """The column that names a picture in half of the rows or more: rather one that is called so, and rather one of
    files' names than of numbers, which may be those of the rows as well. None where there is none.
    """

    def judge(place: int) -> tuple[bool, bool, int]:
        values = [row[place].strip() for row in rows[1:] or rows if place < len(row)]
        count = sum(index.find(value, table) is not None for value in values)
        has_suffix = any(PurePosixPath(value).suffix.casefold() in PICTURE_SUFFIXES for value in values)
        return 2 * count >= max(len(rows) - 1, 1), titles[place] in _FILE_TITLES or has_suffix, count

    judged = {place: judge(place) for place in range(len(titles)) if place != label}
    best = max(judged, key=lambda place: judged[place], default=None)
    return best if best is not None and judged[best][0] else None


def _find_title(titles: Sequence[str], names: Sequence[str]) -> int | None:
    return next((titles.index(name) for name in names if name in titles), None)


def _holds_classes(table: Member, rows: Sequence[Sequence[str]], file: int, label: int, index: PictureIndex) -> bool:
    """Whether the only other column, whose title says nothing, may be of classes: its values are repeated, and the
    pictures do not lie in folders that would be the classes themselves.
    """
    values = [row[label] for row in rows if max(file, label) < len(row)]
    members = [index.find(row[file].strip(), table) for row in rows if file < len(row)]
    folders = {member.parts[:-1] for member in members if member is not None}
    names = {parts[-1] for parts in folders if parts and find_split(parts[-1]) is None}
    return len(set(values)) < len(values) and len(names) < 2
