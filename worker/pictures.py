"""A picture from outside as the pixels that a network was trained on, and every step on the way there in words."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from storage.errors import InvalidPicture
from worker.catalog import Background, Conversion, ResizeMode
from worker.picture_conversion import FORMATS, ConvertedPicture, UnusablePicture, convert_picture
from worker.picture_policy import ResizePolicy
from worker.picture_warnings import Look, Notice, judge_picture

_MANNERS = {
    ResizeMode.SHORTER_SIDE_CENTRE_CROP: "by the shorter side, what went beyond cut off",
    ResizeMode.PAD: "by the longer side, what was missing filled up",
    ResizeMode.STRETCH: "whatever the proportions",
    ResizeMode.EXACT: "",
}


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
    path: Path, input_shape: tuple[int, int, int], *, invert: bool = False, resize: ResizePolicy | None = None
) -> tuple[torch.Tensor, Preparation]:
    """A picture's file as uint8 (1, C, H, W). Raises InvalidPicture, for one too large before decoding it.

    resize: of the data set that somebody brought, as whose pictures this one is made to fit; None: it is built in.
    """
    channels, height, width = input_shape
    if channels not in (1, 3):
        raise InvalidPicture(f"this network reads {channels} channels: no picture has as many")
    # The built-in data sets are light on dark, so that what is transparent is dark.
    policy = (
        ResizePolicy(height=height, width=width, mode=ResizeMode.STRETCH, background=Background.BLACK)
        if resize is None
        else resize.model_copy(update={"height": height, "width": width})
    )
    content = path.read_bytes()
    try:
        converted = convert_picture(content, channels, policy)
    except UnusablePicture as error:
        raise InvalidPicture(str(error)) from error
    num_frames = _count_frames(content) if Conversion.FIRST_FRAME in converted.conversions else 1
    steps = [_describe(conversion, converted, policy, num_frames) for conversion in converted.conversions]
    pixels = np.ascontiguousarray(converted.pixels.transpose(2, 0, 1))
    if invert:
        pixels = 255 - pixels
        steps.append("inverted")
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    notices = judge_picture(
        Look(
            original=converted.original_size,
            size=(width, height),
            num_frames=num_frames,
            darkest=int(pixels.min()),
            brightest=int(pixels.max()),
            border=float(border.mean()),
            inverted=invert,
            is_stretched=policy.mode is ResizeMode.STRETCH,
            is_light_on_dark=resize is None,
        )
    )
    preparation = Preparation(
        *converted.original_size,
        original_bits=converted.original_bits,
        num_frames=num_frames,
        grayscale=Conversion.TO_GRAYSCALE in converted.conversions,
        resized=Conversion.RESIZED in converted.conversions,
        inverted=invert,
        steps=tuple(steps),
        notices=notices,
    )
    return torch.tensor(pixels).unsqueeze(0), preparation


def _count_frames(content: bytes) -> int:
    with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
        return int(getattr(picture, "n_frames", 1))


def _describe(conversion: Conversion, converted: ConvertedPicture, policy: ResizePolicy, num_frames: int) -> str:
    width, height = converted.original_size
    return {
        Conversion.FIRST_FRAME: f"took the first of {num_frames} frames",
        Conversion.TURNED: "turned as its EXIF data says",
        Conversion.REDUCED_DEPTH: f"reduced from {converted.original_bits} to 8 bits",
        Conversion.FLATTENED: f"laid on {policy.background} where it was transparent",
        Conversion.TO_GRAYSCALE: "converted to grayscale",
        Conversion.GRAY_REPEATED: "gray repeated for red, green and blue",
        Conversion.RESIZED: f"resized from {width} x {height} to {policy.width} x {policy.height}, "
        f"{_MANNERS[policy.mode]}",
    }[conversion]
