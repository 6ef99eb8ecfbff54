"""USPS (Hull 1994): 9,298 digits of 16x16 grey pixels from the envelopes of letters."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np
from torchvision.datasets import USPS

from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split, build_raw
from worker.datasets.sources.downloads import Archive, ensure_archives, name_download
from worker.datasets.sources.idx import build_split

_SIDE = DatasetName.USPS.facts.input_shape[1]


def load(root: Path, mirror: str | None) -> RawDataset:
    """7,291 training and 2,007 test pictures of 16x16 grey pixels. Raises DatasetUnavailable."""
    parts = (USPS.split_list["train"], USPS.split_list["test"])
    archives = tuple(Archive(name, md5, (url,)) for url, name, md5 in parts)
    download = name_download("USPS", "USPS", archives)
    train, test = ensure_archives(download, root, mirror)
    with download.check_reading():
        return build_raw(DatasetName.USPS, _read(train), _read(test))


def _read(path: Path) -> Split:
    """Each line: the digit and 1, then place and value of each pixel, the values from -1 to 1. Raises ValueError."""
    labels, rows = [], []
    for line in bz2.decompress(path.read_bytes()).decode().splitlines():
        label, *pixels = line.split()
        row = np.full(_SIDE**2, -1, np.float32)
        numbers = np.array(" ".join(pixels).replace(":", " ").split(), np.float32).reshape(-1, 2)
        row[numbers[:, 0].astype(np.int64) - 1] = numbers[:, 1]
        rows.append(row)
        labels.append(int(label) - 1)
    # Cut off, not rounded, as torchvision does.
    images = ((np.stack(rows) + 1) / 2 * 255).astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    return build_split(images, np.array(labels))
