"""Pictures as they come: every depth and colour that a PNG has, held against its samples as they were written."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.catalog import PredictionWarning
from worker.picture_warnings import Look, judge_picture
from worker.pictures import Preparation, load_picture

GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6
SAMPLES = {GRAY: 1, RGB: 3, GRAY_ALPHA: 2, RGBA: 4}


def build_png(samples: list[list[int]], depth: int, colour: int, transparent: list[int] | None = None) -> bytes:
    """A picture of one row. samples: of each pixel. transparent: the samples of the colour that is not there."""
    bits = "".join(f"{sample:0{depth}b}" for pixel in samples for sample in pixel)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", len(samples), 1, depth, colour, 0, 0, 0))]
    if transparent is not None:
        chunks.append((b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    chunks += [(b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def read(content: bytes, tmp_path: Path, width: int) -> tuple[list[int], Preparation]:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    pixels, preparation = load_picture(path, (1, 1, width))
    return pixels[0, 0, 0].tolist(), preparation


@pytest.mark.parametrize(
    ("depth", "colour"),
    [(depth, GRAY) for depth in (1, 2, 4, 8, 16)] + [(depth, colour) for depth in (8, 16) for colour in (2, 4, 6)],
)
@pytest.mark.parametrize("is_transparent", [False, True])
def test_every_kind_of_png_is_read_as_it_was_written(
    depth: int, colour: int, is_transparent: bool, tmp_path: Path
) -> None:
    largest = (1 << depth) - 1
    levels = [0, largest // 3, largest // 2, largest]
    has_alpha = colour in (GRAY_ALPHA, RGBA)
    samples = [[level] * (SAMPLES[colour] - has_alpha) for level in levels]
    hidden = 3  # the brightest
    transparent = samples[hidden] if is_transparent and not has_alpha else None
    if has_alpha:
        samples = [
            [*pixel, 0 if is_transparent and place == hidden else largest] for place, pixel in enumerate(samples)
        ]
    pixels, preparation = read(build_png(samples, depth, colour, transparent), tmp_path, len(levels))
    # As an eighth of two bytes, or as far up as the level is among few.
    expected = [level >> 8 if depth == 16 else level * 255 // largest for level in levels]
    if is_transparent:
        expected[hidden] = 0
    if depth == 1 and is_transparent:
        expected[2:] = [0, 0]  # half of one is none: levels 0, 0, 0, 1
    assert pixels == pytest.approx(expected, abs=1)
    assert preparation.original_bits == depth
    assert ("reduced from 16 to 8 bits" in preparation.steps) == (depth == 16)


def test_of_an_animation_the_first_frame_is_taken_and_that_is_told(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.array([[level, 255]], np.uint8)) for level in (10, 200, 90)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    pixels, preparation = load_picture(tmp_path / "a.png", (1, 1, 2))
    assert pixels.flatten().tolist() == [10, 255]
    assert preparation.num_frames == 3
    assert PredictionWarning.FIRST_FRAME in [notice.code for notice in preparation.notices]


GOOD = Look((28, 28), (28, 28), 1, 0, 255, 3.0, inverted=False)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({}, []),
        ({"original": (8, 8)}, []),
        ({"original": (7, 7)}, []),
        ({"original": (6, 6)}, ["enlarged"]),
        ({"original": (2, 2)}, ["enlarged"]),
        ({"original": (1, 28)}, ["enlarged", "other_proportions"]),
        ({"original": (448, 448)}, []),
        ({"original": (449, 449)}, ["reduced"]),
        ({"original": (4000, 3000)}, ["reduced", "other_proportions"]),
        ({"original": (30, 28)}, []),
        ({"original": (56, 28)}, ["other_proportions"]),
        ({"original": (28, 56)}, ["other_proportions"]),
        ({"original": (56, 28), "size": (64, 32)}, []),
        ({"brightest": 31}, ["nearly_blank"]),
        ({"brightest": 32}, []),
        ({"darkest": 250}, ["nearly_blank"]),
        ({"border": 200.0}, ["bright_border"]),
        ({"num_frames": 2}, ["first_frame"]),
    ],
    ids=str,
)
def test_what_is_to_be_known_of_a_picture(changes: dict[str, object], codes: list[str]) -> None:
    notices = judge_picture(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert [notice.code for notice in notices] == codes
    assert all(notice.detail for notice in notices)
