"""A zip file with a folder for each class: `train/cat/1.jpg`, `test/…` and `validation/…`, `cat/train/1.jpg`, or
`cat/1.jpg` alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from storage.errors import InvalidDataset
from worker.catalog import DatasetWarning, RefusalReason
from worker.dataset_files.archive import Archive, Member
from worker.dataset_files.naming import find_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import Item, PictureSource, RefusalLog, show_name
from worker.dataset_files.tables import find_tables, tell_unused

_WITH_CLASS = 2
"""Parts of the name of a picture in the folder of its class."""


def recognizes(archive: Archive, _: DatasetOptions) -> bool:
    """Anything that holds pictures."""
    return any(member.is_picture for member in archive.members)


def read(archive: Archive, _: DatasetOptions, log: RefusalLog) -> PictureSource:
    """The pictures in folders of classes, those below in folders of their own too.

    Raises InvalidDataset where all folders are splits without one of a class: they would be the classes.
    """
    found = _find_items(archive, log)
    has_classes = _has_classes(archive, found.values())
    unused = find_tables(archive, None, lambda: has_classes).unused
    if unused and not has_classes:
        raise InvalidDataset(unused[0], field="label_column")
    tell_unused([f"the classes are those of the folders: {told}" for told in unused], log)
    return PictureSource([*found.values()], (archive.read(member) for member in found))


def has_class_folders(archive: Archive) -> bool:
    """Whether the folders of its pictures may be the classes: there are enough of them."""
    try:
        return _has_classes(archive, _find_items(archive, RefusalLog()).values())
    except InvalidDataset:
        return False


def _has_classes(archive: Archive, items: Iterable[Item]) -> bool:
    return len({item.label for item in items}) >= archive.limits.min_classes


def _find_items(archive: Archive, log: RefusalLog) -> dict[Member, Item]:
    pictures = [member for member in archive.members if member.is_picture]
    for member in archive.members:
        if not member.is_picture:
            log.add(member.name, RefusalReason.UNKNOWN_SUFFIX)
    depth = _count_wrappers(pictures)
    if _are_splits_below(pictures, depth):
        return {one: Item(one.name, sys.intern(one.parts[depth]), find_split(one.parts[depth + 1])) for one in pictures}
    has_splits = any(find_split(member.parts[depth]) and len(member.parts) > depth + _WITH_CLASS for member in pictures)
    if has_splits:
        _tell_of_splits(pictures, depth, log)
    else:
        _check_folders(pictures, depth, log)
    found = {}
    for member in pictures:
        parts = member.parts[depth:]
        split = find_split(parts[0]) if has_splits else None
        place = _count_repeated(parts) if has_splits else 0
        if (has_splits and split is None) or len(parts) < place + _WITH_CLASS:
            log.add(member.name, RefusalReason.NO_CLASS)
            continue
        found[member] = Item(member.name, sys.intern(parts[place]), split)
    return found


def _count_repeated(parts: Sequence[str]) -> int:
    """How often the name of the first folder stands before that of a class: twice in what some programs unpack."""
    return next((place for place, part in enumerate(parts[:-1]) if part != parts[0]), 1)


def _count_wrappers(pictures: Sequence[Member]) -> int:
    """How many folders hold all pictures and say nothing: neither a split nor the only class."""
    depth = 0
    while all(len(member.parts) > depth + 1 for member in pictures):
        names = {member.parts[depth] for member in pictures}
        is_within = any(len(member.parts) > depth + _WITH_CLASS for member in pictures)
        if len(names) != 1 or not is_within or find_split(*names) is not None:
            break
        depth += 1
    return depth


def _are_splits_below(pictures: Sequence[Member], depth: int) -> bool:
    """Whether every picture lies in the folder of a split within that of its class: no class is called like one."""
    return bool(pictures) and all(
        len(member.parts) > depth + _WITH_CLASS
        and find_split(member.parts[depth]) is None
        and find_split(member.parts[depth + 1]) is not None
        for member in pictures
    )


def _check_folders(pictures: Sequence[Member], depth: int, log: RefusalLog) -> None:
    """Holds the folders of the classes against the names of splits. Raises InvalidDataset."""
    folders = sorted({member.parts[depth] for member in pictures if len(member.parts) >= depth + _WITH_CLASS})
    splits = [name for name in folders if find_split(name) is not None]
    if splits and len(splits) == len(folders):
        raise InvalidDataset(
            f"{', '.join(splits)}: folders of splits that hold pictures and no folders of classes; put each picture "
            f"into the folder of its class, such as {splits[0]}/cat/1.jpg",
            field="classes",
        )
    if splits:
        log.tell(
            DatasetWarning.SPLIT_NAME_AS_CLASS,
            f"{', '.join(splits)}: called like a split, and taken for a class, as there are folders beside it that are "
            "no splits",
            count=len(splits),
            class_names=splits,
        )


def _tell_of_splits(pictures: Sequence[Member], depth: int, log: RefusalLog) -> None:
    """Notes which folders of splits hold no class, though others do."""
    with_classes = {member.parts[depth] for member in pictures if len(member.parts) > depth + _WITH_CLASS}
    without = Counter(member.parts[depth] for member in pictures if len(member.parts) == depth + _WITH_CLASS)
    for name, count in sorted(without.items()):
        if (split := find_split(name)) is not None and name not in with_classes:
            log.tell(
                DatasetWarning.SPLIT_WITHOUT_CLASSES,
                f"the folder {show_name(name)} holds {count} pictures and no folders of classes: none of them is used, "
                "as their classes are not known",
                split=split,
                count=count,
            )
