"""Which values of a network hold nothing but pixels, and which layers read them."""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.operations import NAMES
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.elementwise import Concatenate, Flatten, LeakyRelu, Relu
from worker.network.operations.layers import BatchNorm, ChannelAffine, Convolution, Linear
from worker.network.operations.pooling import AdaptiveAveragePool, AveragePool, MaxPool, Mean
from worker.network.record import PICTURE, Network

_WITH_WEIGHTS = Convolution | Linear | BatchNorm | ChannelAffine
_BY_CHANNEL = MaxPool | AveragePool | AdaptiveAveragePool | Mean | Relu | LeakyRelu
"""Give f times as much for each channel that is f times as large, f being positive."""


def follow_picture(network: Network) -> Mapping[int, tuple[int, ...]]:
    """The channel of the picture that each channel, or feature, of a value is of: place of a node, or PICTURE → those.

    Raises InvalidNetwork where something reads a pixel that has no weights for each channel and does not keep channels
    apart: a network that is given another multiple of each channel cannot be made to compute the same then.
    """
    held = {PICTURE: tuple(range(network.input_shape[0]))}
    for place, node in enumerate(network.nodes):
        if held.keys().isdisjoint(node.inputs) or isinstance(node.operation, _WITH_WEIGHTS):
            continue
        if isinstance(node.operation, _BY_CHANNEL):
            held[place] = held[node.inputs[0]]
        elif isinstance(node.operation, Flatten):
            given = held[node.inputs[0]]
            num_pixels = network.shapes[place][0] // len(given)
            held[place] = tuple(channel for channel in given for _ in range(num_pixels))
        elif isinstance(node.operation, Concatenate) and held.keys() >= set(node.inputs):
            held[place] = tuple(channel for index in node.inputs for channel in held[index])
        else:
            raise InvalidNetwork(
                f"{node.name} ({NAMES[type(node.operation)]}) reads the picture: deviations that differ by channel go "
                "into the weights of what reads it first, and it has none"
            )
    if network.output in held:
        raise InvalidNetwork("the network gives pixels back: no weights take deviations that differ by channel")
    return held
