"""Pictures that a file holds as one array: what it declares is checked first, then it is read a piece at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidDataset
from worker.catalog import SplitName
from worker.dataset_files.archive import DAMAGED
from worker.dataset_files.limits import DatasetLimits
from worker.dataset_files.source import Item, PictureSource, show_name
from worker.picture_conversion import MAX_PIXELS

_PIECE_BYTES = 1 << 20
_COLOURS = (1, 3)


@dataclass(frozen=True)
class PictureArray:
    """An array of uint8. shape: (N, H, W), (N, H, W, C) or (N, C, H, W); open: a stream of its samples.

    The stream is read to its end, so that it can tell whether it is whole: `is_complete` looks for more.
    """

    name: str
    shape: tuple[int, ...]
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @property
    def is_channels_first(self) -> bool:
        """Whether the colours come before the pixels."""
        return len(self.shape) == 4 and self.shape[3] not in _COLOURS

    def iterate(self) -> Iterator[NDArray[np.uint8]]:
        """Each picture, (H, W) or (H, W, C). Raises InvalidDataset where there are fewer or more than declared."""
        size = math.prod(self.shape[1:])
        try:
            with self.open() as stream:
                left = self.shape[0]
                while left:
                    piece = min(left, max(1, _PIECE_BYTES // size))
                    samples = np.frombuffer(read_exactly(stream, piece * size), np.uint8)
                    pictures = samples.reshape(piece, *self.shape[1:])
                    yield from pictures.transpose(0, 2, 3, 1) if self.is_channels_first else pictures
                    left -= piece
                if stream.read(1):
                    raise ValueError("there is more than declared")
        except DAMAGED as error:
            raise InvalidDataset(f"{show_name(self.name)} is damaged", field="file") from error


def read_exactly(stream: IO[bytes], num_bytes: int) -> bytes:
    """Raises EOFError where there are fewer."""
    pieces = []
    while num_bytes:
        piece = stream.read(num_bytes)
        if not piece:
            raise EOFError
        pieces.append(piece)
        num_bytes -= len(piece)
    return b"".join(pieces)


def check_picture_array(array: PictureArray, limits: DatasetLimits) -> None:
    """Raises InvalidDataset where its shape is none of pictures, or there are more than may be."""
    shape = array.shape
    shown = " x ".join(map(str, shape)) or "no dimension"
    is_known = len(shape) == 3 or (len(shape) == 4 and (shape[3] in _COLOURS or shape[1] in _COLOURS))
    if not is_known or min(shape) < 1:
        raise InvalidDataset(
            f"{show_name(array.name)} has the shape {shown}: pictures are (N, height, width), with 1 or 3 channels "
            "behind it or after N",
            field="pictures",
        )
    if shape[0] > limits.max_pictures or math.prod(shape[1:]) > MAX_PIXELS:
        raise InvalidDataset(f"{show_name(array.name)} has the shape {shown}: that is too large", field="pictures")


@dataclass(frozen=True)
class LabelledArray:
    """A split's pictures, and the class of each."""

    split: SplitName | None
    pictures: PictureArray
    labels: Sequence[str]


def build_source(splits: Sequence[LabelledArray], class_names: tuple[str, ...] | None = None) -> PictureSource:
    """All pictures of all splits. Raises InvalidDataset where one has not as many labels as pictures."""
    items = []
    for part in splits:
        if len(part.labels) != part.pictures.shape[0]:
            raise InvalidDataset(
                f"{show_name(part.pictures.name)} holds {part.pictures.shape[0]:,} pictures, and {len(part.labels):,} "
                "labels belong to it",
                field="classes",
            )
        items += [Item(f"{part.pictures.name}[{place}]", label, part.split) for place, label in enumerate(part.labels)]
    return PictureSource(items, (picture for part in splits for picture in part.pictures.iterate()), class_names)
