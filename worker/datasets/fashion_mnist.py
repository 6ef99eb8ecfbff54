"""FashionMNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): 70,000 pictures of ten kinds of clothes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torchvision.datasets import FashionMNIST

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.idx import build_idx_download, load_idx


def load(root: Path, mirror: str | None) -> RawDataset:
    """60,000 training and 10,000 test pictures of 28x28 grey pixels.

    Looks in `<root>/FashionMNIST/raw`, then fills that folder from `mirror` (a folder of the four .gz files, or
    an https:// URL), then from torchvision's own servers. Raises DatasetUnavailable.
    """
    download = build_idx_download("FashionMNIST", FashionMNIST.resources, FashionMNIST.mirrors)
    raw = load_idx(DatasetName.FASHION_MNIST, download, root, mirror)
    # As measured, and rounded as they were in every model that was trained so far. The mean is 72.94 pixel values; as a
    # whole one, 73 / 255, it is an exact zero point of the integer network.
    return replace(raw, mean=(0.28627,), std=(0.3530,))
