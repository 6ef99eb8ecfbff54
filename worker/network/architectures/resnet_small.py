"""A small residual network (He et al. 2016): stem, two residual blocks, global average pooling.

widths: stem, inside of block 1, output of block 2, inside of block 2. Block 1 keeps the stem's width (identity
shortcut); block 2 halves the picture (1x1 shortcut).
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations.elementwise import Add, Flatten, Relu
from worker.network.operations.layers import BatchNorm, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool
from worker.network.record import Network, NetworkBuilder

DEFAULT_WIDTHS = (16, 16, 32, 32)
NUM_WIDTHS = 4


def describe(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """The network for these widths; see `describe_network`."""
    stem, inner1, outer2, inner2 = widths
    builder = NetworkBuilder(input_shape)
    builder.add("stem", build_square_convolution(stem, 3, stride=2, padding=1))
    builder.add("stem_bn", BatchNorm())
    start = builder.add("stem_relu", Relu())
    builder.add("conv1a", build_square_convolution(inner1, 3, padding=1))
    builder.add("bn1a", BatchNorm())
    builder.add("relu1a", Relu())
    builder.add("conv1b", build_square_convolution(stem, 3, padding=1))
    branch = builder.add("bn1b", BatchNorm())
    builder.add("add1", Add(), start, branch)
    middle = builder.add("relu1b", Relu())
    builder.add("conv2a", build_square_convolution(inner2, 3, stride=2, padding=1))
    builder.add("bn2a", BatchNorm())
    builder.add("relu2a", Relu())
    builder.add("conv2b", build_square_convolution(outer2, 3, padding=1))
    branch = builder.add("bn2b", BatchNorm())
    builder.add("shortcut2", build_square_convolution(outer2, 1, stride=2), middle)
    shortcut = builder.add("shortcut2_bn", BatchNorm())
    builder.add("add2", Add(), shortcut, branch)
    builder.add("relu2b", Relu())
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flatten", Flatten())
    builder.add("fc", Linear(out_features=num_classes))
    return builder.build()


def read_widths(outputs: Mapping[str, int]) -> tuple[int, ...]:
    """The widths, from the outputs of the layers."""
    return outputs["stem"], outputs["conv1a"], outputs["conv2b"], outputs["conv2a"]
