"""Where every value of a network lies while it runs: in one array, in which places are used again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from worker.network.layers import find_batch_norms, is_layer
from worker.network.operations import elementwise, layers
from worker.network.record import PICTURE, Network

_IN_PLACE = (
    elementwise.Relu,
    elementwise.Relu6,
    elementwise.LeakyRelu,
    elementwise.HardSwish,
    elementwise.HardSigmoid,
    elementwise.Sigmoid,
    elementwise.Silu,
    elementwise.Gelu,
    elementwise.Add,
    elementwise.Multiply,
    layers.BatchNorm,
    layers.ChannelAffine,
)
"""What reads each value once, before it writes the one at its place."""


@dataclass(frozen=True)
class Memory:
    """sources: each node's index and the picture's → whose memory its value is. offsets: of a source, in values.

    The picture has an offset where something other than a layer reads it. num_values: of all together.
    """

    sources: Mapping[int, int]
    offsets: Mapping[int, int]
    num_values: int


@dataclass
class _Buffer:
    """size: in values. born, last: the moments at which it is first written and last read."""

    size: int
    born: int
    last: int
    offset: int = 0


def plan_memory(network: Network) -> Memory:
    """Places values that live at the same time beside one another, the largest first (Pisarchyk and Lee 2020).

    A node has two moments. In the first a layer makes integers of what it reads, which is free from then on; in the
    second the others read, and all write.
    """
    sources = _find_sources(network)
    last_reads = _find_last_reads(network, sources)
    buffers, owners = list[_Buffer](), dict[int, _Buffer]()
    for number in range(PICTURE, len(network.nodes)):
        if sources[number] != number or number not in last_reads:
            continue
        moment = 2 * number + 1
        buffer = None if number == PICTURE else _find_reusable(network, number, sources, owners, moment)
        if buffer is None:
            shape = network.input_shape if number == PICTURE else network.shapes[number]
            buffer = _Buffer(math.prod(shape), moment, moment)
            buffers.append(buffer)
        buffer.last = last_reads[number]
        owners[number] = buffer
    placed = list[_Buffer]()
    for buffer in sorted(buffers, key=lambda each: (-each.size, each.born)):
        buffer.offset = _find_gap(buffer, placed)
        placed.append(buffer)
    return Memory(
        sources,
        {number: buffer.offset for number, buffer in owners.items()},
        max(buffer.offset + buffer.size for buffer in buffers),
    )


def _find_sources(network: Network) -> dict[int, int]:
    """Flattening changes no value, nor does a batch norm that is part of the layer before it."""
    folded = set(find_batch_norms(network).values())
    sources = {PICTURE: PICTURE}
    for number, node in enumerate(network.nodes):
        is_same = isinstance(node.operation, elementwise.Flatten) or node.name in folded
        sources[number] = sources[node.inputs[0]] if is_same else number
    return sources


def _find_last_reads(network: Network, sources: Mapping[int, int]) -> dict[int, int]:
    last_reads = dict[int, int]()
    for number, node in enumerate(network.nodes):
        if sources[number] == number:
            for index in node.inputs:
                # A layer makes integers of what it reads, and reads the picture's pixels as they are.
                if not (is_layer(node) and sources[index] == PICTURE):
                    last_reads[sources[index]] = 2 * number + (not is_layer(node))
    last_reads[sources[network.output]] = 2 * len(network.nodes) + 1
    return last_reads


def _find_reusable(
    network: Network, number: int, sources: Mapping[int, int], owners: Mapping[int, _Buffer], moment: int
) -> _Buffer | None:
    """The memory of a value of the same size that nobody reads afterwards, where the operation can write over it."""
    node = network.nodes[number]
    if isinstance(node.operation, _IN_PLACE):
        for index in node.inputs:
            buffer = owners[sources[index]]
            if buffer.last == moment and buffer.size == math.prod(network.shapes[number]):
                return buffer
    return None


def _find_gap(buffer: _Buffer, placed: list[_Buffer]) -> int:
    """The first place that is free for as long as the buffer is needed."""
    beside = [other for other in placed if other.born <= buffer.last and buffer.born <= other.last]
    offset = 0
    for other in sorted(beside, key=lambda each: each.offset):
        if offset + buffer.size <= other.offset:
            break
        offset = max(offset, other.offset + other.size)
    return offset
