"""Whether a stored network can be fine-tuned to a data set, told from what is stored of both. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storage.errors import InvalidSpec
from worker.dataset_facts import is_same_class
from worker.dataset_refs import Describe, get_facts
from worker.memory_estimate import read_network
from worker.network.operations.base import InvalidNetwork
from worker.network.record import Network
from worker.network.retarget import replace_classes, replace_input


def describe_fine_tuned(summary: Mapping[str, Any], dataset: str | None, describe: Describe) -> Network | None:
    """The network that a training begins with; None where the stored model does not say what network it is.

    summary: of the stored model. dataset: None for the model's own. Raises InvalidSpec, which names the field.
    """
    if dataset is None and summary.get("not_measured") is not None:
        raise InvalidSpec(
            "dataset: initial_model_id was measured on no data set: name the one to fine-tune it to", field="/dataset"
        )
    network = read_network(summary)
    if network is None or dataset in (None, summary.get("dataset")):
        return network
    facts = get_facts(str(dataset), describe)
    channels = network.input_shape[0]
    if channels != facts.input_shape[0]:
        raise InvalidSpec(
            f"dataset: initial_model_id reads pictures of {channels} channels, those of {dataset} have "
            f"{facts.input_shape[0]}",
            field="/dataset",
        )
    try:
        network = replace_input(network, facts.input_shape)
    except InvalidNetwork as error:
        raise InvalidSpec(f"dataset: initial_model_id cannot read these pictures: {error}", field="/dataset") from None
    if is_same_class(summary.get("class_names") or (), 0, facts.class_names, 0) is not None:
        return network
    try:
        return replace_classes(network, len(facts.class_names))
    except InvalidNetwork as error:
        raise InvalidSpec(f"initial_model_id: {error}", field="/initial_model_id") from None
