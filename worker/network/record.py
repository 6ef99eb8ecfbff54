"""A network as a graph of operations: the shape of every value, and the names and shapes of all weights.

Its JSON is `{"input": [C, H, W], "nodes": [[operation, [inputs], attributes, name], ...], "output": i}`. A node reads
earlier nodes by their index; -1 is the picture. Weights lie beside it, under the names of their nodes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from worker.network.names import check_names
from worker.network.operations import NAMES, OPERATIONS
from worker.network.operations.base import MAX_INPUTS, InvalidNetwork, Operation, Shape

MAX_NODES = 4096
MAX_VALUES = 1 << 48
"""Of one node's output, or of one tensor."""
MAX_JSON_BYTES = 1 << 20
MAX_SIDE = 4096
PICTURE = -1
"""The index of what the network is given."""


@dataclass(frozen=True)
class Node:
    """An operation in its place. inputs: indices of earlier nodes; name: that of its module, dotted as PyTorch does."""

    operation: Operation
    inputs: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Network:
    """A valid record. output: the index of the node that gives the logits. Raises InvalidNetwork when it is made."""

    input_shape: tuple[int, int, int]
    nodes: tuple[Node, ...]
    output: int
    shapes: tuple[Shape, ...] = field(init=False, compare=False, repr=False)
    """Of every node's output."""

    def __post_init__(self) -> None:
        if not all(1 <= side <= MAX_SIDE for side in self.input_shape):
            raise InvalidNetwork(f"input: each side lies between 1 and {MAX_SIDE}")
        if not 1 <= len(self.nodes) <= MAX_NODES:
            raise InvalidNetwork(f"nodes: there are from 1 to {MAX_NODES}")
        if not 0 <= self.output < len(self.nodes):
            raise InvalidNetwork("output: there is no node of that index")
        check_names([node.name for node in self.nodes])
        _check_reach(self.nodes, self.output)
        shapes: list[Shape] = []
        for node in self.nodes:
            read = self._look_up(node, shapes)
            try:
                shape = node.operation.infer_shape(read)
            except InvalidNetwork as error:
                raise InvalidNetwork(f"{node.name}: {error}") from None
            sizes = (shape, *node.operation.list_tensors(read).values())
            if any(math.prod(size) > MAX_VALUES for size in sizes):
                raise InvalidNetwork(f"{node.name}: it is too large")
            shapes.append(shape)
        object.__setattr__(self, "shapes", tuple(shapes))

    def list_inputs(self, node: Node) -> tuple[Shape, ...]:
        """The shapes of what a node reads."""
        return self._look_up(node, self.shapes)

    def _look_up(self, node: Node, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
        return tuple(self.input_shape if index == PICTURE else shapes[index] for index in node.inputs)

    def _list_tensors(self) -> Iterator[tuple[Node, str, Shape]]:
        for node in self.nodes:
            for name, shape in node.operation.list_tensors(self.list_inputs(node)).items():
                yield node, name, shape

    @property
    def tensors(self) -> dict[str, Shape]:
        """Name → shape of all that a state dict holds but the counters of batches, in the order of the nodes."""
        return {f"{node.name}.{name}": shape for node, name, shape in self._list_tensors()}

    @property
    def num_parameters(self) -> int:
        """Values that training changes."""
        return sum(math.prod(shape) for node, name, shape in self._list_tensors() if name not in node.operation.buffers)

    @property
    def macs(self) -> dict[str, int]:
        """Name of each convolution and linear layer → multiply-accumulates for one picture."""
        counted = {node.name: node.operation.count_macs(self.list_inputs(node)) for node in self.nodes}
        return {name: count for name, count in counted.items() if count}

    @property
    def activation_sizes(self) -> tuple[int, ...]:
        """Values of every node's output, for one picture."""
        return tuple(map(math.prod, self.shapes))

    def to_json(self) -> dict[str, Any]:
        """The record; attributes that an operation has by default are left out."""
        nodes = [
            [
                NAMES[type(node.operation)],
                list(node.inputs),
                node.operation.model_dump(mode="json", exclude_defaults=True),
                node.name,
            ]
            for node in self.nodes
        ]
        return {"input": list(self.input_shape), "nodes": nodes, "output": self.output}


def _check_reach(nodes: tuple[Node, ...], output: int) -> None:
    """Holds the indices against the order of the nodes; what leads to no output is refused."""
    for number, node in enumerate(nodes):
        fewest, most = node.operation.num_inputs
        if not fewest <= len(node.inputs) <= most:
            raise InvalidNetwork(f"{node.name}: it reads {fewest} to {most} values, {len(node.inputs)} are given")
        if not all(PICTURE <= index < number for index in node.inputs):
            raise InvalidNetwork(f"{node.name}: it reads what does not come before it")
    used = {output}
    for number in range(len(nodes) - 1, -1, -1):
        if number not in used:
            raise InvalidNetwork(f"{nodes[number].name}: nothing that leads to the output reads it")
        used.update(nodes[number].inputs)


class NetworkBuilder:
    """Writes a record node by node."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self._input_shape, self._nodes = input_shape, list[Node]()

    def add(self, name: str, operation: Operation, *inputs: int) -> int:
        """Adds a node, and returns its index. inputs: by default the node before it, or the picture."""
        self._nodes.append(Node(operation, inputs or (len(self._nodes) - 1,), name))
        return len(self._nodes) - 1

    def build(self) -> Network:
        """The network whose output is the last node. Raises InvalidNetwork."""
        return Network(self._input_shape, tuple(self._nodes), len(self._nodes) - 1)


def parse_network(text: str | bytes) -> Network:
    """Reads a record from its JSON, which may come from anywhere. Raises InvalidNetwork at its first fault."""
    if len(text) > MAX_JSON_BYTES:
        raise InvalidNetwork(f"it is longer than {MAX_JSON_BYTES} bytes")
    try:
        said = json.loads(text, object_pairs_hook=_refuse_twins)
    except InvalidNetwork:
        raise
    except (ValueError, RecursionError):
        raise InvalidNetwork("it is not JSON") from None
    if not isinstance(said, dict) or said.keys() != {"input", "nodes", "output"}:
        raise InvalidNetwork("it has input, nodes and output, and nothing else")
    shape, nodes, output = said["input"], said["nodes"], said["output"]
    if not _is_indices(shape, 3) or len(shape) != 3:
        raise InvalidNetwork("input: it is channels, height and width")
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise InvalidNetwork(f"nodes: there are from 1 to {MAX_NODES}")
    if type(output) is not int:
        raise InvalidNetwork("output: it is the index of a node")
    return Network((shape[0], shape[1], shape[2]), tuple(map(_parse_node, nodes)), output)


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON: of a key that comes twice, two readers may each take the other value."""
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise InvalidNetwork(f"the key {key!r:.60} comes twice in one object")
        read[key] = value
    return read


def _parse_node(said: Any) -> Node:
    if not isinstance(said, list) or len(said) != 4:
        raise InvalidNetwork("nodes: each is an operation, its inputs, its attributes and its name")
    operation, inputs, attributes, name = said
    if not isinstance(name, str):
        raise InvalidNetwork("name: it is a text")
    if not isinstance(operation, str) or operation not in OPERATIONS:
        raise InvalidNetwork(f"{name!r:.60}: the operation {operation!r:.60} is not known here")
    if not _is_indices(inputs, MAX_INPUTS):
        raise InvalidNetwork(f"{name!r:.60}: its inputs are at most {MAX_INPUTS} indices")
    return Node(_parse_attributes(OPERATIONS[operation], name, attributes), tuple(inputs), name)


def _parse_attributes(operation: type[Operation], name: str, said: Any) -> Operation:
    if not isinstance(said, Mapping) or not said.keys() <= operation.model_fields.keys():
        raise InvalidNetwork(f"{name!r:.60}: its attributes are of {sorted(operation.model_fields)}")
    try:
        return operation.model_validate(said)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise InvalidNetwork(f"{name!r:.60}: {place}: {fault['msg']}") from None


def _is_indices(said: Any, most: int) -> bool:
    return isinstance(said, list) and len(said) <= most and all(type(number) is int for number in said)
