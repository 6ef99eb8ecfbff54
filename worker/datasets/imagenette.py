"""Imagenette (Howard 2019): 13,394 photographs of ten classes of ImageNet, made 128x128 pixels large."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Generator, Sequence
from pathlib import Path

from worker.catalog import DatasetName, SplitName
from worker.dataset_files.source import Item, PictureSource
from worker.datasets import RawDataset
from worker.datasets.sources.decoded import load_decoded
from worker.datasets.sources.downloads import Archive, Download, name_download

_ARCHIVE = Archive(
    "imagenette2-160.tgz",
    "e793b78cc4c9e9a4ccc0c1155377a412",
    ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",),
)  # as torchvision has it: the version whose shorter sides have 160 pixels
DOWNLOAD = name_download("Imagenette", "Imagenette", (_ARCHIVE,))
_PICTURE = re.compile(r"imagenette2-160/(train|val)/(n\d{8})/[^/]+\.JPEG", re.ASCII)
_SPLITS = {"train": SplitName.TRAIN, "val": SplitName.TEST}
WORDNET = (
    "n01440764", "n02102040", "n02979186", "n03000684", "n03028079", "n03394916", "n03417042", "n03425413", "n03445777",
    "n03888257",
)  # fmt: skip
"""The folder of each class, in the order of their labels."""


def load(root: Path, mirror: str | None, download: Download = DOWNLOAD) -> RawDataset:
    """9,469 training pictures, and the 3,925 of its part `val` to test on, in colour. Raises DatasetUnavailable."""
    return load_decoded(DatasetName.IMAGENETTE, download, root, mirror, _read)


def _read(paths: Sequence[Path]) -> PictureSource:
    """In the order of the archive, which is packed as a whole: it is gone through once for the names."""
    class_names = DatasetName.IMAGENETTE.facts.class_names
    with tarfile.open(paths[0]) as tar:
        found = [match for member in tar if (match := _PICTURE.fullmatch(member.name))]
    items = [Item(match[0], class_names[WORDNET.index(match[2])], _SPLITS[match[1]]) for match in found]
    return PictureSource(items, _iterate(paths[0]), class_names)


def _iterate(path: Path) -> Generator[bytes, None, None]:
    with tarfile.open(path) as tar:
        for member in tar:
            if _PICTURE.fullmatch(member.name) and (stream := tar.extractfile(member)) is not None:
                yield stream.read()
