"""A real data set as somebody uploads it: the 60,000 pictures of CIFAR-10 in folders, in one zip file."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.needs import NO_CIFAR10, find_cifar10
from worker.catalog import SplitName
from worker.dataset_files.cache import open_cache

CHECKOUT = Path(__file__).parents[3]
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Of the original pictures, as everybody normalises by them; these are JPEG, which smooths a little.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@pytest.mark.slow
def test_the_pictures_of_cifar10_are_all_found_and_each_is_what_pillow_says(tmp_path: Path) -> None:
    path = find_cifar10()
    if path is None:
        pytest.skip(NO_CIFAR10)
    target = tmp_path / "decoded"
    command = [sys.executable, "-m", "tests.worker.dataset_files.measured_import", str(path), str(target), "{}"]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    told = json.loads(ended.stdout)
    summary = told["summary"]
    assert tuple(summary["class_names"]) == CLASSES
    assert summary["input_shape"] == [3, 32, 32]
    assert summary["counts"] == {"train": [5000] * 10, "test": [1000] * 10}
    assert (summary["refused"], summary["warnings"], summary["conversions"]) == ([], [], {})
    assert summary["mean"] == pytest.approx(MEAN, abs=0.001)
    assert summary["std"] == pytest.approx(STD, abs=0.005)
    assert summary["num_bytes"] == target.stat().st_size
    assert told["peak_bytes"] is None or told["peak_bytes"] < 400_000_000
    cache = open_cache(target)
    with zipfile.ZipFile(path) as file:
        for split, per_class in ((SplitName.TRAIN, 5000), (SplitName.TEST, 1000)):
            for label, number in ((0, 0), (3, 17), (9, per_class - 1)):
                with file.open(f"{split}/{CLASSES[label]}/{number:04}.jpg") as entry:
                    expected = np.asarray(Image.open(entry)).transpose(2, 0, 1)
                place = label * per_class + number
                assert cache.splits[split].labels[place] == label
                assert (cache.splits[split].images[place] == expected).all()
