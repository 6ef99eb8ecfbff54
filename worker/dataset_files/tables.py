"""Which tables in a zip file of pictures say the class of each: by the titles of the columns and what is in them."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from storage.errors import InvalidDataset
from worker.catalog import DatasetWarning
from worker.dataset_files.archive import DAMAGED, PICTURE_SUFFIXES, Archive, Member, find_suffix
from worker.dataset_files.naming import list_words
from worker.dataset_files.source import RefusalLog, show_name

_LABEL_TITLES = ("label", "labels", "class", "class_name", "category", "target")
_SPLIT_TITLES = ("split", "set", "subset", "data_set")
_FILE_TITLES = (
    "file", "filename", "file_name", "filepath", "filepaths", "path", "image", "image_path", "image_id", "name", "id"
)  # fmt: skip
_OTHER_TITLES = frozenset({
    *_SPLIT_TITLES, *_FILE_TITLES, "partition", "fold", "width", "height", "size", "area", "age", "caption", "text",
    "description", "comment", "url", "source", "license", "date",
})  # fmt: skip
"""Of columns that are not taken for classes, though they be the only other one."""
_NO_ANSWERS = frozenset({"submission"})
"""A word in the name of a table whose labels nobody meant."""
_DELIMITERS: Mapping[str, str] = {".csv": ",;\t|", ".tsv": "\t", ".txt": ",;\t "}
_TEXT = ".txt"
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES = 1 << 16
_HEAD_ROWS, _HEAD_COLUMNS = 50, 50
"""That are looked at to tell what a column holds."""
_MOST_TABLES, _MOST_TEXTS = 200, 20
"""That are looked at; of more texts none, as some data sets have one beside every picture."""
_MOST_TITLES = 12


@dataclass(frozen=True)
class Columns:
    """Places of the columns of a table. has_titles: whether its first line is one of titles. guessed: the title of the
    column of classes where that is the only other one; empty for none; None where it was known or named.
    """

    delimiter: str
    file: int
    label: int
    split: int | None
    has_titles: bool
    guessed: str | None = None


class PictureIndex:
    """Finds the pictures that a table names: by their whole name, from the table's folder, or by the last part or that
    without its suffix, where only one picture is called so. Letters with accents are found in either form of Unicode.
    """

    def __init__(self, pictures: Iterable[Member]) -> None:
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


@dataclass
class Tables:
    """used: those that give pictures their classes. unused: why another is none of them, though it names pictures.

    index: finds the pictures that they name.
    """

    index: PictureIndex
    used: dict[Member, Columns] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def find_tables(archive: Archive, label_column: str | None, has_class_folders: Callable[[], bool]) -> Tables:
    """The tables that name pictures and their classes, in the order of their names.

    label_column: the title of the column of classes, in whatever case. has_class_folders: whether the pictures lie in
    folders that would be the classes else: then a column is no guess for them, and pictures that are not there none; it
    is asked where there is a table.
    Raises InvalidDataset where a column is named and no table has it, or a table cannot be read.
    """
    candidates = _list_candidates(archive)
    has_folders = bool(candidates) and has_class_folders()
    pictures = [member for member in archive.members if member.is_picture] if candidates else []
    found, guesses = Tables(PictureIndex(pictures)), dict[Member, Columns]()
    for table in candidates:
        head = _read_head(archive, table)
        for delimiter in _DELIMITERS[find_suffix(table.name)]:
            rows = _split_head(head, delimiter)
            if rows and len(rows[0]) > 1:
                columns = _judge(table, rows, delimiter, found.index, label_column, has_class_folders=has_folders)
                if isinstance(columns, str):
                    found.unused.append(columns)
                elif columns is not None:
                    (found.used if columns.guessed is None else guesses)[table] = columns
                if columns is not None:
                    break
    if label_column is not None and not found.used:
        raise InvalidDataset(
            f"no table that names pictures has a column {show_name(label_column)}", field="label_column"
        )
    if found.used or has_folders:
        found.unused += [_explain(table, _get_titles(columns)) for table, columns in guesses.items()]
    else:
        for table, columns in guesses.items():
            told = _refuse_guess(archive, table, columns, next(iter(found.used.values()), columns))
            if told is None:
                found.used[table] = columns
            else:
                found.unused.append(told)
    return found


def tell_unused(reasons: Sequence[str], log: RefusalLog) -> None:
    """Notes that there are such tables, the first with its reason."""
    if reasons:
        others = f" ({len(reasons) - 1} more tables are not used either)" if len(reasons) > 1 else ""
        log.tell(DatasetWarning.TABLE_NOT_USED, reasons[0] + others, count=len(reasons))


def read_rows(archive: Archive, table: Member, columns: Columns) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row but the titles. Raises InvalidDataset at the first that is none."""
    if table.num_bytes > archive.limits.max_table_bytes:
        raise InvalidDataset(
            f"{show_name(table.name)} may have {archive.limits.max_table_bytes >> 20} MiB", field="file"
        )
    try:
        content = archive.unpack(table)
        text = content.decode(_find_encoding(content))
    except DAMAGED as error:
        raise InvalidDataset(
            f"{show_name(table.name)} is damaged, or neither UTF-8 nor UTF-16", field="file"
        ) from error
    rows = _open_rows(text, columns.delimiter, strict=True)
    is_title = columns.has_titles
    try:
        for row in rows:
            if row and not is_title:
                yield rows.line_num, _clean(row, columns.delimiter)
            is_title = is_title and not row
    except csv.Error as error:
        raise refuse_row(table, rows.line_num) from error


def refuse_row(table: Member, line: int) -> InvalidDataset:
    """The error of a row that is none."""
    return InvalidDataset(f"line {line} of {show_name(table.name)} is no row of the table", field="file")


