"""NumPy's `.npz`: `x_train`, `y_train`, `x_test`, `y_test`; `train_images`, `train_labels`, …; or `images`, `labels`.

Nothing in it is unpickled, and the header of an array is held against its size before the array is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from storage.errors import InvalidDataset
from worker.catalog import RefusalReason, SplitName
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.arrays import LabelledArray, PictureArray, build_source, check_picture_array, read_exactly
from worker.dataset_files.naming import find_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import PictureSource, RefusalLog, show_name

_SUFFIX = ".npy"
_PICTURES = frozenset({"x", "images", "image", "data", "pictures"})
_LABELS = frozenset({"y", "labels", "label", "targets", "target"})
_NAMES = frozenset({"class_names", "classes", "label_names"})
_EXPECTED = "x_train, y_train, x_test and y_test; train_images, train_labels, …; or images and labels"
_MOST_SIGNS = 2
_VERSION = (1, 0)
"""Its header has at most 64 KiB. Those of the others have up to 4 GiB, and NumPy reads them whole."""


def recognizes(archive: Archive, _: DatasetOptions) -> bool:
    """Arrays and nothing else."""
    return bool(archive.members) and all(member.parts[-1].endswith(_SUFFIX) for member in archive.members)


def read(archive: Archive, _: DatasetOptions, log: RefusalLog) -> PictureSource:
    """The arrays of each split."""
    found: dict[tuple[str, SplitName | None], Member] = {}
    class_names: tuple[str, ...] | None = None
    for member in archive.members:
        key = PurePosixPath(member.name).stem.casefold()
        if key in _NAMES:
            class_names = tuple(map(str, _read_small(archive, member, "U")))
            if len(set(class_names)) < len(class_names):
                raise InvalidDataset(f"{show_name(member.name)} names a class twice", field="classes")
        elif (role := _judge_key(key)) is None:
            log.add(member.name, RefusalReason.UNKNOWN_SUFFIX)
        elif role in found:
            raise InvalidDataset(
                f"{show_name(member.name)} and {show_name(found[role].name)} both claim to be the same", field="file"
            )
        else:
            found[role] = member
    given: list[tuple[SplitName | None, Member, Member]] = []
    for (what, split), member in found.items():
        partner = found.get(("labels" if what == "pictures" else "pictures", split))
        if partner is None:
            raise InvalidDataset(f"{show_name(member.name)} has no counterpart: {_EXPECTED}", field="file")
        if what == "pictures":
            given.append((split, member, partner))
    if not given:
        raise InvalidDataset(f"the file holds no arrays that are read: {_EXPECTED}", field="file")
    labels = _name_labels({each.name: _read_small(archive, each, "iuU") for _, _, each in given}, class_names)
    splits = [
        LabelledArray(split, _find_pictures(archive, member), labels[partner.name]) for split, member, partner in given
    ]
    return build_source(splits, class_names)


def _judge_key(key: str) -> tuple[str, SplitName | None] | None:
    """(`pictures` or `labels`, split) of an array's name; None where it names neither."""
    words = re.split("[^a-z0-9]+", key)
    roles = [word for word in words if word in _PICTURES | _LABELS]
    others = [word for word in words if word not in roles]
    if len(roles) != 1 or len(others) > 1 or (others and find_split(others[0]) is None):
        return None
    return "pictures" if roles[0] in _PICTURES else "labels", find_split(others[0]) if others else None


def _find_pictures(archive: Archive, member: Member) -> PictureArray:
    with _open(archive, member) as (shape, dtype, _):
        array = PictureArray(member.name, shape, partial(_open_samples, archive, member))
        if dtype != np.uint8:
            raise InvalidDataset(
                f"{show_name(member.name)} holds {dtype}: pictures are read as uint8, 0 to 255", field="pictures"
            )
        check_picture_array(array, archive.limits)
        return array


def _read_small(archive: Archive, member: Member, kinds: str) -> list[int | str]:
    """The values of an array of one dimension, or of one column. kinds: NumPy's letters of the types allowed."""
    with _open(archive, member) as (shape, dtype, stream):
        if dtype.kind not in kinds or not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise InvalidDataset(
                f"{show_name(member.name)} holds {dtype} of the shape {shape}: what is read here is one whole number "
                "or text for each picture",
                field="classes",
            )
        num_bytes = math.prod(shape) * dtype.itemsize
        if num_bytes > archive.limits.max_table_bytes:
            raise InvalidDataset(f"{show_name(member.name)} holds too many labels", field="classes")
        values: NDArray[Any] = np.frombuffer(read_exactly(stream, num_bytes), dtype)
        labels: list[int | str] = values.tolist()
        "".join(
            map(str, labels)
        ).encode()  # which raises ValueError of half a character: NumPy takes any number for one
        return labels


def _name_labels(arrays: Mapping[str, list[int | str]], class_names: tuple[str, ...] | None) -> dict[str, list[str]]:
    """Each picture's class. arrays: name → labels. Numbers count into the names, where there are any.

    All arrays are judged as one: the numbers of a test split may be names of classes by themselves, "1" and "2", where
    those of the training split count from 0.
    """
    names: dict[int | str, str] = {name: name for name in class_names or ()}
    numbers = {label for labels in arrays.values() for label in labels if isinstance(label, int)}
    # -1 and 1 may be two classes; among more it stands for a picture that nobody has labelled.
    if len(numbers) > _MOST_SIGNS and min(numbers) < 0:
        raise InvalidDataset(
            f"the labels {min(numbers)} to {max(numbers)} begin below 0: leave out what has no label", field="classes"
        )
    if numbers <= set(range(len(names))):
        names |= dict(enumerate(class_names or ()))
    else:
        names |= {number: str(number) for number in numbers if str(number) in names}
    named = {}
    for array, labels in arrays.items():
        if class_names is not None and not names.keys() >= set(labels):
            raise InvalidDataset(f"{show_name(array)} holds labels for which there are no class names", field="classes")
        named[array] = [names.get(label, str(label)) for label in labels]
    return named


@contextmanager
def _open(archive: Archive, member: Member) -> Iterator[tuple[tuple[int, ...], np.dtype[Any], IO[bytes]]]:
    """(shape, dtype, a stream of the values), when the header is one and says how long the entry is."""
    try:
        with archive.open(member) as stream:
            shape, is_fortran, dtype = _read_header(stream)
            if dtype.hasobject or is_fortran:
                raise InvalidDataset(
                    f"{show_name(member.name)} holds {'objects' if dtype.hasobject else 'columns before rows'}: "
                    "save it again as numpy.ascontiguousarray(…), of numbers",
                    field="file",
                )
            if math.prod(shape) * dtype.itemsize != member.num_bytes - stream.tell():
                raise ValueError("the header does not say how long the entry is")
            yield shape, dtype, stream
    except DAMAGED as error:
        raise InvalidDataset(f"{show_name(member.name)} is damaged, or no array of NumPy's", field="file") from error


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether columns come first, dtype)."""
    if npy.read_magic(stream) != _VERSION:
        raise ValueError("a version of the format that is not read")
    try:
        return npy.read_array_header_1_0(stream)
    except Exception as error:  # NumPy lets through what Python's parsers raise: of brackets too deep, a MemoryError
        raise ValueError("not a header") from error


@contextmanager
def _open_samples(archive: Archive, member: Member) -> Iterator[IO[bytes]]:
    with _open(archive, member) as (_, _, stream):
        yield stream
