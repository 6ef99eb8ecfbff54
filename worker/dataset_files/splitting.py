"""Which class each picture has, which of them are trained on and which are only tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidDataset
from worker.catalog import DatasetWarning, RefusalReason, SplitName
from worker.dataset_files.limits import DatasetLimits
from worker.dataset_files.naming import sort_classes
from worker.dataset_files.options import DatasetOptions
from worker.dataset_files.source import MOST_NAMED, Item, RefusalLog, show_first, show_name
from worker.dataset_refs import LEAST_TO_VALIDATE

VALIDATION_SHARE = 0.1
"""Of the training pictures, where the file came without a validation split."""
MAX_VALIDATION = 5000
_SPLITS = tuple(SplitName)


@dataclass(frozen=True)
class Assignment:
    """labels: int64 (N,). splits: int64 (N,), places in SplitName, -1 for a picture that is left out."""

    class_names: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    is_test_drawn: bool

    def choose(self, split: SplitName) -> NDArray[np.bool_]:
        """Which pictures are in a split, (N,)."""
        return np.equal(self.splits, _SPLITS.index(split))


def assign_pictures(
    items: Sequence[Item],
    class_names: Sequence[str] | None,
    options: DatasetOptions,
    log: RefusalLog,
    limits: DatasetLimits,
) -> Assignment:
    """Gives each decoded picture its class and its split. Classes are those of the training pictures.

    class_names: in the order of the labels, where the file gives one. Raises InvalidDataset.
    """
    # What has no split is drawn from, and what is left of it is trained on.
    wanted = np.array([_SPLITS.index(item.split or SplitName.TRAIN) for item in items], np.int64)
    train, test = _SPLITS.index(SplitName.TRAIN), _SPLITS.index(SplitName.TEST)
    known = sort_classes((item.label for item, split in zip(items, wanted, strict=True) if split == train), limits)
    if class_names is not None:
        found = frozenset(known)
        known = tuple(name for name in class_names if name in found)
        if left_out := [name for name in class_names if name not in found]:
            log.tell(
                DatasetWarning.CLASS_LEFT_OUT,
                f"no training picture is of {show_first(left_out)}: left out, so that classes have other numbers than "
                "in the file",
                count=len(left_out),
                class_names=[show_name(name) for name in left_out[:MOST_NAMED]],
            )
    if len(known) < limits.min_classes:
        named = ", ".join(map(show_name, known)) or "none"
        raise InvalidDataset(
            f"the training pictures have {len(known)} classes ({named}); at least {limits.min_classes} are needed",
            field="classes",
        )
    places = {name: place for place, name in enumerate(known)}
    labels = np.array([places.get(item.label, -1) for item in items], np.int64)
    for item, label in zip(items, labels, strict=True):
        if label < 0:
            log.add(item.name, RefusalReason.UNKNOWN_CLASS)
    splits = np.where(labels < 0, -1, wanted)
    is_test_drawn = not (splits == test).any()
    if is_test_drawn:
        candidates = np.flatnonzero(splits == train)
        drawn = draw_test(labels[candidates], known, options.test_fraction, options.seed)
        splits[candidates[drawn]] = test
    if not (splits == test).any():
        raise InvalidDataset("no class has a picture to spare for the test split", field="pictures")
    return Assignment(known, labels, splits, is_test_drawn)


def draw_test(labels: NDArray[np.int64], names: Sequence[str], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Draws `fraction` of each class. labels: (N,). Returns bool, (N,).

    Of a class of two pictures or more at least one is drawn, and one is left. The same seed draws the same pictures.
    """
    drawn = np.zeros(len(labels), bool)
    for label in range(len(names)):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1:
            num_drawn = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
            generator = np.random.default_rng((seed, label))
            drawn[generator.permutation(rows)[:num_drawn]] = True
    return drawn


def find_spare(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which training pictures may validate, as they are not their class's only one. labels: (N,). Returns (N,)."""
    return np.bincount(labels)[labels] >= LEAST_TO_VALIDATE


def choose_validation_size(labels: NDArray[np.int64]) -> int:
    """How many of the training pictures validate, at least as many as classes can spare one; drawn by share, so that a
    rare class may get none. labels: (N,).

    Raises InvalidDataset where there is no such class.
    """
    spare = labels[find_spare(labels)]
    num_classes = len(np.unique(spare))
    if not num_classes:
        raise InvalidDataset("no class has two pictures to train on: one must validate", field="classes")
    wanted = max(num_classes, round(VALIDATION_SHARE * len(spare)))
    return min(MAX_VALIDATION, wanted, len(spare) - num_classes)
