"""A data set of a few colour photographs, cut from the pictures of CIFAR-10 and enlarged as a user's would be."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from tests.worker.jobs.conftest import Shop, check_result
from worker.jobs import parse_spec, run_spec

CLASSES = ("airplane", "frog", "ship")
SIDE = 64
NUM_TRAIN, NUM_TEST = 12, 6
"""Of each class; the validation split is drawn from the first."""


def cut_photographs(source: Path, target: Path) -> None:
    """Writes the first pictures of some classes as a zip file of folders. source: the zip file of all."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w") as few:
        for split, number in (("train", NUM_TRAIN), ("test", NUM_TEST)):
            for name in (f"{split}/{label}/{place:04}.jpg" for label in CLASSES for place in range(number)):
                few.writestr(name, whole.read(name))


def bring_photographs(shop: Shop, file: Path) -> str:
    """Imports them; returns the id of the data set."""
    context = shop.open("photographs")
    shutil.copy(file, context.upload_file())
    outcome = run_spec(parse_spec({"kind": "import_dataset", "options": {"size": SIDE}}), context)
    check_result("import_dataset", outcome)
    assert outcome.result["input_shape"] == [3, SIDE, SIDE]
    assert outcome.result["counts"]["test"] == [NUM_TEST] * len(CLASSES)
    return str(outcome.result["dataset_id"])
