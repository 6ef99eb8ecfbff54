"""Which data set a spec means: one of the catalogue by its name, or one that somebody brought by its id. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from worker.catalog import DatasetFacts, DatasetName, SplitName

_PREFIX = "dst_"
DatasetRef = Annotated[
    str,
    Field(
        pattern=rf"^({'|'.join(DatasetName)}|{_PREFIX}[0-9A-Za-z]{{1,40}})$",
        description="A name of `GET /v1/datasets`, or the id of a data set that was brought there.",
    ),
]

LEAST_TO_VALIDATE = 2
"""Pictures of a class to train on of which one may validate."""

Describe = Callable[[str], Mapping[str, Any]]
"""The id of a stored model or data set → its summary."""


def is_stored(dataset: str) -> bool:
    """Whether somebody brought it."""
    return dataset.startswith(_PREFIX)


def has_pictures_to_validate(dataset: str, describe: Describe) -> bool:
    """Whether its file has a validation split, or some class two pictures to train on, of which one may validate."""
    if not is_stored(dataset):
        return True
    counts: Mapping[str, Sequence[int]] = describe(dataset)["counts"]
    return SplitName.VALIDATION in counts or max(counts[SplitName.TRAIN]) >= LEAST_TO_VALIDATE


def get_facts(dataset: str, describe: Describe) -> DatasetFacts:
    """The shape, the classes and the number of pictures of a data set. Raises ValueError for a name of none."""
    if not is_stored(dataset):
        return DatasetName(dataset).facts
    summary = describe(dataset)
    channels, height, width = summary["input_shape"]
    num_pictures = sum(map(sum, summary["counts"].values()))
    return DatasetFacts(
        (channels, height, width),
        tuple(summary["class_names"]),
        num_pictures,
        is_mirrorable=summary["is_mirrorable"],
    )
