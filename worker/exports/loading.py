"""A stored model as exports read it, the test split that it is measured on, and what it answers here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import describe_compressed, is_compressed, load_checkpoint, load_compressed
from worker.core.lineage import load_lineage_data
from worker.core.models.build import get_record
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset
from worker.exports.exporter import StoredArrays
from worker.exports.float_network import FloatNetwork


@dataclass(frozen=True)
class StoredNetwork:
    """arrays: what exports write; model: what computes them here; info: what its pictures are."""

    arrays: StoredArrays
    model: nn.Module
    info: CheckpointInfo

    def load_data(self, location: DatasetLocation) -> Dataset:
        """The data of its lineage, as it reads them. Raises InvalidModel, DatasetUnavailable."""
        return load_lineage_data(self.info, location)


def load_stored_network(path: Path, summary: Mapping[str, Any]) -> StoredNetwork:
    """Loads a model's file. summary: what is stored of it. Raises InvalidModel."""
    if not is_compressed(path):
        model, info = load_checkpoint(path)
        weights = {name: value.numpy() for name, value in model.state_dict().items()}
        record = get_record(model)
        arrays = {name: weights[name] for name in record.tensors}
        network = FloatNetwork(record, info.class_names, info.mean, info.std, arrays)
        return StoredNetwork(StoredArrays(network, path), model, info)
    model, integers = load_compressed(path)
    dataset, split_seed = summary.get("dataset"), summary.get("split_seed")
    info = describe_compressed(
        integers,
        dataset if isinstance(dataset, str) else None,
        split_seed if isinstance(split_seed, int) else 0,
    )
    return StoredNetwork(StoredArrays(integers, path), model, info)
