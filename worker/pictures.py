"""A picture from outside as the pixels that a network was trained on, and every step on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from storage.errors import InvalidPicture
from worker.picture_warnings import Look, Notice, judge_picture

FORMATS = ("PNG", "JPEG", "PPM")
MAX_PIXELS = 1 << 24
MAX_SIDE = 1 << 14
_TOO_LARGE = f"a picture may have {MAX_PIXELS} pixels, and {MAX_SIDE} on a side"
_PNG_DEPTH = 24
"""Where a PNG file says how many bits each sample has."""


@dataclass(frozen=True)
class Preparation:
    """What was done to a picture. `steps` says it in words, in order; empty: its pixels went in as they are."""

    original_width: int
    original_height: int
    original_bits: int
    """Of each sample."""
    num_frames: int
    """In the file; only the first was looked at."""
    grayscale: bool
    resized: bool
    inverted: bool
    steps: tuple[str, ...]
    notices: tuple[Notice, ...]
    """What is to be known before the prediction is believed."""


def load_picture(
    path: Path, input_shape: tuple[int, int, int], *, invert: bool = False
) -> tuple[torch.Tensor, Preparation]:
    """A PNG, JPEG or PGM file as uint8 (1, C, H, W). Raises InvalidPicture, for one too large before decoding it."""
    channels, height, width = input_shape
    try:
        with Image.open(path, formats=FORMATS) as picture:  # reads the header alone
            if max(picture.size) > MAX_SIDE or picture.width * picture.height > MAX_PIXELS:
                raise InvalidPicture(_TOO_LARGE)
            num_frames = int(getattr(picture, "n_frames", 1))
            picture.load()
            bits = _read_depth(path, picture)
            prepared, steps = _convert(picture, channels, bits)
    except Image.DecompressionBombError as error:  # Pillow's own limit, from the header too
        raise InvalidPicture(_TOO_LARGE) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidPicture("this is not a PNG or JPEG file, or it is damaged") from error
    if num_frames > 1:
        steps.insert(0, f"took the first of {num_frames} frames")
    original = prepared.size
    is_gray = "converted to grayscale" in steps
    resized = original != (width, height)
    if resized:
        prepared = prepared.resize((width, height), Image.Resampling.BOX if _shrinks(original, (width, height)) else
                                   Image.Resampling.BILINEAR)  # fmt: skip
        steps.append(f"resized from {original[0]} x {original[1]} to {width} x {height}, whatever the proportions")
    if invert:
        prepared = ImageOps.invert(prepared)
        steps.append("inverted")
    pixels = np.array(prepared, dtype=np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    notices = judge_picture(
        Look(
            original=original,
            size=(width, height),
            num_frames=num_frames,
            darkest=int(pixels.min()),
            brightest=int(pixels.max()),
            border=float(border.mean()),
            inverted=invert,
        )
    )
    preparation = Preparation(
        *original, bits, num_frames, is_gray, resized, invert, tuple(steps), notices
    )  # fmt: skip
    return torch.from_numpy(pixels.copy()).unsqueeze(0), preparation


def _shrinks(size: tuple[int, int], target: tuple[int, int]) -> bool:
    return size[0] >= target[0] and size[1] >= target[1]


def _read_depth(path: Path, picture: Image.Image) -> int:
    """Bits of each sample. Pillow drops the lower half of 16 where there are colours, and does not say so."""
    if not isinstance(picture, PngImagePlugin.PngImageFile):
        return 16 if picture.mode.startswith("I") else 8
    with path.open("rb") as stream:
        return stream.read(_PNG_DEPTH + 1)[_PNG_DEPTH]


def _convert(picture: Image.Image, channels: int, bits: int) -> tuple[Image.Image, list[str]]:
    """The picture in the network's colours, upright, without transparency. bits: of each sample in the file."""
    steps = []
    upright = ImageOps.exif_transpose(picture)
    if upright.size != picture.size or upright.getexif() != picture.getexif():
        steps.append("turned as its EXIF data says")
    upright = _reduce_depth(upright, bits)
    if bits > 8:
        steps.append(f"reduced from {bits} to 8 bits")
    if upright.has_transparency_data:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "black"), upright.convert("RGBA"))
        steps.append("laid on black where it was transparent")
    wanted = {1: "L", 3: "RGB"}.get(channels)
    if wanted is None:
        raise InvalidPicture(f"this network reads {channels} channels: no picture has as many")
    if wanted == "L" and upright.mode != "L":
        steps.append("converted to grayscale")
    if wanted == "RGB" and upright.mode in ("1", "L"):
        steps.append("gray repeated for red, green and blue")
    return upright.convert(wanted), steps


def _reduce_depth(picture: Image.Image, bits: int) -> Image.Image:
    """The picture with 8 bits to a sample. The colour that stands for transparency is told in the file's own bits,
    and Pillow holds it as it is against samples that it has scaled.
    """
    transparent = picture.info.get("transparency")
    if picture.mode.startswith("I"):  # Pillow's own conversion would cut it off at 255
        samples = np.array(picture, dtype=np.uint32)
        gray = Image.fromarray((samples >> 8).astype(np.uint8))
        if transparent is None:
            return gray
        opaque = Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (gray, opaque))
    if picture.mode == "RGB" and bits == 16 and transparent is not None:
        picture.info["transparency"] = tuple(sample >> 8 for sample in transparent)
    if picture.mode == "L" and bits < 8 and transparent is not None:
        picture.info["transparency"] = transparent * 255 // ((1 << bits) - 1)
    return picture
