"""German traffic signs (Stallkamp et al. 2012, GTSRB): 39,270 photographs of 43 signs, made 32x32 pixels large."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from worker.catalog import DatasetName, ResizeMode, SplitName
from worker.dataset_files.source import Item, PictureSource
from worker.dataset_files.splitting import VALIDATION_SHARE, draw_test
from worker.datasets import RawDataset
from worker.datasets.sources.decoded import load_decoded
from worker.datasets.sources.downloads import Archive, Download, name_download

_SERVER = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
# As torchvision has them, in the order in which they are read.
_SUMS = {
    "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
    "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
    "GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
}
DOWNLOAD = name_download(
    "GTSRB", "gtsrb", tuple(Archive(name, md5, (f"{_SERVER}/{name}",)) for name, md5 in _SUMS.items())
)
_TRAINING = re.compile(r"GTSRB/Training/(\d{5})/(\d{5})_\d{5}\.ppm", re.ASCII)
"""The class, and the track: pictures of one sign as a car came closer."""
_TEST_FOLDER = "GTSRB/Final_Test/Images"
_TEST_TABLE = "GT-final_test.csv"
_VALIDATION_SEED = 0


def load(root: Path, mirror: str | None, download: Download = DOWNLOAD) -> RawDataset:
    """26,640 training and 12,630 test pictures, of which the first are those of torchvision, the competition's.

    Whole tracks of the training pictures validate, the same in every split: of thirty pictures of one sign that are
    nearly alike, some to train on would give the others away. Raises DatasetUnavailable.
    """
    return load_decoded(DatasetName.GTSRB, download, root, mirror, _read, ResizeMode.STRETCH)


def _read(paths: Sequence[Path]) -> PictureSource:
    training, test, truth = paths
    class_names = DatasetName.GTSRB.facts.class_names
    with zipfile.ZipFile(training) as file:
        found = {name: match for name in sorted(file.namelist()) if (match := _TRAINING.fullmatch(name))}
    tracks = {name: (int(match[1]), int(match[2])) for name, match in found.items()}
    splits = _draw_validation(tracks)
    with zipfile.ZipFile(truth) as file:
        table = csv.DictReader(io.StringIO(file.read(_TEST_TABLE).decode()), delimiter=";", skipinitialspace=True)
        labels = {f"{_TEST_FOLDER}/{row['Filename']}": int(row["ClassId"]) for row in table}
    items = [Item(name, class_names[label], splits[label, track]) for name, (label, track) in tracks.items()]
    items += [Item(name, class_names[label], SplitName.TEST) for name, label in labels.items()]
    return PictureSource(items, _iterate({training: list(tracks), test: list(labels)}), class_names)


def _draw_validation(tracks: Mapping[str, tuple[int, int]]) -> Mapping[tuple[int, int], SplitName]:
    """The split of each (class, track)."""
    known = sorted(set(tracks.values()))
    names = DatasetName.GTSRB.facts.class_names
    drawn = draw_test(np.array([label for label, _ in known]), names, VALIDATION_SHARE, _VALIDATION_SEED)
    splits = [SplitName.VALIDATION if is_drawn else SplitName.TRAIN for is_drawn in drawn]
    return dict(zip(known, splits, strict=True))


def _iterate(names: Mapping[Path, Sequence[str]]) -> Generator[bytes, None, None]:
    for path, of_file in names.items():
        with zipfile.ZipFile(path) as file:
            for name in of_file:
                yield file.read(name)
