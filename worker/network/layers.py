"""What of a network is a layer, a convolution or a linear one; what follows each; and the same with fewer channels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from worker.network.operations.base import InvalidNetwork, Operation, Shape
from worker.network.operations.layers import BatchNorm, Convolution, Linear
from worker.network.record import PICTURE, Network, Node


def count_outputs(network: Network) -> dict[str, int]:
    """Name of each layer → its channels or neurons, in the order of the nodes."""
    return {node.name: shape[0] for node, shape in zip(network.nodes, network.shapes, strict=True) if _is_layer(node)}


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


def find_last_layers(network: Network) -> frozenset[str]:
    """The layers whose outputs reach the network's with no other layer between: they give the logits their number."""
    last, seen, waiting = set[str](), set[int](), [network.output]
    while waiting:
        node = network.nodes[waiting.pop()]
        if _is_layer(node):
            last.add(node.name)
        else:
            waiting += [index for index in node.inputs if index != PICTURE and index not in seen]
            seen.update(node.inputs)
    return frozenset(last)


def has_batch_norm(network: Network) -> bool:
    """Whether it normalises by batch."""
    return any(isinstance(node.operation, BatchNorm) for node in network.nodes)


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


def _is_layer(node: Node) -> bool:
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
