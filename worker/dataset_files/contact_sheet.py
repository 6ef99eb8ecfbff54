"""Some training pictures of each class on one page, so that a person sees what was made of a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from worker.catalog import SplitName
from worker.dataset_files.cache import CachedDataset

PER_CLASS = 10
MAX_CLASSES = 20
_CELL = 72
"""Pixels of a picture's longer side, about: a small one is enlarged by a whole factor, so that its pixels are seen."""
_GAP = 6
_FONT_SIZE = 15
_MAX_LABEL = 260
_LINE = 20
_BACKGROUND = "#ffffff"
_INK = "#222222"


def draw_contact_sheet(data: CachedDataset, path: Path) -> None:
    """Writes a PNG file: a row for each class with its name, how many pictures it has to train on, and the first ten.

    Of more than twenty classes the first twenty are shown, and the number of the others is said. A class whose name the
    font cannot write has its place among the data set's class names instead, counted from 0 as labels are.
    """
    train = data.splits[SplitName.TRAIN]
    height, width = train.images.shape[2:]
    cell_width, cell_height = _choose_cell(width, height)
    font, is_written = _load_font()
    labels = train.labels
    counts = np.bincount(labels, minlength=len(data.facts.class_names))
    shown = list(enumerate(data.facts.class_names))[:MAX_CLASSES]
    titles = [
        _shorten(name if is_written(name) else f"class {place}", f" ({counts[place]:,})", font) for place, name in shown
    ]
    left = _GAP + int(max(font.getlength(title) for title in titles)) + 2 * _GAP
    row_height = max(cell_height, _LINE) + _GAP
    num_hidden = len(data.facts.class_names) - len(shown)
    size = (
        left + PER_CLASS * (cell_width + _GAP),
        _GAP + len(shown) * row_height + (_LINE + _GAP if num_hidden else 0),
    )
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for row, ((place, _), title) in enumerate(zip(shown, titles, strict=True)):
        top = _GAP + row * row_height
        draw.text((_GAP, top + cell_height / 2), title, _INK, font, anchor="lm")
        for column, index in enumerate(np.flatnonzero(labels == place)[:PER_CLASS]):
            planes = train.images[index]
            picture = Image.fromarray(
                planes[0] if len(planes) == 1 else np.ascontiguousarray(planes.transpose(1, 2, 0))
            )
            sheet.paste(_scale(picture, cell_width, cell_height), (left + column * (cell_width + _GAP), top))
    if num_hidden:
        draw.text((_GAP, size[1] - _LINE), f"and {num_hidden} more", _INK, font)
    sheet.save(path, "PNG", optimize=True)


def _choose_cell(width: int, height: int) -> tuple[int, int]:
    """(width, height) of a picture on the sheet."""
    longer = max(width, height)
    if longer <= _CELL:
        factor = _CELL // longer
        return factor * width, factor * height
    return max(1, round(width * _CELL / longer)), max(1, round(height * _CELL / longer))


def _scale(picture: Image.Image, width: int, height: int) -> Image.Image:
    grows = width >= picture.width
    return picture.resize((width, height), Image.Resampling.NEAREST if grows else Image.Resampling.BILINEAR)


def _shorten(name: str, count: str, font: ImageFont.FreeTypeFont) -> str:
    """The name, cut where it would take more room than there is, and the count."""
    if font.getlength(name + count) <= _MAX_LABEL:
        return name + count
    while name and font.getlength(f"{name}…{count}") > _MAX_LABEL:
        name = name[:-1]
    return f"{name}…{count}"


def _load_font() -> tuple[ImageFont.FreeTypeFont, Callable[[str], bool]]:
    """DejaVu Sans as matplotlib brings it, and whether it can write a name.

    It has the letters of Latin, Greek, Cyrillic, Arabic and Hebrew. No font that is installed with us has those of
    Chinese, Japanese, Korean or India's languages: they would be boxes.
    """
    import matplotlib
    from matplotlib.ft2font import FT2Font

    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    glyphs = FT2Font(path).get_charmap()
    return ImageFont.truetype(path, _FONT_SIZE), lambda name: all(ord(letter) in glyphs for letter in name)
