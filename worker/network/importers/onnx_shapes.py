"""ONNX's operations that move values or hold them: most of them leave no node behind."""

from __future__ import annotations

import math
from dataclasses import replace

from worker.network.importers.onnx_arguments import Arguments
from worker.network.importers.onnx_graph import GraphWriter
from worker.network.importers.onnx_layers import flatten
from worker.network.importers.onnx_messages import FLOAT_TYPES, Tensor, TensorType
from worker.network.importers.onnx_pixels import make_pixel
from worker.network.importers.onnx_sizes import read_slices
from worker.network.importers.onnx_values import BATCH, Activation, Axis, ChannelShift, Decision, Partial, Sizes, Value
from worker.network.importers.onnx_windows import check_padding
from worker.network.operations.base import InvalidNetwork, Shape, read_picture
from worker.network.operations.layers import Convolution
from worker.network.operations.pooling import MaxPool

_END = 1 << 30
"""A slice's end beyond all sides: it means "to the end"."""


def translate_constant(said: Arguments, graph: GraphWriter) -> Value:
    """Constant."""
    del graph
    value = said.find_attribute("value")
    if isinstance(value, Tensor):
        return replace(value, name=value.name or said.node.outputs[0])
    number = said.find_attribute("value_int")
    if isinstance(number, int):
        return Sizes((number,), ())
    numbers = said.list_integers("value_ints", None)
    if numbers is not None:
        return Sizes(numbers, (len(numbers),))
    raise InvalidNetwork("its constant is of a kind that is not read here: save it as a tensor")


def translate_identity(said: Arguments, graph: GraphWriter) -> Value:
    """Identity."""
    del graph
    return said.get()


def translate_dropout(said: Arguments, graph: GraphWriter) -> Value:
    """Dropout, which does nothing outside training."""
    del graph
    for name in ("ratio", "seed", "is_test"):
        said.find_attribute(name)
    return said.get_activation()


def translate_cast(said: Arguments, graph: GraphWriter) -> Value:
    """Cast between floats."""
    said.find_attribute("saturate")
    target, value = said.get_integer("to", 0), said.get()
    if target not in FLOAT_TYPES or (isinstance(value, Tensor) and value.data_type not in FLOAT_TYPES):
        raise InvalidNetwork("it makes integers of floats, or floats of integers, which is not read here")
    if target != TensorType.FLOAT:
        graph.note("the file rounds values between its layers to fewer or more bits: here they are 32-bit floats")
    return value


def _list_axes(graph: GraphWriter, value: Activation) -> tuple[Axis, ...]:
    return (graph.batch, *graph.get_shape(value))


def translate_shape(said: Arguments, graph: GraphWriter) -> Value:
    """Shape of what is computed."""
    axes = _list_axes(graph, said.get_activation())
    start, end = said.get_integer("start", 0), said.get_integer("end", len(axes))
    return Sizes(axes[start:end], (len(axes[start:end]),))


def translate_transpose(said: Arguments, graph: GraphWriter) -> Value:
    """Transpose of the weight of a linear layer; of pictures alone that which puts their channels first."""
    turned = said.list_integers("perm", None)
    value = said.get()
    if said.node.inputs[0] == graph.turned:
        return value
    if isinstance(value, Activation | Partial):
        raise InvalidNetwork(
            f"it moves the axes of what is computed to {turned}, and only the picture's are put channels first here: "
            "export the network with channels first"
        )
    tensor = said.get_constant(0)
    if len(tensor.dims) != 2 or turned not in (None, (1, 0)):
        raise InvalidNetwork("only a constant of two dimensions is turned here")
    return replace(tensor, dims=tensor.dims[::-1], is_turned=not tensor.is_turned)


def translate_decision(said: Arguments, graph: GraphWriter) -> Value:
    """Softmax, LogSoftmax or ArgMax of the logits."""
    value = said.get()
    index = value.index if isinstance(value, Decision) else said.get_activation().index
    # Before opset 13 the axis began what was taken as a row.
    axis = said.get_integer("axis", 0 if said.node.operation == "ArgMax" else -1 if graph.opset >= 13 else 1)
    said.get_integer("keepdims", 1)
    said.expect("select_last_index", 0)
    if len(graph.get_shape(Activation(index))) != 1 or axis not in (1, -1):
        raise InvalidNetwork("it is read of the logits alone, one for each class, at the end of a network")
    return Decision(index, said.node.label)


def translate_flatten(said: Arguments, graph: GraphWriter) -> Value:
    """Flatten of all but the batch."""
    value = said.get_activation()
    if said.get_integer("axis", 1) not in (1, -len(graph.get_shape(value))):
        raise InvalidNetwork("it keeps more than the batch apart")
    return flatten(graph, value)


