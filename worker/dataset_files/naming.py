"""Names of splits and classes, as people and programs write them."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from storage.errors import InvalidDataset
from worker.catalog import SplitName
from worker.checkpoint_facts import MAX_NAME_BYTES, is_class_name
from worker.dataset_facts import fold_name
from worker.dataset_files.limits import DatasetLimits
from worker.dataset_files.source import show_name
from worker.names import is_name

_SPLITS = {
    "train": SplitName.TRAIN,
    "training": SplitName.TRAIN,
    "test": SplitName.TEST,
    "testing": SplitName.TEST,
    "val": SplitName.VALIDATION,
    "valid": SplitName.VALIDATION,
    "validation": SplitName.VALIDATION,
    "dev": SplitName.VALIDATION,
}
_FILLERS = frozenset(
    {
        "set",
        "split",
        "data",
        "dataset",
        "image",
        "images",
        "img",
        "imgs",
        "pictures",
        "photos",
        "seg",
        "label",
        "labels",
    }
)
"""Words that people write beside the name of a split, as in `training_set` and `train_labels.csv`."""
_WORDS = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"([0-9]+)")


def list_words(name: str) -> list[str]:
    """The words of letters and digits that a name or a title is made of, in lower case."""
    return _WORDS.findall(name.casefold())


@functools.lru_cache(1024)  # asked of every picture, and there are few folders
def find_split(name: str) -> SplitName | None:
    """The split that a folder, a column's value or a file's stem names, alone or with a word that says nothing."""
    words = [word for word in list_words(name) if word not in _FILLERS]
    return _SPLITS.get(words[0]) if len(words) == 1 else None


def find_first_split(names: Iterable[str]) -> SplitName | None:
    """The split that the first of the names names which names one."""
    return next((split for name in names if (split := find_split(name)) is not None), None)


def make_natural_key(name: str) -> tuple[object, ...]:
    """Sorts names as people do: 2 before 10."""
    key: list[object] = []
    for place, part in enumerate(_NUMBER.split(name)):
        # A number by its length and its digits: Python refuses to read one of thousands of digits.
        digits = part.lstrip("0")
        key.append((len(digits), digits) if place % 2 else part)
    return tuple(key), name


def sort_classes(labels: Iterable[str], limits: DatasetLimits) -> tuple[str, ...]:
    """The classes in the order of their labels.

    Raises InvalidDataset where one is no name, or none that the file of a network may hold, and where two of them are
    told apart by nothing that classes are found by: no model that is trained on such could be opened again.
    """
    classes = set(labels)
    if len(classes) > limits.max_classes:
        raise InvalidDataset(
            f"the pictures have {len(classes):,} classes; {limits.max_classes:,} are allowed", field="classes"
        )
    found: dict[str, str] = {}
    for name in sorted(classes):
        if not is_name(name) or len(name) > limits.max_class_name:
            raise InvalidDataset(
                f"a class must be called by a line of at most {limits.max_class_name} characters that people can read, "
                f"not {show_name(name)}",
                field="classes",
            )
        if not is_class_name(name):
            raise InvalidDataset(
                f"a class cannot be called {show_name(name)}: the name is longer than {MAX_NAME_BYTES} bytes, or a "
                "report's own",
                field="classes",
            )
        if (other := found.setdefault(fold_name(name), name)) != name:
            raise InvalidDataset(
                f"{show_name(other)} and {show_name(name)} are one name but for case, spaces or width: call them apart",
                field="classes",
            )
    return tuple(sorted(classes, key=make_natural_key))
