"""The networks that are built in, each a function of its hidden widths, the pictures and the number of classes.

A new one takes a module here, and a line in worker/catalog.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping

from worker.catalog import Architecture
from worker.network.layers import count_outputs
from worker.network.record import Network
from worker.registry import Registry

Widths = tuple[int, ...]
RECORDS = Registry[Callable[[Widths, tuple[int, int, int], int], Network]](Architecture, __name__, "describe")
"""widths, input shape, number of classes → the network."""
DEFAULT_WIDTHS = Registry[Widths](Architecture, __name__, "DEFAULT_WIDTHS")
NUM_WIDTHS = Registry[int | None](Architecture, __name__, "NUM_WIDTHS")
"""None: any number of them."""
WIDTH_READERS = Registry[Callable[[Mapping[str, int]], Widths]](Architecture, __name__, "read_widths")
"""Name → outputs of every convolution and linear layer, in forward order, to the hidden widths."""


def describe_network(
    architecture: str,
    widths: Widths | None = None,
    *,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
) -> Network:
    """The record of a built-in network. widths: None for the architecture's own.

    Raises InvalidNetwork where there can be none, ValueError also where the name is not known or the number of widths
    is another.
    """
    chosen = DEFAULT_WIDTHS[architecture] if widths is None else widths
    return RECORDS[architecture](chosen, input_shape, num_classes)


def read_widths(architecture: str, network: Network) -> Widths:
    """The hidden widths of a network of that architecture, whatever else was done to its layers."""
    return WIDTH_READERS[architecture](count_outputs(network))


def find_architecture(network: Network) -> Architecture | None:
    """The architecture that describes exactly this network with some widths; None where none does."""
    num_classes = network.shapes[network.output][0]
    for architecture in Architecture:
        try:
            widths = read_widths(architecture, network)
            described = describe_network(architecture, widths, input_shape=network.input_shape, num_classes=num_classes)
        except (KeyError, ValueError):  # it lacks a layer of that name, or cannot be built of such widths
            continue
        if described == network:
            return architecture
    return None


def shrink_widths(
    architecture: str, widths: Widths, *, max_parameters: int, input_shape: tuple[int, int, int], num_classes: int
) -> Widths:
    """The widest network of the same proportions with at most so many parameters; never below one channel a layer."""

    def scale(share: int) -> Widths:
        return tuple(max(1, round(width * share / 1024)) for width in widths)

    def fits(share: int) -> bool:
        network = describe_network(architecture, scale(share), input_shape=input_shape, num_classes=num_classes)
        return network.num_parameters <= max_parameters

    return scale(bisect_left(range(1, 1024), True, key=lambda share: not fits(share)))
