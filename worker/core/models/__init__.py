"""Built-in networks as modules with fresh weights.

Each is described by the name of its architecture and the widths of its hidden layers: that is all a file has to hold
to rebuild a network, also one whose channels were pruned away.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.checkpoint_facts import NetworkFacts, describe_facts, describe_model
from worker.core.models.build import NetworkModule, build_module, get_record
from worker.network.architectures import find_architecture, read_widths
from worker.network.record import Network


def build_model(
    architecture: str,
    widths: Sequence[int] | None = None,
    *,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
) -> NetworkModule:
    """A built-in network; see `describe_model` and `build_module`. Raises InvalidModel."""
    return build_module(describe_model(architecture, widths, input_shape=input_shape, num_classes=num_classes))


def rebuild_model(facts: NetworkFacts, widths: Sequence[int] | None = None) -> NetworkModule:
    """A network of what a file says, with fresh weights. widths: others than the file's. Raises InvalidModel."""
    return build_module(describe_facts(facts, widths))


def get_architecture(model: nn.Module) -> str:
    """The name of the architecture that a network is of. Raises InvalidModel where it is none of these."""
    architecture = find_architecture(get_record(model))
    if architecture is None:
        raise InvalidModel("the network is none of the architectures known here")
    return architecture


def get_widths(architecture: str, model: nn.Module) -> tuple[int, ...]:
    """The widths that `build_model` needs to rebuild `model`; none of a network that only its record describes."""
    return read_widths(architecture, get_record(model)) if architecture in list(Architecture) else ()


def describe_shape(architecture: str, model: nn.Module) -> tuple[tuple[int, ...], Network | None]:
    """What of `CheckpointInfo` rebuilds `model` with the layers that it has now: its widths, or else its record."""
    widths = get_widths(architecture, model)
    return widths, None if architecture in list(Architecture) else get_record(model)
