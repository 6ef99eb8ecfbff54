"""How a network's classes are found among those of a data set.

Torch-free: the API holds an upload against it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.errors import InvalidModel
from worker.catalog import DatasetFacts, DatasetName


class NameMatch(StrEnum):
    """How the classes of a network were found among those of a data set."""

    SAME = "same"
    PERMUTED = "permuted"
    BY_POSITION = "by_position"


@dataclass(frozen=True)
class ClassMatch:
    """order[i]: the label in the data set of what the network has as its class i."""

    how: NameMatch
    order: tuple[int, ...]


def match_classes(names: Sequence[str], labels: Sequence[str]) -> ClassMatch:
    """Finds a network's classes (`names`) among a data set's (`labels`): by name, else, where none is known, by place.

    Case and spaces do not count. Raises InvalidModel where their numbers differ, and where some of the names are the
    data set's but at other places, since then neither name nor place can be trusted.
    """
    if len(names) != len(labels):
        raise InvalidModel(
            f"the network tells {len(names)} classes apart, the data set has {len(labels)}", field="class_names"
        )
    places = {fold_name(label): place for place, label in enumerate(labels)}
    found = [places.get(fold_name(name)) for name in names]
    order = tuple(place for place in found if place is not None)
    if len(set(order)) == len(labels):
        is_same = order == tuple(range(len(labels)))
        return ClassMatch(NameMatch.SAME if is_same else NameMatch.PERMUTED, order)
    moved = sum(place not in (None, index) for index, place in enumerate(found))
    if moved:
        raise InvalidModel(
            f"{moved} of the class names are the data set's, but at other places, and {len(names) - len(order)} are "
            "none of its: give all classes the data set's names, or none",
            field="class_names",
        )
    return ClassMatch(NameMatch.BY_POSITION, tuple(range(len(labels))))


def is_same_class(names: Sequence[str], index: int, others: Sequence[str], other: int) -> bool | None:
    """Whether class `index` of `names` is class `other` of `others`; None where they do not name the same classes."""
    folded, rest = [fold_name(name) for name in names], [fold_name(name) for name in others]
    return folded[index] == rest[other] if sorted(folded) == sorted(rest) else None


def find_datasets(class_names: Sequence[str], input_shape: tuple[int, int, int] | None = None) -> list[DatasetName]:
    """The data sets of the catalogue that have just these classes, in whatever order, and pictures of that shape.

    input_shape: channels, height and width; None where it is not known.
    """
    wanted = sorted(map(fold_name, class_names))
    return [
        name
        for name in DatasetName
        if input_shape in (None, name.facts.input_shape) and sorted(map(fold_name, name.facts.class_names)) == wanted
    ]


def check_dataset(
    facts: DatasetFacts, name: str, input_shape: tuple[int, int, int], class_names: Sequence[str]
) -> ClassMatch:
    """How the network's classes are found in the data set called `name`. Raises InvalidModel where it does not fit."""
    if facts.input_shape != input_shape:
        raise InvalidModel(
            f"the network reads {'x'.join(map(str, input_shape))} pictures, "
            f"{name} has {'x'.join(map(str, facts.input_shape))} ones",
            field="input_shape",
        )
    return match_classes(class_names, facts.class_names)


def fold_name(name: str) -> str:
    """What a class is found by: names of the same are one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
