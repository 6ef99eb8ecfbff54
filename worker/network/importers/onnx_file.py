"""An ONNX file → the record of its network, and where its weights lie. Torch-free: the API refuses a file by it."""

from __future__ import annotations

import graphlib
import io
import math
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from worker.network.importers import onnx_layers, onnx_pixels, onnx_shapes, onnx_windows
from worker.network.importers.onnx_arguments import Arguments
from worker.network.importers.onnx_graph import GraphWriter
from worker.network.importers.onnx_messages import FLOAT_TYPES, OnnxInput, OnnxModel, OnnxNode, TensorType, parse_model
from worker.network.importers.onnx_sizes import SIZE_TRANSLATORS
from worker.network.importers.onnx_values import (
    Activation,
    Decision,
    FoldedWeight,
    Partial,
    StoredWeight,
    Value,
    Weight,
)
from worker.network.importers.wire import WireReader
from worker.network.operations.base import InvalidNetwork
from worker.network.record import PICTURE, Network

MIN_OPSET, MAX_OPSET = 7, 28
"""Before 7 an addition says in words how it stretches; 28 is the newest that was held against its page."""
MAX_WEIGHTS = 1 << 26
MAX_ONNX_BYTES = 8 * MAX_WEIGHTS + (16 << 20)
"""As many weights as there may be, as 64-bit floats, and what lies around them."""

_CHANNELS_FIRST = (0, 3, 1, 2)

Translator = Callable[[Arguments, GraphWriter], Value]
TRANSLATORS: dict[str, Translator] = {
    "Add": onnx_layers.translate_add,
    "ArgMax": onnx_shapes.translate_decision,
    "AveragePool": onnx_windows.translate_average_pool,
    "BatchNormalization": onnx_layers.translate_batch_norm,
    "Cast": onnx_shapes.translate_cast,
    "Clip": onnx_layers.translate_clip,
    "Concat": onnx_layers.translate_concat,
    "Constant": onnx_shapes.translate_constant,
    "Conv": onnx_layers.translate_convolution,
    "Div": onnx_layers.translate_divide,
    "Dropout": onnx_shapes.translate_dropout,
    "Erf": onnx_layers.translate_erf,
    "Flatten": onnx_shapes.translate_flatten,
    "Gather": onnx_pixels.translate_gather,
    "Gelu": onnx_layers.translate_gelu,
    "Gemm": onnx_layers.translate_gemm,
    "GlobalAveragePool": onnx_windows.translate_global_average_pool,
    "GlobalMaxPool": onnx_windows.translate_global_max_pool,
    "HardSigmoid": onnx_layers.translate_hard_sigmoid,
    "HardSwish": onnx_layers.translate_hard_swish,
    "Identity": onnx_shapes.translate_identity,
    "LeakyRelu": onnx_layers.translate_leaky_relu,
    "LogSoftmax": onnx_shapes.translate_decision,
    "MatMul": onnx_layers.translate_matmul,
    "MaxPool": onnx_windows.translate_max_pool,
    "Mul": onnx_layers.translate_multiply,
    "Pad": onnx_shapes.translate_pad,
    "ReduceMean": onnx_windows.translate_mean,
    "Relu": onnx_layers.translate_relu,
    "Reshape": onnx_shapes.translate_reshape,
    "Shape": onnx_shapes.translate_shape,
    "Sigmoid": onnx_layers.translate_sigmoid,
    "Slice": onnx_shapes.translate_slice,
    "Softmax": onnx_shapes.translate_decision,
    "Squeeze": onnx_pixels.translate_squeeze,
    "Sub": onnx_layers.translate_subtract,
    "Sum": onnx_layers.translate_add,
    "Swish": onnx_layers.translate_swish,
    "Transpose": onnx_shapes.translate_transpose,
    "Unsqueeze": onnx_pixels.translate_unsqueeze,
}
_AFTER_DECISION = frozenset({"Cast", "Dropout", "Flatten", "Reshape", "Squeeze"})
"""Change neither the order of a network's answers nor the class that it names."""


