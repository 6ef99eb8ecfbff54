"""A multi-layer perceptron of any number of hidden layers; LeNet-300-100 by default.

Linear and ReLU in turn; the last linear layer gives the logits.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations.elementwise import Flatten, Relu
from worker.network.operations.layers import Linear
from worker.network.record import Network, NetworkBuilder

DEFAULT_WIDTHS = (300, 100)
NUM_WIDTHS = None


def describe(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """The network for these widths; see `describe_network`."""
    builder = NetworkBuilder(input_shape)
    builder.add("flatten", Flatten())
    for number, width in enumerate(widths):
        builder.add(f"layers.{number}", Linear(out_features=width))
        builder.add(f"relu{number}", Relu())
    builder.add(f"layers.{len(widths)}", Linear(out_features=num_classes))
    return builder.build()


def read_widths(outputs: Mapping[str, int]) -> tuple[int, ...]:
    """The widths, from the outputs of the layers."""
    return tuple(outputs.values())[:-1]
