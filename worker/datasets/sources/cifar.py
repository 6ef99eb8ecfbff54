"""The binary version of CIFAR: records of the labels and a picture's red, green and blue plane. No pickle is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split, build_raw
from worker.datasets.sources.downloads import Download, check_class_names, ensure_archives, read_tar


@dataclass(frozen=True)
class BinaryFiles:
    """Names in the archive. num_labels: bytes before a picture, of which the last is the class."""

    train: tuple[str, ...]
    test: str
    class_names: str
    num_labels: int


def load_binary(
    name: DatasetName, download: Download, files: BinaryFiles, root: Path, mirror: str | None
) -> RawDataset:
    """Loads a data set from the one archive of its binary version. Raises DatasetUnavailable."""
    (path,) = ensure_archives(download, root, mirror)
    with download.check_reading():
        names, test, *train = read_tar(path, [files.class_names, files.test, *files.train])
        check_class_names(name, names)
        shape = name.facts.input_shape
        return build_raw(name, _read(train, shape, files.num_labels), _read([test], shape, files.num_labels))


def _read(batches: Sequence[bytes], shape: tuple[int, int, int], num_labels: int) -> Split:
    """Raises ValueError where a batch is not of whole records."""
    width = num_labels + int(np.prod(shape))
    records = [np.frombuffer(batch, np.uint8).reshape(-1, width) for batch in batches]
    images = np.concatenate([record[:, num_labels:] for record in records]).reshape(-1, *shape)
    labels = np.concatenate([record[:, num_labels - 1] for record in records]).astype(np.int64)
    return Split(torch.from_numpy(images), torch.from_numpy(labels))
