"""A zip file with a folder for each class, `train/cat/1.jpg`, `test/…` and `validation/…`, or `cat/1.jpg` alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

from worker.catalog import RefusalReason
from worker.dataset_files.archive import Archive, Member
from worker.dataset_files.naming import find_split
from worker.dataset_files.source import Item, PictureSource, RefusalLog

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm"})
_WITH_CLASS = 2
"""Parts of the name of a picture in the folder of its class."""


def is_picture(member: Member) -> bool:
    """Whether it is called like one."""
    return PurePosixPath(member.parts[-1]).suffix.casefold() in SUFFIXES


def recognizes(archive: Archive) -> bool:
    """Anything that holds pictures."""
    return any(map(is_picture, archive.members))


def read(archive: Archive, log: RefusalLog) -> PictureSource:
    """The pictures in folders of classes, those below in folders of their own too."""
    pictures = [member for member in archive.members if is_picture(member)]
    for member in archive.members:
        if not is_picture(member):
            log.add(member.name, RefusalReason.UNKNOWN_SUFFIX)
    depth = _count_wrappers(pictures)
    has_splits = any(find_split(member.parts[depth]) and len(member.parts) > depth + _WITH_CLASS for member in pictures)
    items, kept = [], []
    for member in pictures:
        parts = member.parts[depth:]
        split = find_split(parts[0]) if has_splits else None
        place = 1 if has_splits else 0
        if (has_splits and split is None) or len(parts) < place + _WITH_CLASS:
            log.add(member.name, RefusalReason.NO_CLASS)
            continue
        items.append(Item(member.name, sys.intern(parts[place]), split))
        kept.append(member)
    return PictureSource(items, (archive.read(member) for member in kept))


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
