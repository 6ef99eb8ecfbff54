"""A picture from outside as the pixels that a network was trained on, and every step on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from storage.errors import InvalidPicture

FORMATS = ("PNG", "JPEG", "PPM")
MAX_PIXELS = 1 << 24
MAX_SIDE = 1 << 14
_BRIGHT = 127.5
_TOO_LARGE = f"a picture may have {MAX_PIXELS} pixels, and {MAX_SIDE} on a side"


@dataclass(frozen=True)
class Preparation:
    """What was done to a picture. `steps` says it in words, in order; empty: its pixels went in as they are."""

    original_width: int
    original_height: int
    grayscale: bool
    resized: bool
    inverted: bool
    steps: tuple[str, ...]
    bright_border: bool
    """The pixels at the edge are bright after all steps, which those of the training pictures may not be."""


def load_picture(
    path: Path, input_shape: tuple[int, int, int], *, invert: bool = False
) -> tuple[torch.Tensor, Preparation]:
    """A PNG, JPEG or PGM file as uint8 (1, C, H, W). Raises InvalidPicture, for one too large before decoding it."""
    channels, height, width = input_shape
    try:
        with Image.open(path, formats=FORMATS) as picture:  # reads the header alone
            if max(picture.size) > MAX_SIDE or picture.width * picture.height > MAX_PIXELS:
                raise InvalidPicture(_TOO_LARGE)
            picture.load()
            prepared, steps = _convert(picture, channels)
    except Image.DecompressionBombError as error:  # Pillow's own limit, from the header too
        raise InvalidPicture(_TOO_LARGE) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InvalidPicture("this is not a PNG or JPEG file, or it is damaged") from error
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
    preparation = Preparation(
        original[0], original[1], is_gray, resized, invert, tuple(steps), bool(border.mean() > _BRIGHT)
    )
    return torch.from_numpy(pixels.copy()).unsqueeze(0), preparation


def _shrinks(size: tuple[int, int], target: tuple[int, int]) -> bool:
    return size[0] >= target[0] and size[1] >= target[1]


def _convert(picture: Image.Image, channels: int) -> tuple[Image.Image, list[str]]:
    """The picture in the network's colours, upright, without transparency."""
    steps = []
    upright = ImageOps.exif_transpose(picture)
    if upright.size != picture.size or upright.getexif() != picture.getexif():
        steps.append("turned as its EXIF data says")
    if upright.mode.startswith("I"):  # 16 bits; Pillow's own conversion would cut them off at 255
        upright = Image.fromarray((np.array(upright, dtype=np.uint32) >> 8).astype(np.uint8))
        steps.append("reduced from 16 to 8 bits")
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
