"""STL-10 (Coates, Lee and Ng 2011): 13,000 photographs of 96x96 pixels in ten classes, few of them to train on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import STL10

from worker.catalog import DatasetName, SplitName
from worker.dataset_files.source import Item, PictureSource
from worker.datasets import RawDataset
from worker.datasets.sources.decoded import load_decoded
from worker.datasets.sources.downloads import Archive, check_class_names, name_download, read_tar

_FILES = ("class_names.txt", "train_y.bin", "test_y.bin", "train_X.bin", "test_X.bin")


def load(root: Path, mirror: str | None) -> RawDataset:
    """5,000 training and 8,000 test pictures of 96x96 pixels in colour; those without labels are left out.

    Raises DatasetUnavailable.
    """
    download = name_download("STL-10", "STL10", (Archive(STL10.filename, STL10.tgz_md5, (STL10.url,)),))
    return load_decoded(DatasetName.STL10, download, root, mirror, _read)


def _read(paths: Sequence[Path]) -> PictureSource:
    names, *files = read_tar(paths[0], [f"{STL10.base_folder}/{name}" for name in _FILES])
    check_class_names(DatasetName.STL10, names)
    facts = DatasetName.STL10.facts
    train_labels, test_labels, *pictures = (np.frombuffer(content, np.uint8) for content in files)
    # Each colour is written column by column.
    parts = [samples.reshape(-1, *facts.input_shape).transpose(0, 3, 2, 1) for samples in pictures]
    items = []
    for split, labels, part in zip((SplitName.TRAIN, SplitName.TEST), (train_labels, test_labels), parts, strict=True):
        if len(labels) != len(part):
            raise ValueError(f"{len(part)} pictures do not go with {len(labels)} labels")
        items += [
            Item(f"{split}[{place}]", facts.class_names[label - 1], split)
            for place, label in enumerate(labels.tolist())
        ]
    return PictureSource(items, _iterate(parts), facts.class_names)


def _iterate(parts: Sequence[NDArray[np.uint8]]) -> Generator[NDArray[np.uint8], None, None]:
    for part in parts:
        for picture in part:
            yield np.ascontiguousarray(picture)
