"""The default network: two convolution blocks and two linear layers, 421,834 parameters at its own widths.

Conv 3x3, BN, max-pool, ReLU, twice; then linear, ReLU, linear. Pooling stands before ReLU: both are monotonous, so the
result is the same, and ReLU sees a quarter of the values.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations.elementwise import Flatten, Relu
from worker.network.operations.layers import BatchNorm, Linear, build_square_convolution
from worker.network.operations.pooling import build_square_max_pool
from worker.network.record import Network, NetworkBuilder

DEFAULT_WIDTHS = (32, 64, 128)
NUM_WIDTHS = 3


def describe(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """The network for these widths; see `describe_network`."""
    first, second, hidden = widths
    builder = NetworkBuilder(input_shape)
    for number, width in enumerate((first, second), start=1):
        builder.add(f"conv{number}", build_square_convolution(width, 3, padding=1))
        builder.add(f"bn{number}", BatchNorm())
        builder.add(f"pool{number}", build_square_max_pool(2))
        builder.add(f"relu{number}", Relu())
    builder.add("flatten", Flatten())
    builder.add("fc1", Linear(out_features=hidden))
    builder.add("relu3", Relu())
    builder.add("fc2", Linear(out_features=num_classes))
    return builder.build()


def read_widths(outputs: Mapping[str, int]) -> tuple[int, ...]:
    """The widths, from the outputs of the layers."""
    return outputs["conv1"], outputs["conv2"], outputs["fc1"]
