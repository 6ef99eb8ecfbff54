"""Kuzushiji-MNIST (Clanuwat et al. 2018, arXiv:1812.01718): 70,000 cursive Japanese characters of ten kinds."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import KMNIST

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.idx import build_idx_download, load_idx


def load(root: Path, mirror: str | None) -> RawDataset:
    """60,000 training and 10,000 test pictures of 28x28 grey pixels. Raises DatasetUnavailable."""
    return load_idx(DatasetName.KMNIST, build_idx_download("KMNIST", KMNIST.resources, KMNIST.mirrors), root, mirror)
