"""Architectures. Each is described by its name and the widths of its hidden layers alone.

That is all a file has to hold to rebuild a network, also one whose channels were pruned away.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.checkpoint_facts import LARGEST_WIDTH, NetworkFacts
from worker.core.graph import list_layers
from worker.network.architectures import DEFAULT_WIDTHS, NUM_WIDTHS, WIDTH_READERS, Widths
from worker.registry import Registry

BUILDERS = Registry[Callable[[Widths, tuple[int, int, int], int], nn.Module]](Architecture, __name__, "build")
"""widths, input shape, number of classes → a network with fresh weights."""


def build_model(
    architecture: str,
    widths: Sequence[int] | None = None,
    *,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
) -> nn.Module:
    """A network with fresh random weights (torch's global generator), channels last.

    widths: channels or neurons of each hidden layer, in forward order; None for the architecture's own.
    Raises InvalidModel when the name is unknown or the widths do not fit.
    """
    name = _find_name(architecture)
    chosen = tuple(widths) if widths is not None else DEFAULT_WIDTHS[name]
    if not all(1 <= width <= LARGEST_WIDTH for width in chosen):
        raise InvalidModel(f"each width must lie between 1 and {LARGEST_WIDTH}", field="widths")
    wanted = NUM_WIDTHS[name]
    if wanted is not None and len(chosen) != wanted:
        raise InvalidModel(f"{architecture} has {wanted} hidden widths, {len(chosen)} were given", field="widths")
    return BUILDERS[name](chosen, input_shape, num_classes).to(memory_format=torch.channels_last)


def rebuild_model(facts: NetworkFacts, widths: Sequence[int] | None = None) -> nn.Module:
    """A network of what a file says, with fresh weights. widths: others than the file's."""
    return build_model(
        facts.architecture,
        facts.widths if widths is None else widths,
        input_shape=facts.input_shape,
        num_classes=len(facts.class_names),
    )


def shrink_widths(
    architecture: str,
    widths: Sequence[int],
    *,
    max_parameters: int,
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> tuple[int, ...]:
    """The widest network of the same proportions with at most so many parameters; never below one channel a layer."""

    def scale(share: int) -> tuple[int, ...]:
        return tuple(max(1, round(width * share / 1024)) for width in widths)

    def fits(share: int) -> bool:
        model = build_model(architecture, scale(share), input_shape=input_shape, num_classes=num_classes)
        return sum(parameter.numel() for parameter in model.parameters()) <= max_parameters

    return scale(bisect_left(range(1, 1024), True, key=lambda share: not fits(share)))


def has_batch_norm(architecture: str) -> bool:
    """Whether networks of this architecture normalise by batch. Raises InvalidModel when the name is unknown."""
    with torch.device("meta"):
        model = build_model(architecture)
    return any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def find_architecture(model: nn.Module) -> str:
    """Finds the name of the architecture that a network is of. Raises InvalidModel where it is none of these."""
    package, _, name = type(model).__module__.rpartition(".")
    if package != __name__ or name not in set(Architecture):
        raise InvalidModel(f"{type(model).__name__} is none of the architectures known here")
    return name


def get_widths(architecture: str, model: nn.Module) -> tuple[int, ...]:
    """The widths that `build_model` needs to rebuild `model`, read from its layers."""
    outputs = {name: len(layer.weight) for name, layer in list_layers(model).items()}
    return WIDTH_READERS[_find_name(architecture)](outputs)


def _find_name(architecture: str) -> Architecture:
    try:
        return Architecture(architecture)
    except ValueError:
        raise InvalidModel(f"unknown architecture {architecture!r:.60}") from None
