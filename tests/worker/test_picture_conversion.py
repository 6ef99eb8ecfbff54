"""One picture's bytes → pixels: every format, turned, flattened and made to fit, against arithmetic by hand."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.catalog import Background, Conversion, ResizeMode
from worker.picture_conversion import (
    DamagedPicture,
    DecodingRoom,
    OtherSize,
    PictureTooLarge,
    convert_picture,
    convert_pixels,
    read_size,
)
from worker.picture_policy import ResizePolicy

COLOURS = np.array(
    [[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [120, 130, 140]], [[0, 0, 0], [255, 255, 255]]], np.uint8
)


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def make_policy(side: int, mode: ResizeMode, background: Background = Background.WHITE) -> ResizePolicy:
    return ResizePolicy(height=side, width=side, mode=mode, background=background)


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("PPM", {}), ("WEBP", {"lossless": True}), ("GIF", {})]
)
def test_formats_without_loss_are_read_as_they_were_written(kind: str, options: dict[str, Any]) -> None:
    picture = Image.fromarray(COLOURS)
    if kind == "GIF":
        picture = picture.quantize()
    converted = convert_picture(save(picture, kind, **options), None, None)
    assert converted.pixels.tolist() == np.asarray(picture.convert("RGB")).tolist()
    assert (converted.original_size, converted.original_bits, converted.conversions) == ((2, 3), 8, ())


@pytest.mark.parametrize("kind", ["TIFF", "ICO", "TGA", "PCX"])
def test_other_formats_are_not_read(kind: str) -> None:
    with pytest.raises(DamagedPicture):
        convert_picture(save(Image.new("RGB", (16, 16)), kind), None, None)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), level) for level in ("#ff0000", "#00ff00", "#0000ff")]
    content = save(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    converted = convert_picture(content, 3, None)
    assert converted.pixels[4, 4] == pytest.approx([255, 0, 0], abs=2)
    assert Conversion.FIRST_FRAME in converted.conversions


# Orientation → what brings the picture upright (EXIF 2.3, tag 274).
UPRIGHT: Mapping[int, Callable[[Any], Any]] = {
    1: lambda pixels: pixels, 2: np.fliplr, 3: lambda pixels: np.rot90(pixels, 2), 4: np.flipud,
    5: lambda pixels: np.transpose(pixels, (1, 0, 2)), 6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(np.transpose(pixels, (1, 0, 2)), 2), 8: np.rot90,
}  # fmt: skip


@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9])
def test_a_phones_picture_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    converted = convert_picture(save(Image.fromarray(COLOURS), "PNG", exif=exif), None, None)
    upright = UPRIGHT.get(orientation, UPRIGHT[1])(COLOURS)
    assert converted.pixels.tolist() == upright.tolist()
    assert converted.original_size == (upright.shape[1], upright.shape[0])
    assert converted.conversions == ((Conversion.TURNED,) if 2 <= orientation <= 8 else ())


@pytest.mark.parametrize(("background", "level"), [(Background.WHITE, 255), (Background.BLACK, 0)])
def test_what_is_transparent_shows_the_background(background: Background, level: int) -> None:
    half = np.array([[[200, 100, 0, 0], [200, 100, 0, 255], [200, 100, 0, 128]]], np.uint8)
    policy = ResizePolicy(height=1, width=3, mode=ResizeMode.EXACT, background=background)
    converted = convert_picture(save(Image.fromarray(half), "PNG"), 3, policy)
    mixed = [round((colour * 128 + level * 127) / 255) for colour in (200, 100, 0)]
    assert converted.pixels[0, :2].tolist() == [[level] * 3, [200, 100, 0]]
    assert converted.pixels[0, 2].tolist() == pytest.approx(mixed, abs=1)
    assert converted.conversions == (Conversion.FLATTENED,)


@pytest.mark.parametrize("kind", ["PNG", "PPM"])
def test_sixteen_bits_become_the_upper_eight(kind: str) -> None:
    samples = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    converted = convert_picture(save(Image.fromarray(samples), kind), None, None)
    assert converted.pixels[..., 0].tolist() == [[0, 0, 1, 128, 255]]
    assert (converted.original_bits, converted.conversions) == (16, (Conversion.REDUCED_DEPTH,))


def test_gray_stays_gray_unless_colours_are_wanted() -> None:
    gray, colour = Image.new("L", (2, 2), 7), Image.new("RGB", (2, 2), (255, 0, 0))
    assert convert_picture(save(gray, "PNG"), None, None).pixels.shape == (2, 2, 1)
    repeated = convert_picture(save(gray, "PNG"), 3, None)
    assert (repeated.pixels.tolist(), repeated.conversions) == ([[[7] * 3] * 2] * 2, (Conversion.GRAY_REPEATED,))
    single = convert_picture(save(colour, "PNG"), 1, None)
    # ITU-R 601: 0.299 of red.
    assert (single.pixels.tolist(), single.conversions) == ([[[76]] * 2] * 2, (Conversion.TO_GRAYSCALE,))


def build_stripes(height: int, width: int, size: int) -> np.ndarray[Any, Any]:
    """Gray blocks of size x size, each of a level of its own: what is where can be told after resizing."""
    levels = np.arange((height // size) * (width // size), dtype=np.uint8).reshape(height // size, width // size) * 20
    return np.kron(levels, np.ones((size, size), np.uint8))


def test_the_shorter_side_fits_and_the_middle_is_kept() -> None:
    wide = build_stripes(8, 16, 4)  # blocks: 2 rows of 4
    policy = make_policy(4, ResizeMode.SHORTER_SIDE_CENTRE_CROP)
    converted = convert_picture(save(Image.fromarray(wide), "PNG"), None, policy)
    assert converted.pixels[..., 0].tolist() == wide[::2, 4:12:2].tolist()
    assert converted.conversions == (Conversion.RESIZED,)
    tall = convert_picture(save(Image.fromarray(wide.T), "PNG"), None, policy)
    assert tall.pixels[..., 0].tolist() == wide.T[4:12:2, ::2].tolist()


def test_padding_keeps_all_of_the_picture_in_the_middle() -> None:
    wide = build_stripes(8, 16, 4)
    for background, level in ((Background.WHITE, 255), (Background.BLACK, 0)):
        policy = make_policy(8, ResizeMode.PAD, background)
        converted = convert_picture(save(Image.fromarray(wide), "PNG"), None, policy).pixels[..., 0]
        assert converted[2:6].tolist() == wide[::2, ::2].tolist()
        assert (converted[[0, 1, 6, 7]] == level).all()


def test_stretching_takes_the_mean_of_whole_blocks() -> None:
    picture = np.array([[0, 100, 20, 40], [50, 50, 0, 0]], np.uint8)
    policy = ResizePolicy(height=1, width=2, mode=ResizeMode.STRETCH)
    assert convert_picture(save(Image.fromarray(picture), "PNG"), None, policy).pixels[..., 0].tolist() == [[50, 15]]


def test_another_size_is_refused_where_none_is_resized() -> None:
    with pytest.raises(OtherSize) as caught:
        convert_picture(save(Image.new("L", (5, 4)), "PNG"), None, make_policy(4, ResizeMode.EXACT))
    assert caught.value.size == (5, 4)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", [ResizeMode.SHORTER_SIDE_CENTRE_CROP, ResizeMode.PAD, ResizeMode.STRETCH])
def test_a_large_photograph_looks_the_same_when_it_is_decoded_smaller(mode: ResizeMode, orientation: int) -> None:
    # Smooth, as what JPEG is made for: the fraction at which it is decoded must not move or turn anything.
    y, x = np.mgrid[0:1200, 0:1600]
    waves = 127 + 100 * np.stack([np.sin(x / 300), np.cos(y / 200), np.sin((x + y) / 500)], -1)
    photo = Image.fromarray(waves.astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    policy = make_policy(48, mode)
    small = convert_picture(save(photo, "JPEG", exif=exif, quality=95), 3, policy)
    whole = convert_picture(save(photo, "PNG", exif=exif, compress_level=1), 3, policy)
    assert small.original_size == whole.original_size == ((1600, 1200) if orientation == 1 else (1200, 1600))
    assert small.conversions == whole.conversions
    difference = np.abs(small.pixels.astype(int) - whole.pixels)
    assert difference.mean() < 3


def test_pixels_are_prepared_like_a_file_of_them() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    for policy in (None, make_policy(6, ResizeMode.SHORTER_SIDE_CENTRE_CROP), make_policy(9, ResizeMode.PAD)):
        for channels in (None, 1, 3):
            for pixels in (picture, picture[..., 0]):
                from_file = convert_picture(save(Image.fromarray(pixels), "PNG"), channels, policy)
                decoded = convert_pixels(pixels, channels, policy)
                assert (decoded.pixels == from_file.pixels).all()
                assert decoded.conversions == from_file.conversions
    gray = picture[..., :1]
    assert (convert_pixels(gray, None, None).pixels == gray).all()


@pytest.mark.parametrize("size", [(1 << 14, (1 << 11) + 1), ((1 << 14) + 1, 1)])
def test_more_pixels_than_are_decoded_are_refused_by_the_header(size: tuple[int, int]) -> None:
    content = save(Image.new("1", size), "PNG")[:60]
    with pytest.raises(PictureTooLarge):
        convert_picture(content, None, None)
    with pytest.raises(PictureTooLarge):
        read_size(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "size", "options"),
    [
        ("JPEG", (6000, 4000), {}), ("JPEG", (8192, 8192), {"progressive": True}), ("JPEG", (1 << 14, 1 << 12), {}),
        ("MPO", (6000, 4000), {"save_all": True, "append_images": [Image.new("RGB", (600, 400))]}),
        ("PNG", (6000, 4000), {"compress_level": 1}), ("WEBP", (6000, 4000), {"quality": 0}),
    ],
)  # fmt: skip
def test_a_photograph_of_a_phone_is_made_to_fit(kind: str, size: tuple[int, int], options: dict[str, Any]) -> None:
    photograph = Image.new("RGB", size, (200, 40, 40))
    photograph.paste((40, 40, 200), (0, 0, size[0] // 2, size[1]))  # blue on the left, red on the right
    content = save(photograph, kind, **options)
    assert read_size(content) == size
    converted = convert_picture(content, 3, make_policy(32, ResizeMode.STRETCH))
    assert converted.original_size == size
    assert set(converted.conversions) == {Conversion.RESIZED} | ({Conversion.FIRST_FRAME} if kind == "MPO" else set())
    assert converted.pixels[:, 4] == pytest.approx(np.tile([40, 40, 200], (32, 1)), abs=8)
    assert converted.pixels[:, -4] == pytest.approx(np.tile([200, 40, 40], (32, 1)), abs=8)


def test_a_jpeg_file_that_is_not_made_smaller_may_have_no_more_pixels_than_others() -> None:
    content = save(Image.new("L", (1 << 14, (1 << 11) + 1)), "JPEG")
    assert read_size(content) == (1 << 14, (1 << 11) + 1)
    with pytest.raises(PictureTooLarge):
        convert_picture(content, None, None)


def test_pictures_that_are_decoded_at_the_same_moment_share_their_memory() -> None:
    room, counting = DecodingRoom(10), Lock()
    held = most = 0

    def decode(num_bytes: int) -> None:
        nonlocal held, most
        with room.hold(num_bytes):
            with counting:
                held += num_bytes
                most = max(most, held)
            time.sleep(0.005)
            with counting:
                held -= num_bytes

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [7, 6, 10, 3, 4, 5, 2, 1] * 4))
    assert (held, most) == (0, 10)
