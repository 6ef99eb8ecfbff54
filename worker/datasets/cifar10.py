"""CIFAR-10 (Krizhevsky 2009): 60,000 photographs of 32x32 pixels in ten classes of animals and vehicles."""

from __future__ import annotations

from pathlib import Path

from worker.catalog import DatasetName
from worker.datasets import RawDataset
from worker.datasets.sources.cifar import BinaryFiles, load_binary
from worker.datasets.sources.downloads import Archive, Download, name_download

# torchvision has the version that is pickled; this one's sum is published beside it.
_ARCHIVE = Archive(
    "cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)
DOWNLOAD = name_download("CIFAR-10", "CIFAR10", (_ARCHIVE,))
_FILES = BinaryFiles(
    tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    "cifar-10-batches-bin/test_batch.bin",
    "cifar-10-batches-bin/batches.meta.txt",
    num_labels=1,
)


def load(root: Path, mirror: str | None, download: Download = DOWNLOAD) -> RawDataset:
    """50,000 training and 10,000 test pictures of 32x32 pixels in colour. Raises DatasetUnavailable."""
    return load_binary(DatasetName.CIFAR10, download, _FILES, root, mirror)
