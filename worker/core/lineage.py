"""From what a model's file says of itself to the data set as that model reads and names it.

This is the one way there for every job that is given a model: what a file says is then forgotten by none of them, nor
by what they write, since a checkpoint describes the data that its network was measured on.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from storage.errors import InvalidModel
from worker.catalog import DatasetFacts, DatasetName
from worker.checkpoint_facts import CheckpointInfo
from worker.dataset_facts import NameMatch, check_dataset, is_same_class
from worker.dataset_location import DatasetLocation
from worker.dataset_refs import is_stored
from worker.datasets import Dataset, Split, load_dataset


def load_lineage_data(info: CheckpointInfo, location: DatasetLocation) -> Dataset:
    """The data set of `info`. Raises InvalidModel, DatasetUnavailable, InvalidDataset."""
    name = _get_dataset(info)
    if not is_stored(name):
        check_dataset(DatasetName(name).facts, name, info.input_shape, info.class_names)  # before anything is loaded
    return adopt_facts(load_dataset(name, location, info.split_seed), info)


def load_described_data(
    info: CheckpointInfo,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    location: DatasetLocation,
) -> tuple[CheckpointInfo, Dataset]:
    """The same for a network whose file does not say how it reads a picture: where `mean` or `std` is None, it is the
    data set's. Returns the facts with them, too. Raises InvalidModel, DatasetUnavailable.
    """
    data = load_dataset(_get_dataset(info), location, info.split_seed)
    info = replace(info, mean=mean or data.mean, std=std or data.std)
    return info, adopt_facts(data, info)


def _get_dataset(info: CheckpointInfo) -> str:
    if info.dataset is None:
        raise InvalidModel("the network was measured on no data set: name one to fine-tune it to", field="dataset")
    return info.dataset


def load_other_data(info: CheckpointInfo, name: str, location: DatasetLocation) -> Dataset:
    """Another data set for a network that is to be fine-tuned to it: normalised as the network is used to; classes of
    the same names stand in the network's order, others as the data set has them; the network's own seed draws
    the split. How pictures are made to fit is the other data set's, as those are what it learns. Raises InvalidModel.
    """
    data = load_dataset(name, location, info.split_seed)
    if data.input_shape[0] != info.input_shape[0]:
        raise InvalidModel(
            f"the network reads pictures of {info.input_shape[0]} channels, those of {name} have {data.input_shape[0]}",
            field="dataset",
        )
    if is_same_class(info.class_names, 0, data.class_names, 0) is None:
        return replace(data, mean=info.mean, std=info.std)
    described = replace(info, dataset=name, input_shape=data.input_shape, num_train_examples=None, resize=data.resize)
    return adopt_facts(data, described)


def adopt_facts(data: Dataset, info: CheckpointInfo) -> Dataset:
    """A data set with the normalisation, the training pictures, the class names and their order of a model's file, and
    with its resize policy, where it says one.
    Raises InvalidModel where it cannot be the file's.
    """
    num_pictures = len(data.train) + len(data.validation) + len(data.test)
    facts = DatasetFacts(data.input_shape, data.class_names, num_pictures, data.is_mirrorable)
    match = check_dataset(facts, data.name, info.input_shape, info.class_names)
    data = replace(
        data.limit_train(info.num_train_examples),
        class_names=info.class_names,
        mean=info.mean,
        std=info.std,
        resize=info.resize or data.resize,
    )
    if match.how is not NameMatch.PERMUTED:
        return data
    classes = torch.empty(len(match.order), dtype=torch.int64)
    classes[torch.tensor(match.order)] = torch.arange(len(match.order))

    def rename(split: Split) -> Split:
        return Split(split.images, classes[split.labels])

    return replace(data, train=rename(data.train), validation=rename(data.validation), test=rename(data.test))
