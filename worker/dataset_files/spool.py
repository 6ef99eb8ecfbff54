"""Decoded pictures on their way to the cache: on disk, because which of them go where is known only at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class _Block:
    start: int
    num_pictures: int
    channels: int


class PictureSpool:
    """Batches of pictures, appended to a file and read from it again in the same order."""

    def __init__(self, file: IO[bytes], height: int, width: int) -> None:
        self._file, self.height, self.width = file, height, width
        self._blocks: list[_Block] = []
        self.num_pictures = 0
        self.channels = 1
        """3 as soon as one batch has as many."""

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def num_bytes(self) -> int:
        """Of all pictures, once they have the same channels."""
        return self.num_pictures * self.channels * self.height * self.width

    def append(self, pixels: NDArray[np.uint8]) -> None:
        """pixels: uint8 (N, C, H, W), contiguous."""
        num_pictures, channels = pixels.shape[:2]
        if num_pictures == 0:
            return
        self._blocks.append(_Block(self.num_pictures, num_pictures, channels))
        self._file.write(pixels.reshape(-1).data)
        self.num_pictures += num_pictures
        self.channels = max(self.channels, channels)

    def read(self, chosen: NDArray[np.bool_]) -> Iterator[NDArray[np.uint8]]:
        """The chosen pictures in batches, uint8 (N, C, H, W), gray ones repeated where others are not."""
        self._file.seek(0)
        for block in self._blocks:
            shape = (block.num_pictures, block.channels, self.height, self.width)
            pixels = np.frombuffer(self._file.read(int(np.prod(shape))), np.uint8).reshape(shape)
            pixels = pixels[chosen[block.start : block.start + block.num_pictures]]
            yield np.broadcast_to(pixels, (len(pixels), self.channels, *shape[2:]))
