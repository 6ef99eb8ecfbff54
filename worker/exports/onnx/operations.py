"""The nodes of ONNX, of opset 21, for each operation of a record.

A new operation takes a function and a line in `WRITERS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from worker.exports.float_network import Floats, to_floats
from worker.exports.onnx.graph import GraphWriter, name_value
from worker.network.operations import elementwise, layers, pooling
from worker.network.operations.base import Operation, Shape


class Parameters(Protocol):
    """What stands in a node, by its name: float or of integers."""

    def read_input(self, graph: GraphWriter, name: str, x: str) -> str:
        """The value that a layer computes on: x itself, or x quantized and back."""

    def write_weight(self, graph: GraphWriter, name: str) -> str:
        """A layer's weights as the graph has them; returns what to read them by."""

    def get_bias(self, name: str) -> Floats | None:
        """A layer's bias, of one number for each output."""

    def get_affine(self, name: str) -> tuple[Floats, Floats]:
        """The gain and the shift of each channel of an affine or a batch norm."""


@dataclass(frozen=True)
class Place:
    """A node with the shapes of what it reads and their names in the graph."""

    name: str
    operation: Any
    inputs: tuple[Shape, ...]
    x: list[str]
    shape: Shape
    graph: GraphWriter
    parameters: Parameters

    def add(self, operation: str, *inputs: str, **attributes: Any) -> None:
        """Adds the node whose output is the place's own."""
        self.graph.add(operation, list(inputs), name_value(self.name), **attributes)

    def add_before(self, part: str, operation: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node on the way there."""
        return self.graph.add(operation, list(inputs), name_value(self.name, part), **attributes)

    def add_constant(self, part: str, values: Any) -> str:
        """Adds an array of float32, or of the integers that it is of."""
        array = np.asarray(values)
        is_float = np.issubdtype(array.dtype, np.floating)
        return self.graph.add_constant(name_value(self.name, part), array.astype(np.float32) if is_float else array)


def _write_layer(place: Place, operation: str, **attributes: Any) -> None:
    read = place.parameters.read_input(place.graph, place.name, place.x[0])
    inputs = [read, place.parameters.write_weight(place.graph, place.name)]
    bias = place.parameters.get_bias(place.name)
    if bias is not None:
        inputs.append(place.add_constant("bias", bias))
    place.add(operation, *inputs, **attributes)


def _write_convolution(place: Place) -> None:
    said: layers.Convolution = place.operation
    _write_layer(
        place,
        "Conv",
        kernel_shape=said.kernel,
        strides=said.stride,
        pads=said.padding * 2,
        dilations=said.dilation,
        group=said.groups,
    )


def _write_affine(place: Place) -> None:
    along = (-1,) + (1,) * (len(place.shape) - 1)
    gain, shift = (each.reshape(along) for each in place.parameters.get_affine(place.name))
    scaled = place.add_before("scaled", "Mul", place.x[0], place.add_constant("gain", gain))
    place.add("Add", scaled, place.add_constant("shift", shift))


def _place_windows(place: Place) -> dict[str, Any]:
    """A pool's attributes without `ceil_mode`, over which runtimes differ: the padding at the end is what its windows
    need.
    """
    said: pooling.Pool = place.operation
    ends = [
        max(0, (count - 1) * stride + kernel - side - begin)
        for side, count, kernel, stride, begin in zip(
            place.inputs[0][1:], place.shape[1:], said.kernel, said.stride, said.padding, strict=True
        )
    ]
    return {"kernel_shape": said.kernel, "strides": said.stride, "pads": [*said.padding, *ends]}


def _write_max_pool(place: Place) -> None:
    place.add("MaxPool", place.x[0], **_place_windows(place))


def _write_average_pool(place: Place) -> None:
    """All windows are averaged over their whole area, and what counts less is multiplied up."""
    said: pooling.AveragePool = place.operation
    windows = _place_windows(place)
    counts = []
    for side, count, kernel, stride, begin in zip(
        place.inputs[0][1:], place.shape[1:], said.kernel, said.stride, said.padding, strict=True
    ):
        first = np.arange(count) * stride - begin
        low, high = (-begin, side + begin) if said.count_include_pad else (0, side)
        counts.append(np.minimum(first + kernel, high) - np.maximum(first, low))
    area = np.multiply.outer(*counts)
    factor = math.prod(said.kernel) / area
    if (area == math.prod(said.kernel)).all():
        place.add("AveragePool", place.x[0], count_include_pad=1, **windows)
    else:
        average = place.add_before("average", "AveragePool", place.x[0], count_include_pad=1, **windows)
        place.add("Mul", average, place.add_constant("factor", factor))


def _write_adaptive_average(place: Place) -> None:
    """A matrix of averages for each side, where windows overlap as well as where they do not."""
    if place.shape[1:] == (1, 1):
        place.add("GlobalAveragePool", place.x[0])
        return
    rows, columns = (
        _average_windows(side, count) for side, count in zip(place.inputs[0][1:], place.shape[1:], strict=True)
    )
    by_row = place.add_before("rows", "MatMul", place.add_constant("of_rows", rows), place.x[0])
    place.add("MatMul", by_row, place.add_constant("of_columns", columns.T))


def _average_windows(side: int, count: int) -> Floats:
    """(count, side): each row averages one of `count` windows."""
    matrix = np.zeros((count, side))
    for place in range(count):
        first, end = place * side // count, -(-(place + 1) * side // count)
        matrix[place, first:end] = 1 / (end - first)
    return to_floats(matrix)


def _write_mean(place: Place) -> None:
    place.add("ReduceMean", place.x[0], place.add_constant("axes", np.array([2, 3], np.int64)), keepdims=0)


def _write_relu6(place: Place) -> None:
    bounds = [place.add_constant(part, to_floats(value)) for part, value in (("low", 0), ("high", 6))]
    place.add("Clip", place.x[0], *bounds)


def _write_silu(place: Place) -> None:
    place.add("Mul", place.x[0], place.add_before("sigmoid", "Sigmoid", place.x[0]))


def _write_plainly(operation: str, **attributes: Any) -> Callable[[Place], None]:
    return lambda place: place.add(operation, *place.x, **attributes)


WRITERS: dict[type[Operation], Callable[[Place], None]] = {
    layers.Convolution: _write_convolution,
    layers.Linear: lambda place: _write_layer(place, "Gemm", transB=1),
    layers.BatchNorm: _write_affine,
    layers.ChannelAffine: _write_affine,
    elementwise.Relu: _write_plainly("Relu"),
    elementwise.Relu6: _write_relu6,
    elementwise.LeakyRelu: lambda place: place.add("LeakyRelu", place.x[0], alpha=place.operation.negative_slope),
    elementwise.HardSwish: _write_plainly("HardSwish"),
    elementwise.HardSigmoid: _write_plainly("HardSigmoid", alpha=1 / 6, beta=0.5),
    elementwise.Sigmoid: _write_plainly("Sigmoid"),
    elementwise.Silu: _write_silu,
    elementwise.Gelu: _write_plainly("Gelu"),
    pooling.MaxPool: _write_max_pool,
    pooling.AveragePool: _write_average_pool,
    pooling.AdaptiveAveragePool: _write_adaptive_average,
    pooling.Mean: _write_mean,
    elementwise.Add: _write_plainly("Add"),
    elementwise.Multiply: _write_plainly("Mul"),
    elementwise.Concatenate: _write_plainly("Concat", axis=1),
    elementwise.Flatten: _write_plainly("Flatten", axis=1),
}
"""Operation → what writes its nodes."""
