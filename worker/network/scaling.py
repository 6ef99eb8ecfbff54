"""The same network with fewer channels everywhere, as one would have designed it smaller."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from worker.network.layers import find_sources
from worker.network.operations.base import Operation, Shape
from worker.network.operations.elementwise import Add, Multiply
from worker.network.operations.layers import Convolution, Linear
from worker.network.record import PICTURE, Network, Node

_TRIALS = 4
"""Factors tried until a network is about as large as asked for."""


def scale_channels(network: Network, factor: float) -> Network:
    """Each layer that can have fewer channels has `factor` of them, at least one. factor: 0 to 1.

    Layers that are added or multiplied have as many before and so after. Raises InvalidNetwork where what is left
    cannot be split in the groups that a convolution has.
    """
    fixed = _find_fixed(network)
    nodes, shapes = list[Node](), list[Shape]()
    for number, node in enumerate(network.nodes):
        inputs = tuple(network.input_shape if index == PICTURE else shapes[index] for index in node.inputs)
        operation = node.operation
        if number not in fixed:
            operation = _scale(operation, network.list_inputs(node)[0][0], inputs[0][0], factor)
        shapes.append(operation.infer_shape(inputs))
        nodes.append(replace(node, operation=operation))
    return Network(network.input_shape, tuple(nodes), network.output)


def _find_fixed(network: Network) -> set[int]:
    """The layers that give the logits their number, and those whose channels are added to or multiplied with the
    picture's.
    """
    fixed, _ = find_sources(network, [network.output])
    for node in network.nodes:
        sources, has_picture = find_sources(network, node.inputs)
        if has_picture and isinstance(node.operation, Add | Multiply):
            fixed |= sources
    return fixed


def _scale(operation: Operation, channels_before: int, channels: int, factor: float) -> Operation:
    """channels: that it reads; channels_before: of the network that is scaled."""
    if isinstance(operation, Linear):
        return operation.model_copy(update={"out_features": _shrink(operation.out_features, factor)})
    if not isinstance(operation, Convolution):
        return operation
    if operation.groups == channels_before > 1:  # depthwise: so many filters for each channel that it reads
        out_channels = operation.out_channels // channels_before * channels
        return operation.model_copy(update={"out_channels": out_channels, "groups": channels})
    return operation.model_copy(update={"out_channels": _shrink(operation.out_channels, factor)})


def _shrink(count: int, factor: float) -> int:
    return max(1, round(count * factor))


def match_scale(network: Network, num_bytes: int, count_bytes: Callable[[Network], int]) -> Network:
    """The scaled network whose file comes nearest to `num_bytes`, of a few that are tried. Raises InvalidNetwork.

    count_bytes: of a network's file, which grows about with the square of its channels.
    """
    factor = 1.0
    tried: list[tuple[int, Network]] = []
    for _ in range(_TRIALS):
        scaled = scale_channels(network, factor)
        counted = count_bytes(scaled)
        tried.append((abs(counted - num_bytes), scaled))
        factor = min(1.0, factor * math.sqrt(num_bytes / counted))
    return min(tried, key=lambda one: one[0])[1]
