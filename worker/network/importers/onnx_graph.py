"""The record of an ONNX file while it is written: what each tensor of the file is, and the nodes so far."""

from __future__ import annotations

import re
from dataclasses import replace

from worker.network.importers.onnx_messages import OnnxModel, OnnxNode, Tensor
from worker.network.importers.onnx_values import BATCH, Activation, Axis, Decision, Partial, StoredWeight, Value, Weight
from worker.network.importers.wire import WireReader
from worker.network.names import check_names
from worker.network.operations import NAMES
from worker.network.operations.base import InvalidNetwork, Operation, Shape
from worker.network.record import PICTURE, Network, Node

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


class GraphWriter:
    """Writes nodes of the record, each with what the file calls it; `build` drops what nothing reads and names them.

    turned: the name of the file's pictures where they are height × width × channels, and it turns them first of all.
    pixels: what gives a row of channels → what gives the same as a picture of one pixel.
    """

    def __init__(self, model: OnnxModel, reader: WireReader, input_shape: tuple[int, int, int]) -> None:
        self.reader, self.input_shape = reader, input_shape
        self.values: dict[str, Value] = dict(model.tensors)
        self.opset = model.opset or 0
        self.batch: Axis = BATCH
        self.turned: str | None = None
        self.pixels: dict[int, Activation] = {}
        self.notes: list[str] = []
        self._uses: dict[str, int] = {}
        for name in [name for node in model.nodes for name in node.inputs] + model.outputs:
            self._uses[name] = self._uses.get(name, 0) + 1
        self._names: dict[int, list[str]] = {}
        self._shared: set[int] = set()
        self._nodes: list[Node] = []
        self._shapes: list[Shape] = []
        self._weights: list[dict[str, Weight]] = []

    def note(self, sentence: str) -> None:
        """Remembers what a person should know of the import, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def get_shape(self, value: Activation) -> Shape:
        """Of one picture, without the batch."""
        return self.input_shape if value.index == PICTURE else self._shapes[value.index]

    def get_node(self, value: Activation) -> Node | None:
        """What gives it; None where it is the picture."""
        return None if value.index == PICTURE else self._nodes[value.index]

    def get_weights(self, value: Activation) -> dict[str, Weight]:
        """Those of the node that gives it."""
        return {} if value.index == PICTURE else self._weights[value.index]

    def bind(self, name: str, value: Value) -> None:
        """Remembers what a tensor of the file is."""
        self.values[name] = value
        if isinstance(value, Activation | Partial | Decision):
            self._names.setdefault(value.index, []).append(name)

    def share(self, value: Activation) -> Activation:
        """Remembers that what a node gives may have readers by names that are not its own."""
        self._shared.add(value.index)
        return value

    def is_read_once(self, value: Activation) -> bool:
        """Whether one alone reads what a node gives, by whatever names: Identity, Dropout and the like give another."""
        return value.index not in self._shared and all(
            self._uses.get(name, 0) == 1 for name in self._names.get(value.index, ())
        )

    def add(self, operation: Operation, *inputs: Activation, hint: str = "", **weights: Weight) -> Activation:
        """Writes a node. hint: what its module may be called; weights: those that its operation has, by name."""
        indices = tuple(value.index for value in inputs)
        shape = operation.infer_shape(tuple(map(self.get_shape, inputs)))
        self._check_weights(operation, inputs, weights)
        self._shapes.append(shape)
        self._nodes.append(Node(operation, indices, hint))
        self._weights.append(weights)
        return Activation(len(self._nodes) - 1)

    def replace_operation(self, value: Activation, operation: Operation, **weights: Weight) -> Activation:
        """Gives a node another operation and more weights: a bias that the file adds behind it."""
        node = self._nodes[value.index]
        weights = self._weights[value.index] | weights
        inputs = tuple(map(Activation, node.inputs))
        self._check_weights(operation, inputs, weights)
        self._nodes[value.index] = replace(node, operation=operation)
        self._weights[value.index] = weights
        return value

    def _check_weights(self, operation: Operation, inputs: tuple[Activation, ...], weights: dict[str, Weight]) -> None:
        for name, shape in operation.list_tensors(tuple(map(self.get_shape, inputs))).items():
            weight = weights[name]
            if isinstance(weight, StoredWeight):
                dims = weight.tensor.dims[::-1] if weight.is_transposed else weight.tensor.dims
                if len(shape) == 1:
                    dims = (max(dims, default=1),) if weight.tensor.num_values == max(dims, default=1) else dims
                if len(shape) == 4 and shape[2:] == (1, 1) and len(dims) == 2:  # of a linear layer on one pixel
                    dims = (*dims, 1, 1)
                if dims != shape:
                    raise InvalidNetwork(
                        f"tensor {weight.tensor.name!r:.80}: its dimensions are {list(dims)}, and {list(shape)} are "
                        "wanted"
                    )

    def build(self, output: Activation) -> tuple[Network, dict[str, Weight]]:
        """The record that ends there, and the weights by the names that it gives them."""
        used = {output.index}
        for index in range(output.index, -1, -1):
            if index in used:
                used.update(self._nodes[index].inputs)
        kept = [index for index in range(len(self._nodes)) if index in used]
        places = {index: place for place, index in enumerate(kept)} | {PICTURE: PICTURE}
        names = _choose_names([self._nodes[index] for index in kept])
        nodes = tuple(
            Node(self._nodes[index].operation, tuple(places[read] for read in self._nodes[index].inputs), name)
            for index, name in zip(kept, names, strict=True)
        )
        weights = {
            f"{name}.{tensor}": weight
            for index, name in zip(kept, names, strict=True)
            for tensor, weight in self._weights[index].items()
        }
        return Network(self.input_shape, nodes, places[output.index]), weights


def _choose_names(nodes: list[Node]) -> list[str]:
    """A name for each: its hint where that is free and a name; layers with a hint choose first."""
    names = [""] * len(nodes)
    taken, parents, counts = set[str](), set[str](), dict[str, int]()
    for position in sorted(range(len(nodes)), key=lambda position: not nodes[position].name):
        kind = NAMES[type(nodes[position].operation)]
        name = clean_name(nodes[position].name)
        while not name or name in taken or name in parents or _list_parents(name) & taken:
            counts[kind] = counts.get(kind, 0) + 1
            name = f"{kind}_{counts[kind]}"
        names[position] = name
        taken.add(name)
        parents |= _list_parents(name)
    return names


def _list_parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:count]) for count in range(1, len(parts))}


def clean_name(hint: str) -> str:
    """A dotted name, as near to the hint as there is; empty where there is none that a module may have."""
    parts = [part for part in _NOT_IN_NAMES.sub("_", hint).split(".") if part]
    name = ".".join(parts)
    try:
        check_names([name])
    except InvalidNetwork:
        return ""
    return name


def choose_hint(weight: Tensor, node: OnnxNode) -> str:
    """What the module of a layer was called: its weight's name tells, or the path that PyTorch gives its node.

    `/features/features.1/conv/conv.0/Conv` is features.1.conv.0.
    """
    if weight.name.endswith(".weight"):
        return weight.name.removesuffix(".weight")
    parts = list[str]()
    for scope in node.name.split("/")[1:-1]:
        if parts and scope.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(scope)
    return ".".join(parts)
