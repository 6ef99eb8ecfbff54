"""A network for other classes or other pictures: the same nodes, the last layer or the input replaced."""

from __future__ import annotations

from dataclasses import replace

from worker.network.operations.base import MAX_SIZE, InvalidNetwork, Operation
from worker.network.operations.elementwise import Add, Concatenate, Multiply
from worker.network.operations.layers import BatchNorm, ChannelAffine, Convolution, Linear
from worker.network.record import PICTURE, Network

_MIXING = (Add, BatchNorm, ChannelAffine, Concatenate, Multiply)
"""What gives as many values as more than one layer says: no single one can be replaced."""


def find_last_layer(network: Network) -> int:
    """The index of the one layer whose outputs are the classes. Raises InvalidNetwork where there is none."""
    index = network.output
    while index != PICTURE:
        node = network.nodes[index]
        if isinstance(node.operation, Linear | Convolution):
            if _count_outputs(node.operation) == network.num_classes:
                return index
            break
        if isinstance(node.operation, _MIXING):
            break
        (index,) = node.inputs
    raise InvalidNetwork("the classes come from no single layer: its last one cannot be replaced")


def _count_outputs(layer: Linear | Convolution) -> int:
    return layer.out_features if isinstance(layer, Linear) else layer.out_channels


def replace_classes(network: Network, num_classes: int) -> Network:
    """The network with that many classes. Its last layer's tensors have another shape; all others stay."""
    if not 1 <= num_classes <= MAX_SIZE:
        raise InvalidNetwork(f"classes: there are from 1 to {MAX_SIZE}")
    index = find_last_layer(network)
    layer = network.nodes[index].operation
    size = {"out_features" if isinstance(layer, Linear) else "out_channels": num_classes}
    changed: Operation = layer.model_copy(update=size)
    nodes = list(network.nodes)
    nodes[index] = replace(nodes[index], operation=changed)
    return Network(network.input_shape, tuple(nodes), network.output)


def replace_input(network: Network, input_shape: tuple[int, int, int]) -> Network:
    """The network for pictures of that shape. Raises InvalidNetwork where it cannot read them with the weights it has.

    Other channels change the first layers' weights; another height or width changes none.
    """
    changed = Network(input_shape, network.nodes, network.output)
    if input_shape[0] == network.input_shape[0]:
        tensors = changed.tensors  # which are listed anew each time that they are asked for
        for name, shape in network.tensors.items():
            if tensors[name] != shape:
                raise InvalidNetwork(
                    f"tensor {name}: at {input_shape[1]}×{input_shape[2]} it would have another shape than at "
                    f"{network.input_shape[1]}×{network.input_shape[2]}"
                )
    return changed


def find_smallest_side(network: Network) -> int:
    """The smallest square picture that the network reads with the weights it has."""
    largest = max(network.input_shape[1:])
    for side in range(1, largest):
        try:
            replace_input(network, (network.input_shape[0], side, side))
        except InvalidNetwork:
            continue
        return side
    return largest


def check_state(network: Network, shapes: dict[str, tuple[int, ...]]) -> None:
    """Holds the tensors of a file against the network's: Raises InvalidNetwork at the first that differs, by its name.

    shapes: name → shape, without what is no part of the network.
    """
    wanted = network.tensors
    for name, shape in wanted.items():
        if name not in shapes:
            raise InvalidNetwork(f"tensor {name}: the network has it, the file does not")
        if shapes[name] != shape:
            raise InvalidNetwork(f"tensor {name}: it is {list(shapes[name])} in the file, {list(shape)} in the network")
    if extra := sorted(shapes.keys() - wanted.keys()):
        raise InvalidNetwork(f"tensor {extra[0][:100]}: the file has it, the network does not")
