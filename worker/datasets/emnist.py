"""EMNIST, balanced (Cohen et al. 2017, arXiv:1702.05373): 131,600 handwritten digits and letters of 47 classes."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

from torchvision.datasets import EMNIST

from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split, build_raw
from worker.datasets.sources.downloads import Archive, ensure_archives, name_download
from worker.datasets.sources.idx import build_split, read_idx


def load(root: Path, mirror: str | None) -> RawDataset:
    """112,800 training and 18,800 test pictures of 28x28 grey pixels. Raises DatasetUnavailable."""
    archive = Archive(EMNIST.url.rpartition("/")[2], EMNIST.md5, (EMNIST.url,))
    download = name_download("EMNIST", "EMNIST/raw", (archive,))
    (path,) = ensure_archives(download, root, mirror)
    with download.check_reading(), zipfile.ZipFile(path) as file:
        return build_raw(DatasetName.EMNIST, _read(file, "train"), _read(file, "test"))


def _read(file: zipfile.ZipFile, part: str) -> Split:
    """The pictures are turned upright: the files hold them column by column."""
    images, labels = (
        read_idx(gzip.decompress(file.read(f"gzip/emnist-balanced-{part}-{kind}-ubyte.gz")))
        for kind in ("images-idx3", "labels-idx1")
    )
    return build_split(images.swapaxes(1, -1), labels)
