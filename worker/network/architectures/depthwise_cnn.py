"""A small depthwise-separable network (Howard et al. 2017, MobileNet).

Stem convolution, two depthwise-separable blocks, global average pooling, linear.
"""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations.elementwise import Flatten, Relu
from worker.network.operations.layers import BatchNorm, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool
from worker.network.record import Network, NetworkBuilder

DEFAULT_WIDTHS = (24, 48, 96)
NUM_WIDTHS = 3


def describe(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> Network:
    """The network for these widths; see `describe_network`."""
    stem, second, third = widths
    convolutions = {
        "stem": build_square_convolution(stem, 3, stride=2, padding=1),
        "depthwise1": build_square_convolution(stem, 3, padding=1, groups=stem),
        "pointwise1": build_square_convolution(second, 1),
        "depthwise2": build_square_convolution(second, 3, stride=2, padding=1, groups=second),
        "pointwise2": build_square_convolution(third, 1),
    }
    builder = NetworkBuilder(input_shape)
    for name, convolution in convolutions.items():
        builder.add(name, convolution)
        builder.add(f"{name}_bn", BatchNorm())
        builder.add(f"{name}_relu", Relu())
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flatten", Flatten())
    builder.add("fc", Linear(out_features=num_classes))
    return builder.build()


def read_widths(outputs: Mapping[str, int]) -> tuple[int, ...]:
    """The widths, from the outputs of the layers."""
    return outputs["stem"], outputs["pointwise1"], outputs["pointwise2"]
