"""Small files of pictures as users bring them, made anew in each test."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.dataset_files.cache import CachedDataset, open_cache
from worker.dataset_files.importing import import_dataset
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.summary import DatasetSummary

Import = Callable[..., tuple[DatasetSummary, CachedDataset]]


@pytest.fixture
def import_file(tmp_path: Path) -> Import:
    """file, options → what is told of it, and the cache that was written."""

    def run(path: Path, **options: Any) -> tuple[DatasetSummary, CachedDataset]:
        target = tmp_path / "decoded"
        summary = import_dataset(path, target, DatasetOptions(**options))
        return summary, open_cache(target)

    return run


def draw_picture(level: int | tuple[int, int, int], size: tuple[int, int] = (8, 8), kind: str = "PNG") -> bytes:
    """A picture's file. size: (width, height). Its corner is darker, so that no channel is the same everywhere."""
    picture = Image.new("L" if isinstance(level, int) else "RGB", size, level)
    picture.putpixel((0, 0), 0)
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def write_zip(path: Path, entries: Mapping[str, bytes]) -> Path:
    """A zip file of these names and contents."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def read_corner(pictures: np.ndarray[Any, Any]) -> list[list[int]]:
    """[picture][channel] of the last pixel. pictures: uint8 (N, C, H, W)."""
    corners: list[list[int]] = pictures[:, :, -1, -1].tolist()
    return corners
