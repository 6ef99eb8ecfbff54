"""One picture's bytes → the pixels of a network's input. Data sets and predictions go this one way.

Whatever decides how much memory a picture takes is read from its header before a pixel is decoded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from worker.catalog import Conversion, ResizeMode
from worker.picture_policy import ResizePolicy

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM")
MAX_SIDE = 1 << 14
MAX_SCANS = 100
"""Of a JPEG file. Each goes over all pixels, and a few bytes make one: thousands of them take minutes."""
_MAX_DECODING_BYTES = 1 << 29
"""Of all pictures that are decoded at the same moment, and so of one."""
_PIXEL_BYTES = 16
"""Of a pixel that is decoded, while it is turned, reduced to 8 bits, flattened and converted: four copies at most."""
_COEFFICIENT_BYTES = 8
"""Of a pixel of a JPEG file in several scans: libjpeg keeps 16 bits for each of up to four colours until the last."""
MAX_PIXELS = _MAX_DECODING_BYTES // _PIXEL_BYTES
MAX_REDUCED_PIXELS = _MAX_DECODING_BYTES // _COEFFICIENT_BYTES
"""Of a JPEG file that is decoded at a half of its size or less."""
TOO_LARGE = (
    f"a picture may have {MAX_SIDE:,} pixels on a side and {MAX_PIXELS:,} in all, a JPEG file that is made much "
    f"smaller {MAX_REDUCED_PIXELS:,}"
)
_PNG_DEPTH = 24
"""Where a PNG file says how many bits each sample has."""
_JPEG_SCAN = b"\xff\xda"
_JPEG_FORMATS = ("JPEG", "MPO")
"""As Pillow calls them: the second is what phones write that keep a smaller or deeper copy behind the picture."""
_ORIENTATION = 0x0112
_UPRIGHT = 1
_TURNED_ASIDE = 5
"""This orientation and those above it exchange width and height."""
_GRAY_MODES = ("1", "L", "LA", "La")
_SPARE = 2
"""How much larger than needed a JPEG file is still decoded: the rest is left to the filter, which does it better."""


class DecodingRoom:
    """Memory that pictures share which are decoded at the same moment: who finds too little of it waits."""

    def __init__(self, num_bytes: int) -> None:
        self._left = num_bytes
        self._changed = Condition()

    @contextmanager
    def hold(self, num_bytes: int) -> Iterator[None]:
        """num_bytes: no more than there are in all."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= num_bytes)
            self._left -= num_bytes
        try:
            yield
        finally:
            with self._changed:
                self._left += num_bytes
                self._changed.notify_all()


_ROOM = DecodingRoom(_MAX_DECODING_BYTES)


class UnusablePicture(Exception):
    """A picture that cannot be decoded; `str(error)` is safe to show."""


class DamagedPicture(UnusablePicture):
    """Not a picture, or a damaged one."""


class PictureTooLarge(UnusablePicture):
    """A picture with more pixels than are decoded."""


class OtherSize(UnusablePicture):
    """A picture of another size, where none is resized. size: its (width, height)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__(f"the picture has {size[0]} x {size[1]} pixels")
        self.size = size


@dataclass(frozen=True)
class ConvertedPicture:
    """pixels: uint8 (H, W, C). original_size: (width, height) of the upright picture; original_bits: of each sample."""

    pixels: NDArray[np.uint8]
    original_size: tuple[int, int]
    original_bits: int
    conversions: tuple[Conversion, ...]


def convert_picture(content: bytes, channels: int | None, policy: ResizePolicy | None) -> ConvertedPicture:
    """Decodes a picture, turns it upright, flattens transparency, reduces it to 8 bits and resizes it.

    channels: 1 or 3; None keeps a gray picture gray. policy: None leaves the size, as ResizeMode.EXACT does.
    Raises UnusablePicture.
    """
    with _open(content) as picture:
        return _convert(picture, content, channels, policy)


def read_size(content: bytes) -> tuple[int, int]:
    """(width, height) by the header, whatever way up the picture is: no pixel is decoded. Raises UnusablePicture."""
    with _open(content) as picture:
        if max(picture.size) > MAX_SIDE or picture.width * picture.height > (
            MAX_REDUCED_PIXELS if _is_jpeg(picture) else MAX_PIXELS
        ):
            raise PictureTooLarge(TOO_LARGE)
        return picture.size


@contextmanager
def _open(content: bytes) -> Iterator[Image.Image]:
    """The picture, of which the header alone is read. Whatever is raised inside becomes an UnusablePicture."""
    if content.count(_JPEG_SCAN) > MAX_SCANS and content.startswith(b"\xff\xd8"):
        raise DamagedPicture(f"a JPEG file may have {MAX_SCANS} scans")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            yield picture
    except (UnusablePicture, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own limits
        raise PictureTooLarge(TOO_LARGE) from error
    except Exception as error:  # a damaged file leads Pillow's decoders into errors of every class
        raise DamagedPicture("this is not a JPEG, PNG, WebP, BMP, GIF or PPM file, or it is damaged") from error


def convert_pixels(pixels: NDArray[np.uint8], channels: int | None, policy: ResizePolicy | None) -> ConvertedPicture:
    """The same for a picture that is decoded already. pixels: uint8 (H, W) or (H, W, C), C being 1 or 3."""
    is_gray = pixels.ndim == 2 or pixels.shape[2] == 1
    picture = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and is_gray else pixels)
    return _finish(picture, is_gray, picture.size, 8, [], channels, policy)


def resize_picture(picture: Image.Image, policy: ResizePolicy) -> Image.Image:
    """The picture in the policy's size. picture: mode L or RGB. Raises OtherSize where none is resized."""
    target = (policy.width, policy.height)
    if picture.size == target:
        return picture
    resample = _choose_filter(picture.size, target)
    match policy.mode:
        case ResizeMode.SHORTER_SIDE_CENTRE_CROP:
            return ImageOps.fit(picture, target, resample)
        case ResizeMode.PAD:
            return ImageOps.pad(picture, target, resample, color=policy.background)
        case ResizeMode.STRETCH:
            return picture.resize(target, resample)
        case ResizeMode.EXACT:
            raise OtherSize(picture.size)