@dataclass(frozen=True)
class OnnxNetwork:
    """What an ONNX file holds. weights: name of each of the record's tensors → where it lies; notes: what a person
    should know, one sentence each.
    """

    network: Network
    weights: dict[str, Weight]
    notes: tuple[str, ...]


def read_onnx(path: Path) -> OnnxNetwork:
    """Reads the structure of a file; its weights stay where they are. Raises InvalidNetwork at the first fault."""
    with path.open("rb") as file:
        return read_onnx_stream(file)


def read_onnx_stream(file: BinaryIO) -> OnnxNetwork:
    """The same, of a file that is open and may have no name."""
    size = file.seek(0, io.SEEK_END)
    if not 0 < size <= MAX_ONNX_BYTES:
        raise InvalidNetwork(f"the file has {size} bytes: from 1 to {MAX_ONNX_BYTES} are read")
    file.flush()
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return parse_onnx(data)


def parse_onnx(data: bytes | mmap.mmap) -> OnnxNetwork:
    """The same, of bytes."""
    reader = WireReader(data)
    model = parse_model(reader)
    _check_versions(model)
    picture = _choose_input(model)
    graph = _start_graph(model, reader, picture)
    for node in _sort(model.nodes):
        _translate(node, graph)
    if len(model.outputs) != 1:
        raise InvalidNetwork(f"the network has {len(model.outputs)} outputs ({_list(model.outputs)}): one is read")
    output = graph.values.get(model.outputs[0])
    if isinstance(output, Decision):
        graph.note(
            f"what the file makes of the logits at its end ({output.label}) is left out: classes are the same, and "
            "predictions take their softmax here"
        )
        output = Activation(output.index)
    if isinstance(output, Partial):
        raise InvalidNetwork(f"{output.label}: arithmetic with constants is not read here")
    if not isinstance(output, Activation) or output.index == PICTURE or output.padding != (0, 0) or output.is_column:
        raise InvalidNetwork(f"output {model.outputs[0]!r:.80}: no layer gives it")
    shape = graph.get_shape(output)
    if len(shape) != 1:
        raise InvalidNetwork(
            f"output {model.outputs[0]!r:.80} is a picture of {list(shape)}: one number for each class is wanted"
        )
    network, weights = graph.build(output)
    _check_size(network)
    _note_types(graph, weights)
    _note_shared(graph, weights)
    return OnnxNetwork(network, weights, tuple(graph.notes))


def _list(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:5])


def _check_versions(model: OnnxModel) -> None:
    if model.opset is None:
        raise InvalidNetwork("the file does not say which version of ONNX's operations (opset) it uses")
    if not MIN_OPSET <= model.opset <= MAX_OPSET:
        age = "old" if model.opset < MIN_OPSET else "new"
        raise InvalidNetwork(f"opset {model.opset} is too {age}: from {MIN_OPSET} to {MAX_OPSET} are read")


def _choose_input(model: OnnxModel) -> OnnxInput:
    # Files of ONNX's first years list their weights among the inputs.
    inputs = [given for given in model.inputs if given.name not in model.tensors]
    if len(inputs) != 1:
        names = [given.name for given in inputs]
        raise InvalidNetwork(f"the network has {len(inputs)} inputs ({_list(names)}): one, the picture, is read")
    return inputs[0]


def _start_graph(model: OnnxModel, reader: WireReader, given: OnnxInput) -> GraphWriter:
    place = f"input {given.name!r:.80}"
    if given.data_type not in FLOAT_TYPES:
        raise InvalidNetwork(f"{place}: it is not of floats")
    if given.dims is None or len(given.dims) != 4:
        raise InvalidNetwork(f"{place}: it is no batch × channels × height × width")
    batch, channels, height, width = given.dims
    if are_channels_last := _are_channels_last(model, given):
        channels, height, width = width, channels, height
    if channels is None or height is None or width is None:
        raise InvalidNetwork(f"{place}: channels, height and width must be fixed; only the batch may be dynamic")
    # What a record may not be as large as is said where it is made.
    graph = GraphWriter(model, reader, (channels, height, width))
    graph.batch, graph.turned = batch, given.name if are_channels_last else None
    graph.bind(given.name, Activation(PICTURE))
    return graph


