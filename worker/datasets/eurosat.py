"""EuroSAT (Helber et al. 2019, arXiv:1709.00029): 27,000 satellite pictures of 64x64 pixels in ten uses of land."""

from __future__ import annotations

import zipfile
from collections.abc import Generator, Sequence
from pathlib import Path, PurePosixPath

from worker.catalog import DatasetName
from worker.dataset_files.source import Item, PictureSource
from worker.datasets import RawDataset
from worker.datasets.sources.decoded import load_decoded
from worker.datasets.sources.downloads import Archive, Download, name_download

_ARCHIVE = Archive(
    "EuroSAT.zip",
    "c8fa014336c82ac7804f0398fcb19387",
    ("https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip",),
)  # as torchvision has it
DOWNLOAD = name_download("EuroSAT", "eurosat", (_ARCHIVE,))
_FOLDER = "2750"


def load(root: Path, mirror: str | None, download: Download = DOWNLOAD) -> RawDataset:
    """27,000 pictures of 64x64 pixels in colour, of which 15 in a hundred of each class test, the same in every split.

    Raises DatasetUnavailable.
    """
    return load_decoded(DatasetName.EUROSAT, download, root, mirror, _read)


def _read(paths: Sequence[Path]) -> PictureSource:
    class_names = DatasetName.EUROSAT.facts.class_names
    with zipfile.ZipFile(paths[0]) as file:
        found = [PurePosixPath(name) for name in sorted(file.namelist()) if name.endswith(".jpg")]
    items = [
        Item(str(name), name.parts[1], None)
        for name in found
        if len(name.parts) == 3 and name.parts[0] == _FOLDER and name.parts[1] in class_names
    ]
    return PictureSource(items, _iterate(paths[0], [item.name for item in items]), class_names)


def _iterate(path: Path, names: Sequence[str]) -> Generator[bytes, None, None]:
    with zipfile.ZipFile(path) as file:
        for name in names:
            yield file.read(name)
