"""A training that begins with the weights of a stored network: the same data set, or another with its own classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.errors import InvalidModel
from worker.checkpoint_facts import CheckpointInfo, describe_facts
from worker.core.lineage import load_lineage_data, load_other_data
from worker.core.models.build import build_module
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset
from worker.network.operations.base import InvalidNetwork
from worker.network.retarget import find_last_layer, replace_classes, replace_input

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class FineTuningStart:
    """The network as the training begins with it. replaced_layer: the last one, where it was drawn anew."""

    model: nn.Module
    data: Dataset
    replaced_layer: str | None


def start_fine_tuning(
    model: nn.Module, info: CheckpointInfo, dataset: str | None, location: DatasetLocation
) -> FineTuningStart:
    """The stored network with the data that it is trained on. Its last layer has fresh weights where the class names
    are others.

    dataset: None for the network's own. The network's own seed draws the split of any, so that nothing is validated on
    what it has seen: it may be back at a data set that one of its ancestors was trained on. Raises InvalidModel,
    DatasetUnavailable.
    """
    if dataset in (None, info.dataset):
        return FineTuningStart(model, load_lineage_data(info, location), None)
    data = load_other_data(info, str(dataset), location)
    try:
        network = replace_input(describe_facts(info), data.input_shape)
    except InvalidNetwork as error:
        raise InvalidModel(f"the network cannot read the pictures of {dataset}: {error}", field="dataset") from None
    state, replaced = model.state_dict(), None
    if data.class_names != info.class_names:
        try:
            network = replace_classes(network, len(data.class_names))
        except InvalidNetwork as error:
            raise InvalidModel(str(error), field="initial_model_id") from None
        replaced = network.nodes[find_last_layer(network)].name
        state = {name: value for name, value in state.items() if name.rpartition(".")[0] != replaced}
    start = build_module(network)
    start.load_state_dict(state, strict=replaced is None)
    return FineTuningStart(start, data, replaced)