def _list_candidates(archive: Archive) -> list[Member]:
    tables = [member for member in archive.members if find_suffix(member.name) in _DELIMITERS]
    texts = [member for member in tables if find_suffix(member.name) == _TEXT]
    others = [member for member in tables if find_suffix(member.name) != _TEXT]
    return others[:_MOST_TABLES] + (texts if len(texts) <= _MOST_TEXTS else [])


def _find_encoding(content: bytes) -> str:
    return "utf-16" if content.startswith(_MARKS) else "utf-8-sig"


def _open_rows(text: str, delimiter: str, *, strict: bool) -> Any:
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter == " ", strict=strict
    )


def _clean(row: list[str], delimiter: str) -> list[str]:
    """Without the nothing between several blanks."""
    return list(filter(None, row)) if delimiter == " " else row


def _read_head(archive: Archive, table: Member) -> str:
    """Its first whole lines; empty where it cannot be read. A byte that is no letter is refused once the whole table is
    read.
    """
    try:
        with archive.open(table) as stream:
            content = stream.read(min(_HEAD_BYTES, table.num_bytes))
    except (*DAMAGED, InvalidDataset):
        return ""
    decoder = codecs.getincrementaldecoder(_find_encoding(content))(errors="replace")
    text = decoder.decode(content)
    if len(content) < table.num_bytes:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1]
    return text


def _split_head(text: str, delimiter: str) -> list[list[str]]:
    """Its first rows but empty ones; none where they are no table."""
    try:
        rows = _open_rows(text, delimiter, strict=False)
        return list(itertools.islice(filter(None, (_clean(row, delimiter) for row in rows)), _HEAD_ROWS))
    except csv.Error:
        return []


def _judge(
    table: Member,
    rows: Sequence[Sequence[str]],
    delimiter: str,
    index: PictureIndex,
    label_column: str | None,
    *,
    has_class_folders: bool,
) -> Columns | str | None:
    """What a table is by its first rows: why it is not used, or None where it is of something else."""
    titles = [_fold_title(title) for title in rows[0]]
    label = _find_title(titles, _LABEL_TITLES if label_column is None else (_fold_title(label_column),))
    named = _find_column_of_pictures(table, rows, titles, label, index)
    file = _find_title(titles, _FILE_TITLES) if named is None else named
    if file is None or file == label:
        return None
    is_titled = label is not None and titles[file] in _FILE_TITLES
    has_titles = is_titled or index.find(rows[0][file].strip(), table) is None
    split = _find_title(titles, _SPLIT_TITLES) if has_titles else None
    split = None if split in (label, file) else split
    has_no_answers = not _NO_ANSWERS.isdisjoint(list_words(PurePosixPath(table.parts[-1]).stem))
    if label is not None and has_titles and (named is not None or not has_class_folders):
        if has_no_answers:
            return f"{show_name(table.name)} is called like one of no true answers"
        return Columns(delimiter, file, label, split, has_titles)
    if named is None:
        return None
    others = [place for place in range(len(titles)) if place not in (file, split) and (titles[place] or not has_titles)]
    if label_column is None and len(others) == 1 and not has_no_answers:
        guessed = titles[others[0]] if has_titles else ""
        if guessed not in _OTHER_TITLES:
            return Columns(delimiter, file, others[0], split, has_titles, guessed)
    return _explain(table, rows[0] if has_titles else None) if find_suffix(table.name) != _TEXT else None


def _explain(table: Member, titles: Sequence[str] | None) -> str:
    """Why a table is not used, and what to do about it. titles: None where it has none."""
    place = show_name(table.name)
    if titles is None:
        return (
            f"{place} names pictures and does not say by titles which column holds their classes (such as file,label)"
        )
    shown = ", ".join(map(show_name, titles[:_MOST_TITLES]))
    return (
        f"{place} names pictures, and which of its columns ({shown}) holds their classes is not known: say it with "
        "label_column"
    )


def _refuse_guess(archive: Archive, table: Member, columns: Columns, first: Columns) -> str | None:
    """Why the only other column of a whole table is not taken for classes; None where it is: most of them have several
    pictures, and the column is called as in the first table of which one was taken.
    """
    labels = Counter(row[columns.label] for _, row in read_rows(archive, table, columns) if columns.label < len(row))
    if columns.guessed == first.guessed and 2 * len(labels) <= labels.total():
        return None
    return _explain(table, _get_titles(columns))


def _get_titles(columns: Columns) -> list[str] | None:
    return [columns.guessed] if columns.guessed else None


def _find_title(titles: Sequence[str], names: Sequence[str]) -> int | None:
    return next((titles.index(name) for name in names if name in titles), None)


def _find_column_of_pictures(
    table: Member, rows: Sequence[Sequence[str]], titles: Sequence[str], label: int | None, index: PictureIndex
) -> int | None:
    """The column that names a picture in half of the rows or more: rather one that is called so, and rather one of
    files' names than of numbers, which may be those of the rows as well. None where there is none.
    """

    def judge(place: int) -> tuple[bool, bool, int]:
        values = [row[place].strip() for row in rows[1:] or rows if place < len(row)]
        count = sum(index.find(value, table) is not None for value in values)
        has_suffix = any(find_suffix(value) in PICTURE_SUFFIXES for value in values)
        return 2 * count >= max(len(rows) - 1, 1), titles[place] in _FILE_TITLES or has_suffix, count

    judged = {place: judge(place) for place in range(min(len(titles), _HEAD_COLUMNS)) if place != label}
    best = max(judged, key=lambda place: judged[place], default=None)
    return best if best is not None and judged[best][0] else None


def _fold_title(title: str) -> str:
    return "_".join(list_words(title))


def _fold_parts(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(part if part.isascii() else unicodedata.normalize("NFC", part) for part in parts)
