"""QMNIST (Yadav and Bottou 2019, arXiv:1905.10498): MNIST made anew, with all of its 60,000 test digits."""

from __future__ import annotations

from pathlib import Path

from torchvision.datasets import QMNIST

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.downloads import Archive, Download
from worker.datasets.sources.idx import load_idx


def load(root: Path, mirror: str | None) -> RawDataset:
    """60,000 training and 60,000 test pictures of 28x28 grey pixels. Raises DatasetUnavailable."""
    resources = [*QMNIST.resources["train"], *QMNIST.resources["test"]]
    archives = tuple(Archive(url.rpartition("/")[2], md5, (url,)) for url, md5 in resources)
    download = Download("QMNIST", "QMNIST/raw", archives, "the four original .gz files of training and test")
    return load_idx(DatasetName.QMNIST, download, root, mirror)
