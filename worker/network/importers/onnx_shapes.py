"""ONNX's operations on shapes and constants, and those that only move values: most of them leave no node behind."""

from __future__ import annotations

import math
from dataclasses import replace

from worker.network.importers.onnx_arguments import Arguments, check_integers
from worker.network.importers.onnx_graph import GraphWriter
from worker.network.importers.onnx_layers import check_padding, flatten, translate_concat
from worker.network.importers.onnx_messages import FLOAT_TYPES, MAX_LIST, Tensor, TensorType
from worker.network.importers.onnx_values import BATCH, Activation, Axis, ChannelShift, Sizes, Value
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
        return Sizes((number,), is_list=False)
    numbers = said.list_integers("value_ints", None)
    if numbers is not None:
        return Sizes(numbers)
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
    """Cast of a constant or a shape; of what is computed, between floats alone."""
    said.find_attribute("saturate")
    target, value = said.get_integer("to", 0), said.get()
    if isinstance(value, Tensor):
        if value.data_type == target or (value.data_type in FLOAT_TYPES and target in FLOAT_TYPES):
            return value
        value = said.convert_sizes(value)
    if isinstance(value, Sizes):
        if target in (TensorType.INT64, TensorType.INT32):
            return value
        raise InvalidNetwork("it makes other numbers of integers: arithmetic with constants is not read here")
    if target not in FLOAT_TYPES:
        raise InvalidNetwork("it makes integers of what is computed, which is not read here")
    if target != TensorType.FLOAT:
        graph.note("the file rounds values between its layers to fewer or more bits: here they are 32-bit floats")
    return value


def _list_axes(graph: GraphWriter, value: Activation) -> tuple[Axis, ...]:
    return (graph.batch, *graph.get_shape(value))


def translate_shape(said: Arguments, graph: GraphWriter) -> Value:
    """Shape of what is computed."""
    axes = _list_axes(graph, said.get_activation())
    start, end = said.get_integer("start", 0), said.get_integer("end", len(axes))
    return Sizes(axes[start:end])


def translate_gather(said: Arguments, graph: GraphWriter) -> Value:
    """Gather of a shape."""
    del graph
    said.expect("axis", 0)
    sizes, places = said.get_sizes(0), said.get_sizes(1)
    indices = check_integers(places)
    if not sizes.is_list or not all(-len(sizes.numbers) <= index < len(sizes.numbers) for index in indices):
        raise InvalidNetwork("it asks for what the shape does not have")
    return Sizes(tuple(sizes.numbers[index] for index in indices), is_list=places.is_list)


def translate_unsqueeze(said: Arguments, graph: GraphWriter) -> Value:
    """Unsqueeze of one number of a shape."""
    del graph
    sizes = said.get_sizes(0)
    if sizes.is_list or said.get_integers(1, "axes", None) not in ((0,), (-1,)):
        raise InvalidNetwork("only one number of a shape is made a list here")
    return Sizes(sizes.numbers)


def translate_squeeze(said: Arguments, graph: GraphWriter) -> Value:
    """Squeeze: of a list of one number, or of a picture of one pixel."""
    value = said.get()
    if isinstance(value, Sizes | Tensor):
        said.get_integers(1, "axes", (0,))
        sizes = said.get_sizes(0)
        if len(sizes.numbers) != 1:
            raise InvalidNetwork("its list has not one number")
        return Sizes(sizes.numbers, is_list=False)
    activation = said.get_activation()
    shape = graph.get_shape(activation)
    axes = {axis % (1 + len(shape)) for axis in said.get_integers(1, "axes", (2, 3))}
    if axes != {2, 3} or shape[1:] != (1, 1):
        raise InvalidNetwork("only height and width of one pixel are dropped here")
    return flatten(graph, activation)


def translate_any_concat(said: Arguments, graph: GraphWriter) -> Value:
    """Concat of channels or of parts of a shape."""
    places = range(len(said.node.inputs))
    if not places or isinstance(said.get(0), Activation):
        return translate_concat(said, graph)
    said.expect("axis", 0)
    parts = [said.get_sizes(place) for place in places]
    numbers = tuple(number for part in parts for number in part.numbers)
    if not all(part.is_list for part in parts) or len(numbers) > MAX_LIST:
        raise InvalidNetwork("it joins what are no short lists")
    return Sizes(numbers)


def translate_flatten(said: Arguments, graph: GraphWriter) -> Value:
    """Flatten of all but the batch."""
    value = said.get_activation()
    if said.get_integer("axis", 1) not in (1, -len(graph.get_shape(value))):
        raise InvalidNetwork("it keeps more than the batch apart")
    return flatten(graph, value)


def translate_reshape(said: Arguments, graph: GraphWriter) -> Value:
    """Reshape to what it was, or to one row for each picture."""
    if isinstance(said.get(0), Sizes | Tensor):
        sizes = said.get_sizes(0)
        return Sizes(sizes.numbers, is_list=bool(said.get_sizes(1).numbers))
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
    """Slice of a shape, or every n-th pixel from the first on: a pooling whose window is one pixel."""
    starts, ends = (said.get_integers(place, name, None) for place, name in ((1, "starts"), (2, "ends")))
    axes = said.get_integers(3, "axes", tuple(range(len(starts))))
    steps = said.get_integers(4, "steps", (1,) * len(starts))
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise InvalidNetwork("its starts, ends, axes and steps are not as many")
    value = said.get()
    if isinstance(value, Sizes | Tensor):
        sizes = said.get_sizes(0)
        if axes != (0,) or steps[0] == 0:
            raise InvalidNetwork("a shape has one axis")
        return Sizes(sizes.numbers[starts[0] : ends[0] : steps[0]])
    activation = said.get_activation()
    shape = graph.get_shape(activation)
    stride = [1, 1]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
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
