"""What of a network is a layer, a convolution or a linear one; what follows each; and the same with fewer channels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from worker.network.operations.base import InvalidNetwork, Operation, Shape
from worker.network.operations.elementwise import Add, Concatenate, Flatten, Multiply
from worker.network.operations.layers import BatchNorm, ChannelAffine, Convolution, Linear
from worker.network.operations.pooling import MaxPool
from worker.network.record import PICTURE, Network, Node


def count_outputs(network: Network) -> dict[str, int]:
    """Name of each layer → its channels or neurons, in the order of the nodes."""
    return {node.name: shape[0] for node, shape in zip(network.nodes, network.shapes, strict=True) if is_layer(node)}


def find_batch_norms(network: Network) -> dict[str, str]:
    """Name of a convolution → name of the batch norm that alone reads its output."""
    num_readers = Counter(index for node in network.nodes for index in node.inputs)
    num_readers[network.output] += 1
    pairs = {}
    for node in network.nodes:
        source = node.inputs[0]
        if isinstance(node.operation, BatchNorm) and source != PICTURE and num_readers[source] == 1:
            read = network.nodes[source]
            if isinstance(read.operation, Convolution):
                pairs[read.name] = node.name
    return pairs


def find_affines(network: Network) -> dict[str, int]:
    """Name → channels of what multiplies and adds by channel for itself: a channel affine, or a batch norm that no
    convolution can take in.
    """
    folded = set(find_batch_norms(network).values())
    return {
        node.name: network.list_inputs(node)[0][0]
        for node in network.nodes
        if isinstance(node.operation, ChannelAffine)
        or (isinstance(node.operation, BatchNorm) and node.name not in folded)
    }


def find_picture_layers(network: Network) -> frozenset[str]:
    """The layers that read pixels as they are: nothing but flattening, joining and taking the largest lies between."""
    values = {PICTURE}
    for number, node in enumerate(network.nodes):
        if isinstance(node.operation, Flatten | Concatenate | MaxPool) and values.issuperset(node.inputs):
            values.add(number)
    return frozenset(node.name for node in network.nodes if is_layer(node) and node.inputs[0] in values)


def find_fixed_layers(network: Network) -> frozenset[str]:
    """The layers that cannot lose outputs: those that give the logits their number, and those whose channels are added
    to, multiplied with or grouped like the picture's.

    So are those that torch-pruning would cut wrongly: what was concatenated and is then flattened, or read by a grouped
    convolution that is not depthwise; and a convolution with one channel a group on one side alone, with what leads to
    it, which it takes for a depthwise one. And those whose channels are split into groups of different numbers: three
    of six channels are as many groups of one convolution, and cannot be two groups of another.
    """
    fixed, _ = find_sources(network, [network.output])
    fixed |= _find_split_differently(network)
    for number, node in enumerate(network.nodes):
        sources, has_picture = find_sources(network, node.inputs)
        operation, shape = node.operation, network.list_inputs(node)[0]
        is_joined = any(network.shapes[index][0] != shape[0] for index in sources)
        if isinstance(operation, Convolution) and operation.groups > 1:
            sides = {shape[0], operation.out_channels}
            if has_picture or (sides != {operation.groups} and (operation.groups in sides or is_joined)):
                fixed |= sources | {number}
        elif (isinstance(operation, Add | Multiply) and has_picture) or (
            isinstance(operation, Flatten) and is_joined and math.prod(shape[1:]) > 1
        ):
            fixed |= sources
    return frozenset(network.nodes[index].name for index in fixed)


def _find_split_differently(network: Network) -> set[int]:
    """Finds the layers whose channels, or others that go with them, are in groups of more than one number."""
    together = {number: {number} for number, node in enumerate(network.nodes) if is_layer(node)}
    groups: dict[int, set[int]] = {number: set() for number in together}
    for number, node in enumerate(network.nodes):
        sources, _ = find_sources(network, node.inputs)
        operation, tied = node.operation, set[int]()
        if isinstance(operation, Add | Multiply):
            tied = sources
        elif isinstance(operation, Convolution) and operation.groups > 1:
            tied = sources | {number}
            if {operation.groups} != {network.list_inputs(node)[0][0], operation.out_channels}:
                for index in tied:
                    groups[index].add(operation.groups)
                tied = sources
        whole = set[int]().union(*(together[index] for index in tied))
        together |= dict.fromkeys(whole, whole)
    return {number for number, tied in together.items() if len(set[int]().union(*(groups[each] for each in tied))) > 1}


def find_sources(network: Network, indices: Iterable[int]) -> tuple[set[int], bool]:
    """Finds the layers that values come from with no other layer between, and whether the picture is among them, too.

    indices: of the values; the layers are given by theirs.
    """
    seen, waiting = set[int](), list(indices)
    while waiting:
        index = waiting.pop()
        if index != PICTURE and index not in seen and not is_layer(network.nodes[index]):
            waiting += network.nodes[index].inputs
        seen.add(index)
    return {index for index in seen - {PICTURE} if is_layer(network.nodes[index])}, PICTURE in seen


def has_batch_norm(network: Network) -> bool:
    """Whether it normalises by batch."""
    return any(isinstance(node.operation, BatchNorm) for node in network.nodes)


def normalises_single_values(network: Network) -> bool:
    """Whether a batch norm has one value for each channel of a picture: a batch of one then has no deviation."""
    return any(
        isinstance(node.operation, BatchNorm) and math.prod(shape[1:]) == 1
        for node, shape in zip(network.nodes, network.shapes, strict=True)
    )


def shrink_network(network: Network, weights: Mapping[str, Shape]) -> Network:
    """The same network with layers of other sizes. weights: name → shape of each layer's weight, as pruning left it.

    Raises InvalidNetwork where they do not fit one another.
    """
    nodes, shapes = list[Node](), list[Shape]()
    for node in network.nodes:
        inputs = tuple(network.input_shape if index == PICTURE else shapes[index] for index in node.inputs)
        operation = node.operation
        if isinstance(operation, Convolution | Linear):
            operation = _resize(operation, inputs, weights[node.name])
        shapes.append(operation.infer_shape(inputs))
        nodes.append(replace(node, operation=operation))
    return Network(network.input_shape, tuple(nodes), network.output)


def is_layer(node: Node) -> bool:
    """Whether it is a convolution or a linear layer."""
    return isinstance(node.operation, Convolution | Linear)


def _resize(operation: Convolution | Linear, inputs: tuple[Shape, ...], weight: Shape) -> Operation:
    if isinstance(operation, Linear):
        resized: Operation = operation.model_copy(update={"out_features": weight[0]})
    else:
        # A depthwise filter reads one channel, however many there are: the number of groups follows.
        groups = 1 if operation.groups == 1 else max(1, inputs[0][0] // weight[1])
        resized = operation.model_copy(update={"out_channels": weight[0], "groups": groups})
    if resized.list_tensors(inputs)["weight"] != weight:
        raise InvalidNetwork(f"a weight of shape {weight} does not fit what it reads, {inputs[0]}")
    return resized
