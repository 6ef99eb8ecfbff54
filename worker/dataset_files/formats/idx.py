"""The format of MNIST's files: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…`, each perhaps `.gz`."""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from storage.errors import InvalidDataset
from worker.catalog import RefusalReason, SplitName
from worker.dataset_files.archive import DAMAGED, Archive, Member
from worker.dataset_files.arrays import LabelledArray, PictureArray, build_source, check_picture_array, read_exactly
from worker.dataset_files.naming import find_first_split
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import PictureSource, RefusalLog, show_name

_UNSIGNED_BYTES = 8
_MOST_DIMENSIONS = 4
_NAME = re.compile(r"idx\d?|ubyte", re.IGNORECASE)
_MNIST_TEST = "t10k"
_PACKED = ".gz"


@dataclass(frozen=True)
class _Array:
    member: Member
    shape: tuple[int, ...]


def recognizes(archive: Archive, _: DatasetOptions) -> bool:
    """Anything that holds a file called like one."""
    return any(map(_is_called_so, archive.members))


def read(archive: Archive, _: DatasetOptions, log: RefusalLog) -> PictureSource:
    """The pictures and labels of each split."""
    pictures: dict[SplitName | None, _Array] = {}
    labels: dict[SplitName | None, _Array] = {}
    for member in archive.members:
        if not _is_called_so(member):
            log.add(member.name, RefusalReason.UNKNOWN_SUFFIX)
            continue
        array = _Array(member, _read_shape(archive, member))
        of_kind = labels if len(array.shape) == 1 else pictures
        split = _find_split(member)
        if split in of_kind:
            raise InvalidDataset(
                f"{show_name(member.name)} and {show_name(of_kind[split].member.name)} both claim to be the same",
                field="file",
            )
        of_kind[split] = array
    if pictures.keys() != labels.keys():
        raise InvalidDataset("each file of pictures needs one of labels that is called like it", field="file")
    return build_source(
        [
            LabelledArray(split, _find_pictures(archive, array), _read_labels(archive, labels[split]))
            for split, array in pictures.items()
        ]
    )


def _is_called_so(member: Member) -> bool:
    return _NAME.search(member.parts[-1]) is not None


def _find_split(member: Member) -> SplitName | None:
    words = re.split("[^a-z0-9]+", member.parts[-1].casefold())
    if _MNIST_TEST in words:
        return SplitName.TEST
    return find_first_split(words)


def _find_pictures(archive: Archive, array: _Array) -> PictureArray:
    member = array.member
    num_bytes = math.prod(array.shape)
    if num_bytes > archive.limits.max_expansion * member.num_bytes:
        raise InvalidDataset(
            f"{show_name(member.name)} would expand from {member.num_bytes:,} to {num_bytes:,} bytes: more than "
            f"{archive.limits.max_expansion} times",
            field="file",
        )
    pictures = PictureArray(member.name, array.shape, partial(_open_samples, archive, member))
    check_picture_array(pictures, archive.limits)
    return pictures


def _read_labels(archive: Archive, array: _Array) -> list[str]:
    (num_labels,) = array.shape
    if num_labels > archive.limits.max_table_bytes:
        raise InvalidDataset(f"{show_name(array.member.name)} holds too many labels", field="classes")
    with _refuse_damaged(array.member), _open_samples(archive, array.member) as stream:
        labels = read_exactly(stream, num_labels)
        if stream.read(1):
            raise ValueError("there is more than declared")
    return list(map(str, labels))


def _read_shape(archive: Archive, member: Member) -> tuple[int, ...]:
    with _refuse_damaged(member), _open(archive, member) as stream:
        shape, header_bytes = _read_header(stream)
        if not _is_packed(member) and header_bytes + math.prod(shape) != member.num_bytes:
            raise ValueError("the header does not say how long the file is")
        return shape


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], int]:
    """(shape, bytes of the header)."""
    zeros, kind, num_dimensions = struct.unpack(">HBB", read_exactly(stream, 4))
    if zeros or kind != _UNSIGNED_BYTES or not 1 <= num_dimensions <= _MOST_DIMENSIONS:
        raise ValueError("not a header of unsigned bytes")
    return struct.unpack(f">{num_dimensions}I", read_exactly(stream, 4 * num_dimensions)), 4 + 4 * num_dimensions


def _is_packed(member: Member) -> bool:
    return member.parts[-1].casefold().endswith(_PACKED)


@contextmanager
def _open(archive: Archive, member: Member) -> Iterator[IO[bytes]]:
    with archive.open(member) as stream:
        if not _is_packed(member):
            yield stream
            return
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield cast("IO[bytes]", unpacked)


@contextmanager
def _open_samples(archive: Archive, member: Member) -> Iterator[IO[bytes]]:
    with _open(archive, member) as stream:
        _read_header(stream)
        yield stream


@contextmanager
def _refuse_damaged(member: Member) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise InvalidDataset(f"{show_name(member.name)} is damaged, or no IDX file", field="file") from error