def _choose_filter(size: tuple[int, int], target: tuple[int, int]) -> Image.Resampling:
    """The mean of each block of pixels where whole blocks become one; else bilinear, which Pillow widens to shrink."""
    is_whole = all(before % after == 0 for before, after in zip(size, target, strict=True))
    return Image.Resampling.BOX if is_whole else Image.Resampling.BILINEAR


def _convert(
    picture: Image.Image, content: bytes, channels: int | None, policy: ResizePolicy | None
) -> ConvertedPicture:
    width, height = picture.size
    if max(width, height) > MAX_SIDE:
        raise PictureTooLarge(TOO_LARGE)
    if policy is not None and policy.mode is not ResizeMode.EXACT:
        needed = _SPARE * max(policy.width, policy.height) / min(width, height)
        picture.draft(None, (int(width * needed) + 1, int(height * needed) + 1))  # of a JPEG file; else nothing
    num_bytes = max(
        _COEFFICIENT_BYTES * width * height if _is_jpeg(picture) else 0, _PIXEL_BYTES * picture.width * picture.height
    )
    if num_bytes > _MAX_DECODING_BYTES:
        raise PictureTooLarge(TOO_LARGE)
    with _ROOM.hold(num_bytes):
        return _decode(picture, content, (width, height), channels, policy)


def _decode(
    picture: Image.Image,
    content: bytes,
    size: tuple[int, int],
    channels: int | None,
    policy: ResizePolicy | None,
) -> ConvertedPicture:
    """size: (width, height) that the file says; it may be decoded at a part of that."""
    width, height = size
    done = [Conversion.FIRST_FRAME] if getattr(picture, "is_animated", False) else []
    orientation = picture.getexif().get(_ORIENTATION, _UPRIGHT)
    picture.load()
    if picture.width * picture.height > MAX_PIXELS:  # a later part of the file may have said otherwise
        raise PictureTooLarge(TOO_LARGE)
    if orientation in range(_UPRIGHT + 1, 9):
        picture = ImageOps.exif_transpose(picture)
        done.append(Conversion.TURNED)
        if orientation >= _TURNED_ASIDE:
            width, height = height, width
    bits = _read_depth(picture, content)
    picture = _reduce_depth(picture, bits)
    if bits > 8:
        done.append(Conversion.REDUCED_DEPTH)
    is_gray = picture.mode in _GRAY_MODES
    if picture.has_transparency_data:
        background = "white" if policy is None else policy.background
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, background), picture.convert("RGBA"))
        done.append(Conversion.FLATTENED)
    return _finish(picture, is_gray, (width, height), bits, done, channels, policy)


def _finish(
    picture: Image.Image,
    is_gray: bool,
    original_size: tuple[int, int],
    bits: int,
    done: list[Conversion],
    channels: int | None,
    policy: ResizePolicy | None,
) -> ConvertedPicture:
    """Chooses the colours and the size. is_gray: whether the file says so; done: what was done before."""
    if channels == 1 and picture.mode != "L":
        done.append(Conversion.TO_GRAYSCALE)
    if channels == 3 and picture.mode in ("1", "L"):
        done.append(Conversion.GRAY_REPEATED)
    picture = picture.convert("L" if channels == 1 or (channels is None and is_gray) else "RGB")
    if policy is not None and original_size != (policy.width, policy.height):
        if policy.mode is ResizeMode.EXACT:
            raise OtherSize(original_size)
        done.append(Conversion.RESIZED)
        picture = resize_picture(picture, policy)
    pixels = np.asarray(picture, dtype=np.uint8)
    return ConvertedPicture(pixels if pixels.ndim == 3 else pixels[:, :, None], original_size, bits, tuple(done))


def _is_jpeg(picture: Image.Image) -> bool:
    return picture.format in _JPEG_FORMATS


def _read_depth(picture: Image.Image, content: bytes) -> int:
    """Bits of each sample. Pillow drops the lower half of 16 where there are colours, and does not say so."""
    if content.startswith(b"\x89PNG"):
        return content[_PNG_DEPTH]
    return 16 if picture.mode.startswith("I") else 8


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
        opaque = Image.fromarray(np.where(samples == transparent, np.uint8(0), np.uint8(255)))
        return Image.merge("LA", (gray, opaque))
    if picture.mode == "RGB" and bits == 16 and transparent is not None:
        picture.info["transparency"] = tuple(sample >> 8 for sample in transparent)
    if picture.mode == "L" and bits < 8 and transparent is not None:
        picture.info["transparency"] = transparent * 255 // ((1 << bits) - 1)
    return picture
