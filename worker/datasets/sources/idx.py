"""The IDX files of MNIST and of what was made in its likeness."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split, build_raw
from worker.datasets.sources.downloads import Archive, Download, ensure_archives

_TYPES: Mapping[int, np.dtype[Any]] = {8: np.dtype(np.uint8), 12: np.dtype(">i4")}
"""By the code in the header."""


def build_idx_download(folder: str, resources: Sequence[tuple[str, str]], mirrors: Sequence[str]) -> Download:
    """What torchvision knows of such a data set. resources: (name, MD5) of each file; mirrors: where they lie."""
    archives = tuple(Archive(name, md5, tuple(f"{mirror}{name}" for mirror in mirrors)) for name, md5 in resources)
    return Download(folder, f"{folder}/raw", archives, "the four original .gz files")


def load_idx(name: DatasetName, download: Download, root: Path, mirror: str | None) -> RawDataset:
    """Loads a data set of four files: training pictures, training labels, test pictures, test labels.

    Files that torchvision has unpacked serve as they are. Raises DatasetUnavailable.
    """
    arrays = _read_unpacked([root / download.folder / Path(archive.name).stem for archive in download.archives])
    if arrays is None:
        paths = ensure_archives(download, root, mirror)
        with download.check_reading():
            arrays = [read_idx(gzip.decompress(path.read_bytes())) for path in paths]
    with download.check_reading():
        train_images, train_labels, test_images, test_labels = arrays
        return build_raw(name, build_split(train_images, train_labels), build_split(test_images, test_labels))


def _read_unpacked(paths: Sequence[Path]) -> list[NDArray[Any]] | None:
    try:
        return [read_idx(path.read_bytes()) for path in paths]
    except (OSError, ValueError):
        return None


def build_split(images: NDArray[Any], labels: NDArray[Any]) -> Split:
    """images: uint8 (N, H, W). labels: (N,), or (N, K) of which the first is the class. Raises ValueError."""
    if images.ndim != 3 or images.dtype != np.uint8 or len(images) != len(labels):
        raise ValueError(f"{images.shape} pictures of {images.dtype} do not go with {labels.shape} labels")
    classes = labels.reshape(len(labels), -1)[:, 0].astype(np.int64)
    return Split(torch.from_numpy(images.copy()).unsqueeze(1), torch.from_numpy(classes))


def read_idx(content: bytes) -> NDArray[Any]:
    """The array of an IDX file, of unsigned bytes or of whole numbers. Raises ValueError."""
    try:
        zeros, kind, num_dimensions = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{num_dimensions}I", content, 4)
        dtype = _TYPES[kind]
    except (struct.error, KeyError) as error:
        raise ValueError("not the header of an IDX file") from error
    start = 4 + 4 * num_dimensions
    if zeros or len(content) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("an IDX file is not as long as its header says")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)
