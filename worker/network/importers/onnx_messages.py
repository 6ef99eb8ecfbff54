"""The messages of an ONNX file as data: what is needed of them here, and all that must be refused.

Field numbers are those of onnx.proto, which never change. Weights stay in the file: a tensor says where.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from worker.network.importers.wire import Span, WireReader, read_integer, read_span
from worker.network.operations.base import InvalidNetwork

MAX_ONNX_NODES = 1 << 14
MAX_ONNX_TENSORS = 1 << 14
MAX_LIST = 64
"""Numbers in an attribute, or in a constant that is read as a shape or a bound."""
_MAX_DIMENSIONS = 8
_MAX_ITEMS = 1 << 40
_EXTERNAL = 1


class TensorType(IntEnum):
    """TensorProto.DataType, as far as it is read here."""

    FLOAT = 1
    INT32 = 6
    INT64 = 7
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    BFLOAT16 = 16


FLOAT_TYPES = frozenset({TensorType.FLOAT, TensorType.FLOAT16, TensorType.DOUBLE, TensorType.BFLOAT16})
ITEM_BYTES = {
    TensorType.FLOAT: 4,
    TensorType.INT32: 4,
    TensorType.INT64: 8,
    TensorType.BOOL: 1,
    TensorType.FLOAT16: 2,
    TensorType.DOUBLE: 8,
    TensorType.BFLOAT16: 2,
}
_UNPACK = {TensorType.FLOAT: "f", TensorType.INT32: "i", TensorType.INT64: "q", TensorType.BOOL: "?"} | {
    TensorType.FLOAT16: "e",
    TensorType.DOUBLE: "d",
}


@dataclass(frozen=True)
class Tensor:
    """A constant. data: its values in the file, little-endian, row by row; numbers: instead of them, few integers.

    is_turned: the file has its two dimensions the other way round.
    """

    name: str
    data_type: int
    dims: tuple[int, ...]
    data: Span | None = None
    numbers: tuple[int, ...] | None = None
    is_turned: bool = False

    @property
    def num_values(self) -> int:
        """The product of its dimensions."""
        return math.prod(self.dims)

    def read_values(self, reader: WireReader) -> tuple[float, ...]:
        """Its few values. Raises InvalidNetwork where they are many, or of a type that is not read."""
        if self.num_values > MAX_LIST or self.data_type not in _UNPACK:
            raise InvalidNetwork(f"tensor {self.name!r:.80}: a short list of numbers is wanted here")
        if self.numbers is not None:
            return self.numbers
        data = b"" if self.data is None else reader.read_bytes(self.data)
        return struct.unpack(f"<{self.num_values}{_UNPACK[TensorType(self.data_type)]}", data)


Attribute = int | float | bytes | Tensor | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class OnnxNode:
    """One operation of the file."""

    operation: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]

    @property
    def label(self) -> str:
        """What people know it by."""
        return f"{self.operation} {self.name!r:.80}" if self.name else f"{self.operation} of {self.outputs[0]!r:.80}"


@dataclass(frozen=True)
class OnnxInput:
    """What the network is given. dims: None where it is not fixed; None: not said at all."""

    name: str
    data_type: int
    dims: tuple[int | None, ...] | None


@dataclass
class OnnxModel:
    """A file, before anybody has asked whether it makes sense."""

    ir_version: int = 0
    opset: int | None = None
    nodes: list[OnnxNode] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[OnnxInput] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def parse_model(reader: WireReader) -> OnnxModel:
    """Reads a file. Raises InvalidNetwork where it is none, or has what no file may have here."""
    model, graphs = OnnxModel(), []
    for number, value in reader.iterate_fields(reader.whole):
        match number:
            case 1:
                model.ir_version = read_integer(value)
            case 7:
                graphs.append(read_span(value))
            case 8:
                _parse_opset(reader, read_span(value), model)
            case 20:
                raise InvalidNetwork("the file says how to train: training_info is not read here")
            case 25:
                raise InvalidNetwork(
                    f"the file has a function of its own{_name_function(reader, value)}: none is read here"
                )
    if len(graphs) != 1 or model.ir_version < 1:
        raise InvalidNetwork("the file is no ONNX file: it has no graph")
    _parse_graph(reader, graphs[0], model)
    return model


def _name_function(reader: WireReader, value: int | Span) -> str:
    fields = reader.iterate_fields(read_span(value))
    return next((f", {reader.read_text(inner)!r:.80}" for number, inner in fields if number == 1), "")


def _parse_opset(reader: WireReader, span: Span, model: OnnxModel) -> None:
    domain, version = "", 0
    for number, value in reader.iterate_fields(span):
        if number == 1:
            domain = reader.read_text(value)
        elif number == 2:
            version = read_integer(value)
    if domain in ("", "ai.onnx"):
        model.opset = version


def _parse_graph(reader: WireReader, span: Span, model: OnnxModel) -> None:
    for number, value in reader.iterate_fields(span):
        match number:
            case 1:
                model.nodes.append(_parse_node(reader, read_span(value)))
                if len(model.nodes) > MAX_ONNX_NODES:
                    raise InvalidNetwork(f"the file has more than {MAX_ONNX_NODES} operations")
            case 5:
                tensor = parse_tensor(reader, read_span(value))
                if tensor.name in model.tensors or not tensor.name:
                    raise InvalidNetwork(f"tensor {tensor.name!r:.80}: two have that name, or it has none")
                model.tensors[tensor.name] = tensor
                if len(model.tensors) > MAX_ONNX_TENSORS:
                    raise InvalidNetwork(f"the file has more than {MAX_ONNX_TENSORS} tensors")
            case 11:
                model.inputs.append(_parse_input(reader, read_span(value)))
            case 12:
                model.outputs.append(_parse_input(reader, read_span(value)).name)
            case 15:
                raise InvalidNetwork("the file has sparse tensors, which are not read here")
        if len(model.inputs) + len(model.outputs) > MAX_ONNX_TENSORS:
            raise InvalidNetwork(f"the file has more than {MAX_ONNX_TENSORS} inputs and outputs")


def _parse_node(reader: WireReader, span: Span) -> OnnxNode:
    inputs, outputs, attributes = list[str](), list[str](), dict[str, Attribute]()
    name = operation = domain = ""
    for number, value in reader.iterate_fields(span):
        match number:
            case 1:
                inputs.append(reader.read_text(value))
            case 2:
                outputs.append(reader.read_text(value))
            case 3:
                name = reader.read_text(value)
            case 4:
                operation = reader.read_text(value)
            case 5:
                key, attribute = _parse_attribute(reader, read_span(value), f"{operation} {name!r:.80}")
                attributes[key] = attribute
            case 7:
                domain = reader.read_text(value)
    if domain not in ("", "ai.onnx"):
        raise InvalidNetwork(f"{operation:.80} is of the foreign domain {domain!r:.80}: only ONNX's own are read")
    if not operation or not outputs:
        raise InvalidNetwork(f"node {name!r:.80}: it has no operation or gives nothing")
    return OnnxNode(operation, name, tuple(inputs), tuple(outputs), attributes)


def _parse_attribute(reader: WireReader, span: Span, node: str) -> tuple[str, Attribute]:
    name, found = "", list[Attribute]()
    floats, integers = list[float](), list[int]()
    said_type = 0
    for number, value in reader.iterate_fields(span):
        match number:
            case 1:
                name = reader.read_text(value)
            case 2:
                found.append(reader.read_float(value))
            case 3:
                found.append(read_integer(value))
            case 4:
                found.append(reader.read_text(value).encode())
            case 5:
                found.append(parse_tensor(reader, read_span(value)))
            case 6 | 11:
                raise InvalidNetwork(f"{node}: it holds a graph of its own, and subgraphs are not read here")
            case 7:
                floats += reader.read_floats(value, MAX_LIST)
            case 8:
                integers += reader.read_integers(value, MAX_LIST)
            case 20:
                said_type = read_integer(value)
            case 9 | 10 | 14 | 15 | 21 | 22 | 23:
                raise InvalidNetwork(f"{node}: its attribute {name!r:.80} is of a kind that is not read here")
        if len(floats) > MAX_LIST or len(integers) > MAX_LIST:
            raise InvalidNetwork(f"{node}: its attribute {name!r:.80} has more than {MAX_LIST} numbers")
    return name, _choose_attribute(said_type, found, floats, integers, f"{node}: its attribute {name!r:.80}")


_DEFAULTS: dict[int, Attribute] = {1: 0.0, 2: 0, 3: b"", 6: (), 7: ()}
"""AttributeProto.AttributeType → what it is where nothing is written: proto3 leaves out zeros and empty lists."""


def _choose_attribute(
    said_type: int, found: list[Attribute], floats: list[float], integers: list[int], place: str
) -> Attribute:
    if said_type == 6:
        return tuple(floats)
    if said_type == 7:
        return tuple(integers)
    kinds = {1: float, 2: int, 3: bytes, 4: Tensor}
    for value in found:
        if said_type in kinds and isinstance(value, kinds[said_type]):
            return value
    if said_type not in _DEFAULTS:
        raise InvalidNetwork(f"{place} is of a kind that is not read here")
    return _DEFAULTS[said_type]


def parse_tensor(reader: WireReader, span: Span) -> Tensor:
    """A constant of the file: its bytes are as many as its dimensions say."""
    name, data_type, dims, numbers = "", 0, list[int](), list[int]()
    raw: Span | None = None
    typed: dict[int, Span] = {}
    for number, value in reader.iterate_fields(span):
        match number:
            case 1:
                dims += reader.read_integers(value, _MAX_DIMENSIONS)
            case 2:
                data_type = read_integer(value)
            case 4 | 10:
                if number in typed:
                    raise InvalidNetwork(f"tensor {name!r:.80}: its values lie in pieces")
                typed[number] = read_span(value)
            case 5 | 7:
                numbers += reader.read_integers(value, MAX_LIST)
            case 8:
                name = reader.read_text(value)
            case 9:
                raw = read_span(value)
            case 13:
                raise InvalidNetwork(
                    f"tensor {name!r:.80}: external data, in another file, are not read. Save all in one"
                )
            case 14 if read_integer(value) == _EXTERNAL:
                raise InvalidNetwork(
                    f"tensor {name!r:.80}: external data, in another file, are not read. Save all in one"
                )
            case 3 | 6 | 11:
                raise InvalidNetwork(f"tensor {name!r:.80}: segments, texts and unsigned integers are not read here")
        if len(dims) > _MAX_DIMENSIONS or len(numbers) > MAX_LIST:
            raise InvalidNetwork(f"tensor {name!r:.80}: too many dimensions, or integers that are not raw data")
    if any(side < 0 for side in dims) or math.prod(dims) > _MAX_ITEMS:
        raise InvalidNetwork(f"tensor {name!r:.80}: its dimensions {dims} are none")
    tensor = Tensor(name, data_type, tuple(dims), raw or typed.get(4) or typed.get(10), tuple(numbers) or None)
    _check_length(tensor, typed, raw)
    return tensor


def _check_length(tensor: Tensor, typed: dict[int, Span], raw: Span | None) -> None:
    if tensor.data_type not in ITEM_BYTES:
        return  # Whatever reads it says that it cannot.
    place = f"tensor {tensor.name!r:.80}"
    owner = {4: TensorType.FLOAT, 10: TensorType.DOUBLE}
    if any(owner[number] != tensor.data_type for number in typed) or len(typed) + (raw is not None) > 1:
        raise InvalidNetwork(f"{place}: its values are of another type than it says")
    if tensor.numbers is not None and (tensor.data is not None or tensor.data_type in FLOAT_TYPES):
        raise InvalidNetwork(f"{place}: its values are written as integers, which is not read here")
    if tensor.numbers is not None:
        fits = len(tensor.numbers) == tensor.num_values
    else:
        size = 0 if tensor.data is None else len(tensor.data)
        fits = size == tensor.num_values * ITEM_BYTES[TensorType(tensor.data_type)]
    if not fits:
        raise InvalidNetwork(f"{place}: it has not as many values as its dimensions {list(tensor.dims)} say")


def _parse_input(reader: WireReader, span: Span) -> OnnxInput:
    name, data_type, dims = "", 0, None
    for number, value in reader.iterate_fields(span):
        if number == 1:
            name = reader.read_text(value)
        elif number == 2:
            for kind, inner in reader.iterate_fields(read_span(value)):
                if kind == 1:
                    data_type, dims = _parse_tensor_type(reader, read_span(inner))
    return OnnxInput(name, data_type, dims)


def _parse_tensor_type(reader: WireReader, span: Span) -> tuple[int, tuple[int | None, ...] | None]:
    data_type, dims = 0, None
    for number, value in reader.iterate_fields(span):
        if number == 1:
            data_type = read_integer(value)
        elif number == 2:
            dims = tuple(
                _parse_dimension(reader, read_span(inner))
                for kind, inner in reader.iterate_fields(read_span(value))
                if kind == 1
            )
    return data_type, dims


def _parse_dimension(reader: WireReader, span: Span) -> int | None:
    return next((read_integer(value) for number, value in reader.iterate_fields(span) if number == 1), None)
