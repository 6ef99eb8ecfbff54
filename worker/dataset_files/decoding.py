"""Pictures' files → pixels, in batches on two threads. Only a few batches are in memory at a time."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.catalog import Conversion, RefusalReason
from worker.dataset_files.source import Content
from worker.picture_conversion import (
    ConvertedPicture,
    OtherSize,
    PictureTooLarge,
    UnusablePicture,
    convert_picture,
    convert_pixels,
)
from worker.picture_policy import ResizePolicy

_THREADS = 2
_WAITING = 1
"""Batches that are read while others are decoded."""
_BATCH_BYTES = 16 << 20
_DIGEST_BYTES = 16
_BLOCK_BYTES = 64 << 20
"""In which Pillow takes memory for a picture. The C library gives back at once only what is larger than 32 MiB; of less
each thread keeps what it had, and that would be a large picture's for each of them."""


@dataclass(frozen=True)
class DecodedBatch:
    """Some of the pictures, in order. pixels: uint8 (N, C, H, W), C being 1 where all of them are gray.

    rows: the place of each among all contents. refused: place → why.
    """

    pixels: NDArray[np.uint8]
    rows: tuple[int, ...]
    refused: dict[int, RefusalReason]
    other_size: tuple[int, tuple[int, int]] | None
    """Place and (width, height) of the first picture that was refused for its size."""
    conversions: Counter[Conversion]
    num_gray: int
    """Pictures that their file says are gray."""
    sums: NDArray[np.uint64]
    """Of each picture's samples, (N, C)."""
    squares: NDArray[np.uint64]
    digests: tuple[bytes, ...]
    """The same for pictures with the same pixels."""
    end: int
    """Contents that are done, with those of this batch."""


def convert_content(
    content: bytes | NDArray[np.uint8], channels: int | None, policy: ResizePolicy | None
) -> ConvertedPicture:
    """One picture, from its file or its pixels. Raises UnusablePicture."""
    convert = convert_picture if isinstance(content, bytes) else convert_pixels
    return convert(content, channels, policy)  # type: ignore[arg-type]


def decode_contents(
    contents: Iterable[Content], channels: int | None, policy: ResizePolicy
) -> Generator[DecodedBatch, None, None]:
    """Decodes them all. channels: 1, 3, or None for what each batch has."""
    Image.core.set_block_size(_BLOCK_BYTES)  # type: ignore[attr-defined]  # documented, and not declared
    with ThreadPoolExecutor(_THREADS, "decode") as pool:
        running: deque[Future[DecodedBatch]] = deque()
        try:
            for start, batch in _cut(contents, policy):
                running.append(pool.submit(_decode, start, batch, channels, policy))
                if len(running) > _THREADS + _WAITING:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _cut(contents: Iterable[Content], policy: ResizePolicy) -> Iterator[tuple[int, list[Content]]]:
    """(place of the first, contents) of each batch, by the bytes that go in or come out."""
    batch: list[Content] = []
    start = num_bytes = 0
    for place, content in enumerate(contents):
        more = max(_count_bytes(content), 3 * policy.height * policy.width)
        if batch and num_bytes + more > _BATCH_BYTES:  # before a large one, which may have twice as many by itself
            yield start, batch
            batch, start, num_bytes = [], place, 0
        batch.append(content)
        num_bytes += more
    if batch:
        yield start, batch


def _count_bytes(content: Content) -> int:
    if isinstance(content, RefusalReason):
        return 0
    return len(content) if isinstance(content, bytes) else content.nbytes


def _decode(start: int, batch: list[Content], channels: int | None, policy: ResizePolicy) -> DecodedBatch:
    pixels = np.empty((len(batch), policy.height, policy.width, 1 if channels == 1 else 3), np.uint8)
    rows: list[int] = []
    refused: dict[int, RefusalReason] = {}
    conversions: Counter[Conversion] = Counter()
    other_size = None
    num_gray = 0
    for place, content in enumerate(batch, start):
        if isinstance(content, RefusalReason):
            refused[place] = content
            continue
        try:
            converted = convert_content(content, channels, policy)
        except UnusablePicture as error:
            refused[place] = judge_unusable(error)
            if isinstance(error, OtherSize) and other_size is None:
                other_size = place, error.size
            continue
        pixels[len(rows)] = converted.pixels  # a gray one is repeated
        rows.append(place)
        num_gray += converted.pixels.shape[2] == 1
        conversions.update(converted.conversions)
    pixels = pixels[: len(rows)]
    digests = tuple(hashlib.blake2b(picture.data, digest_size=_DIGEST_BYTES).digest() for picture in pixels)
    if channels is None and _is_gray(pixels):
        pixels = pixels[..., :1]
    planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    samples = planes.reshape(*planes.shape[:2], policy.height * policy.width)
    sums = samples.sum(2, dtype=np.uint64)
    squares = np.square(samples, dtype=np.uint16).sum(2, dtype=np.uint64)
    return DecodedBatch(
        planes, tuple(rows), refused, other_size, conversions, num_gray, sums, squares, digests, end=start + len(batch)
    )  # fmt: skip


def judge_unusable(error: UnusablePicture) -> RefusalReason:
    """The reason that is counted."""
    if isinstance(error, OtherSize):
        return RefusalReason.OTHER_SIZE
    return RefusalReason.TOO_LARGE if isinstance(error, PictureTooLarge) else RefusalReason.BROKEN


def _is_gray(pixels: NDArray[np.uint8]) -> bool:
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))