def translate_reshape(said: Arguments, graph: GraphWriter) -> Value:
    """Reshape to what it was, to one row for each picture, or of a row to one pixel."""
    value = said.get_activation()
    shape = graph.get_shape(value)
    zero_keeps = said.get_integer("allowzero", 0) == 0
    target = said.list_integers("shape", None)
    wanted: tuple[Axis, ...] = said.get_sizes(1).numbers if target is None else target
    source = _list_axes(graph, value)
    filled = tuple(
        source[place] if number == 0 and zero_keeps and place < len(source) else number
        for place, number in enumerate(wanted)
    )
    if filled and _keeps_batch(filled, graph.batch, shape):
        if _fits(filled[1:], shape):
            return value
        if _fits(filled[1:], (math.prod(shape),)):
            return flatten(graph, value)
        if len(shape) == 1 and _fits(filled[1:], (*shape, 1, 1)):
            return make_pixel(graph, value)
    raise InvalidNetwork(
        f"it makes {_write(filled)} of {_write(source)}: only one row of all values of a picture is read here"
    )


def _keeps_batch(filled: tuple[Axis, ...], batch: Axis, shape: Shape) -> bool:
    if filled[0] == -1:
        rest = [number for number in filled[1:] if number is not None]
        return len(rest) == len(filled) - 1 and min(rest, default=0) > 0 and math.prod(rest) == math.prod(shape)
    return filled[0] == batch


def _fits(filled: tuple[Axis, ...], shape: Shape) -> bool:
    return len(filled) == len(shape) and (
        filled == shape
        or (filled.count(-1) == 1 and all(number in (-1, side) for number, side in zip(filled, shape, strict=True)))
    )


def _write(axes: tuple[Axis, ...]) -> str:
    return "×".join("batch" if axis is BATCH else str(axis) for axis in axes)


def translate_slice(said: Arguments, graph: GraphWriter) -> Value:
    """Slice of every n-th pixel from the first on: a pooling whose window is one pixel."""
    slices = read_slices(said)
    activation = said.get_activation()
    shape = graph.get_shape(activation)
    stride = [1, 1]
    for start, end, axis, step in zip(*slices, strict=True):
        place = axis % (1 + len(shape))
        side = _END if place == 0 else shape[place - 1]
        if start != 0 or end < side or not 0 < step < 1 << 16 or (step > 1 and (place < 2 or len(shape) != 3)):
            raise InvalidNetwork("it cuts a part out: only every n-th pixel from the first to the last is read here")
        if step > 1:
            stride[place - 2] *= step
    if stride == [1, 1]:
        return activation
    before = graph.get_node(activation)
    if before is not None and isinstance(before.operation, MaxPool) and before.operation.kernel == (1, 1):
        # Exporters cut one axis at a time.
        stride = [one * other for one, other in zip(stride, before.operation.stride, strict=True)]
        activation = Activation(before.inputs[0])
    return graph.add(MaxPool(kernel=(1, 1), stride=(stride[0], stride[1])), activation)


def translate_pad(said: Arguments, graph: GraphWriter) -> Value:
    """Pad with zeros: around a picture, for the convolution behind it; before and behind its channels, a 1x1 one."""
    said.expect("mode", "constant")
    value = said.get_padded()
    channels, _, _ = read_picture(graph.get_shape(value))
    pads = said.get_integers(1, "pads", None)
    number = said.get_float("value", 0.0) if not said.has(2) else said.find_scalar(2)
    if number != 0:
        raise InvalidNetwork("it fills with something else than zeros")
    axes = tuple(axis % 4 for axis in said.get_integers(3, "axes", (0, 1, 2, 3)))
    if len(pads) != 2 * len(axes) or len(set(axes)) < len(axes):
        raise InvalidNetwork("its pads are not two for each axis")
    before = dict(zip(axes, pads[: len(axes)], strict=True))
    after = dict(zip(axes, pads[len(axes) :], strict=True))
    if before.get(0, 0) or after.get(0, 0) or before.get(1, 0) < 0 or after.get(1, 0) < 0:
        raise InvalidNetwork(f"its padding {list(pads)} is not read here")
    padding = check_padding((before.get(2, 0), before.get(3, 0), after.get(2, 0), after.get(3, 0)))
    if new := before.get(1, 0) + after.get(1, 0):
        graph.note(
            "channels of zeros (Pad) became a 1x1 convolution that copies the others: the same values, and weights "
            "that a later training may change"
        )
        operation = Convolution(out_channels=channels + new, kernel=(1, 1), bias=False)
        plain = Activation(value.index)
        value = replace(graph.add(operation, plain, weight=ChannelShift(before.get(1, 0))), padding=value.padding)
    return replace(value, padding=(value.padding[0] + padding[0], value.padding[1] + padding[1]))
