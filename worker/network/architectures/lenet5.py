"""LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, 61,706 parameters on 28x28.

Two 5x5 convolutions, three linear layers; no batch norm.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations.elementwise import Flatten, Relu
from worker.network.operations.layers import Linear, build_square_convolution
from worker.network.operations.pooling import build_square_max_pool
from worker.network.record import Network, NetworkBuilder

DEFAULT_WIDTHS = (6, 16, 120, 84)
NUM_WIDTHS = 4


def describe(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """The network for these widths; see `describe_network`."""
    first, second, third, fourth = widths
    builder = NetworkBuilder(input_shape)
    for number, (width, padding) in enumerate(((first, 2), (second, 0)), start=1):
        builder.add(f"conv{number}", build_square_convolution(width, 5, padding=padding))
        builder.add(f"pool{number}", build_square_max_pool(2))
        builder.add(f"relu{number}", Relu())
    builder.add("flatten", Flatten())
    builder.add("fc1", Linear(out_features=third))
    builder.add("relu3", Relu())
    builder.add("fc2", Linear(out_features=fourth))
    builder.add("relu4", Relu())
    builder.add("fc3", Linear(out_features=num_classes))
    return builder.build()


def read_widths(outputs: Mapping[str, int]) -> tuple[int, ...]:
    """The widths, from the outputs of the layers."""
    return outputs["conv1"], outputs["conv2"], outputs["fc1"], outputs["fc2"]
