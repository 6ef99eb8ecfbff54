"""From what a model's file says of itself to the data set as that model reads and names it.

This is the one way there for every job that is given a model: what a file says is then forgotten by none of them, nor
by what they write, since a checkpoint describes the data that its network was measured on.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from worker.catalog import DatasetFacts, DatasetName
from worker.checkpoint_facts import CheckpointInfo
from worker.core.datasets import Dataset, Split, load_dataset
from worker.dataset_facts import NameMatch, check_dataset
from worker.dataset_location import DatasetLocation
from worker.dataset_refs import is_stored


def load_lineage_data(info: CheckpointInfo, location: DatasetLocation) -> Dataset:
    """The data set of `info`. Raises InvalidModel, DatasetUnavailable, InvalidDataset."""
    if not is_stored(info.dataset):
        facts = DatasetName(info.dataset).facts
        check_dataset(facts, info.dataset, info.input_shape, info.class_names)  # before anything is loaded
    return adopt_facts(load_dataset(info.dataset, location, info.split_seed), info)


def adopt_facts(data: Dataset, info: CheckpointInfo) -> Dataset:
    """A data set with the normalisation, the training pictures, the class names and their order of a model's file.

    Raises InvalidModel where it cannot be the file's.
    """
    facts = DatasetFacts(data.input_shape, data.class_names, len(data.train) + len(data.validation) + len(data.test))
    match = check_dataset(facts, data.name, info.input_shape, info.class_names)
    data = replace(
        data.limit_train(info.num_train_examples), class_names=info.class_names, mean=info.mean, std=info.std
    )
    if match.how is not NameMatch.PERMUTED:
        return data
    classes = torch.empty(len(match.order), dtype=torch.int64)
    classes[torch.tensor(match.order)] = torch.arange(len(match.order))

    def rename(split: Split) -> Split:
        return Split(split.images, classes[split.labels])

    return replace(data, train=rename(data.train), validation=rename(data.validation), test=rename(data.test))