def _sort(nodes: Sequence[OnnxNode]) -> Sequence[OnnxNode]:
    """The nodes, each behind those that it reads from: some converters put theirs at the end. Raises InvalidNetwork."""
    givers = {output: place for place, node in reversed([*enumerate(nodes)]) for output in node.outputs if output}
    read = [[givers[name] for name in node.inputs if name in givers] for node in nodes]
    if all(giver < place for place, places in enumerate(read) for giver in places):
        return nodes
    try:
        return [nodes[place] for place in graphlib.TopologicalSorter(dict(enumerate(read))).static_order()]
    except graphlib.CycleError:
        raise InvalidNetwork("the nodes of the network read from one another in a circle") from None


def _are_channels_last(model: OnnxModel, given: OnnxInput) -> bool:
    """Whether all that reads the picture puts its last axis before the others, as converters from Keras write it."""
    readers = [node for node in model.nodes if given.name in node.inputs]
    return bool(readers) and all(
        node.operation == "Transpose" and node.attributes.get("perm") == _CHANNELS_FIRST for node in readers
    )


def _translate(node: OnnxNode, graph: GraphWriter) -> None:
    arguments = Arguments(node, graph.values, graph.reader)
    try:
        value = _compute_value(arguments, graph)
        arguments.check_all_read()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise InvalidNetwork(f"{node.label}: {place}: {fault['msg']}") from None
    except InvalidNetwork as error:
        raise InvalidNetwork(f"{node.label}: {error}") from None
    if node.outputs[0] in graph.values:
        raise InvalidNetwork(f"{node.label}: its output {node.outputs[0]!r:.80} has another's name")
    graph.bind(node.outputs[0], value)


def _compute_value(said: Arguments, graph: GraphWriter) -> Value:
    operation = said.node.operation
    if operation in _AFTER_DECISION and isinstance(decision := said.get(), Decision):
        return said.leave(decision)
    if operation in SIZE_TRANSLATORS and said.are_integers:
        return SIZE_TRANSLATORS[operation](said)
    if operation not in TRANSLATORS:
        raise InvalidNetwork(f"the operation {operation!r:.80} is not on the list of what is read here")
    return TRANSLATORS[operation](said, graph)


def _check_size(network: Network) -> None:
    count = sum(map(math.prod, network.tensors.values()))
    if count > MAX_WEIGHTS:
        raise InvalidNetwork(f"the network has {count} weights: up to {MAX_WEIGHTS} are read")


def _note_types(graph: GraphWriter, weights: dict[str, Weight]) -> None:
    others = sorted(
        {
            TensorType(stored.tensor.data_type).name.lower()
            for weight in weights.values()
            for stored in _list_stored(weight)
            if stored.tensor.data_type != TensorType.FLOAT
        }
    )
    if others:
        graph.note(f"weights of the file are {' and '.join(others)}: they are stored as 32-bit floats")


def _note_shared(graph: GraphWriter, weights: dict[str, Weight]) -> None:
    # Of a folded norm both the weights and the bias are made: what it is folded into tells whether a layer is shared.
    layers = [weight.stored if isinstance(weight, FoldedWeight) else weight for weight in weights.values()]
    stored = [layer.tensor for layer in layers if isinstance(layer, StoredWeight)]
    sizes = {tensor.name: tensor.num_values for tensor in stored}
    num_copied = sum(tensor.num_values for tensor in stored) - sum(sizes.values())
    if num_copied:
        graph.note(
            "layers of the file share weights, and a network here has none that are shared: each layer has its own, "
            f"{num_copied} weights more than the file, which sizes and ratios count and training may tell apart"
        )


def _list_stored(weight: Weight) -> list[StoredWeight]:
    """The tensors of the file that it is made of."""
    if isinstance(weight, FoldedWeight):
        return [*weight.norm, *([] if weight.stored is None else [weight.stored])]
    return [weight] if isinstance(weight, StoredWeight) else []
