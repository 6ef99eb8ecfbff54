"""The networks that are built in, each a function of its hidden widths, the pictures and the number of classes.

A new one takes a module here, and a line in worker/catalog.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worker.catalog import Architecture
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
