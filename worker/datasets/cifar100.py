"""CIFAR-100 (Krizhevsky 2009): 60,000 photographs of 32x32 pixels in a hundred classes."""

from __future__ import annotations

from pathlib import Path

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.cifar import BinaryFiles, load_binary
from worker.datasets.sources.downloads import Archive, Download, name_download

# torchvision has the version that is pickled; this one's sum is published beside it.
_ARCHIVE = Archive(
    "cifar-100-binary.tar.gz",
    "03b5dce01913d631647c71ecec9e9cb8",
    ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
)
DOWNLOAD = name_download("CIFAR-100", "CIFAR100", (_ARCHIVE,))
_FILES = BinaryFiles(
    ("cifar-100-binary/train.bin",),
    "cifar-100-binary/test.bin",
    "cifar-100-binary/fine_label_names.txt",
    num_labels=2,  # one of twenty groups, then the class
)


def load(root: Path, mirror: str | None, download: Download = DOWNLOAD) -> RawDataset:
    """50,000 training and 10,000 test pictures of 32x32 pixels in colour. Raises DatasetUnavailable."""
    return load_binary(DatasetName.CIFAR100, download, _FILES, root, mirror)
