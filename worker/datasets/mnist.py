"""MNIST (LeCun, Cortes and Burges 1998): 70,000 handwritten digits."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import MNIST

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.idx import build_idx_download, load_idx


def load(root: Path, mirror: str | None) -> RawDataset:
    """60,000 training and 10,000 test pictures of 28x28 grey pixels. Raises DatasetUnavailable."""
    return load_idx(DatasetName.MNIST, build_idx_download("MNIST", MNIST.resources, MNIST.mirrors), root, mirror)
