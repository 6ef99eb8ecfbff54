"""One call of a kernel for each node of a network.

A new operation takes a function that writes its call, a line in `WRITERS`, and a kernel in sources/kernels.c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from worker.exports.c.constants import write_float
from worker.integer_network import IntegerLayer
from worker.network.operations import elementwise, layers, pooling
from worker.network.operations.base import Operation, Shape
from worker.network.operations.pooling import Pool

_BYTE_BITS = 8


@dataclass(frozen=True)
class Place:
    """A node with all that its call names.

    inputs, x: shape and address of each value that it reads; shape, y: of the one that it writes.
    """

    number: int
    operation: Any
    inputs: tuple[Shape, ...]
    x: tuple[str, ...]
    shape: Shape
    y: str

    @property
    def count(self) -> int:
        """Of the values that it writes."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class LayerPlace(Place):
    """A layer with its integers. reads_picture: whether it reads the pixels, and no values."""

    layer: IntegerLayer
    reads_picture: bool

    @property
    def width(self) -> str:
        """What the names of its kernels end in."""
        return "_wide" if is_wide(self.layer) else ""


def is_wide(layer: IntegerLayer) -> bool:
    """Whether what it reads takes two bytes each."""
    return layer.input_bit_width > _BYTE_BITS


def _write_size(shape: Shape) -> str:
    channels, height, width = (*shape, 1, 1)[:3]
    return f"(struct tonok_size){{{channels}, {height}, {width}}}"


def _write_window(*pairs: Sequence[int]) -> str:
    return f"&(struct tonok_window){{{', '.join(str(side) for pair in pairs for side in pair)}}}"


def _write_quantizing(place: LayerPlace) -> str:
    low, high = place.layer.input_range
    quantizer = f"(struct tonok_quantizer){{{write_float(place.layer.input_scale)}, {low}, {high}}}"
    if place.reads_picture:
        return (
            f"tonok_quantize_picture{place.width}(picture, picture_size, &normalization, {quantizer}, memory->bytes);"
        )
    return f"tonok_quantize{place.width}({place.x[0]}, {math.prod(place.inputs[0])}, {quantizer}, memory->bytes);"


def _write_convolution(place: LayerPlace) -> list[str]:
    said: layers.Convolution = place.operation
    window = _write_window(said.kernel, said.stride, said.padding, said.dilation)
    low, _ = place.layer.input_range
    read = f"memory->bytes, {_write_size(place.inputs[0])}, {low}, &layer_{place.number}"
    written = f"memory->filter, memory->sums, {_write_size(place.shape)}, {place.y}"
    return [_write_quantizing(place), f"tonok_convolve{place.width}({read}, {window}, {said.groups}, {written});"]


def _write_linear(place: LayerPlace) -> list[str]:
    low, _ = place.layer.input_range
    sizes = f"{place.inputs[0][0]}, {low}, &layer_{place.number}, {place.shape[0]}"
    return [_write_quantizing(place), f"tonok_multiply_matrix{place.width}(memory->bytes, {sizes}, {place.y});"]


def _write_affine(place: Place) -> list[str]:
    sizes = f"{place.shape[0]}, {math.prod(place.shape[1:])}, gains_{place.number}, shifts_{place.number}"
    return [f"tonok_scale_channels({place.x[0]}, {sizes}, {place.y});"]


def _write_pool(place: Place, kernel: str, *, more: str = "") -> list[str]:
    said: Pool = place.operation
    window = _write_window(said.kernel, said.stride, said.padding, (1, 1))
    sizes = f"{_write_size(place.inputs[0])}, {window}, {more}{_write_size(place.shape)}"
    return [f"{kernel}({place.x[0]}, {sizes}, {place.y});"]


def _write_average_pool(place: Place) -> list[str]:
    said: pooling.AveragePool = place.operation
    return _write_pool(place, "tonok_average_pool", more=f"{int(said.count_include_pad)}, ")


def _write_adaptive_average(place: Place) -> list[str]:
    sizes = f"{_write_size(place.inputs[0])}, {_write_size(place.shape)}"
    return [f"tonok_adaptive_average({place.x[0]}, {sizes}, {place.y});"]


def _write_multiply(place: Place) -> list[str]:
    (first, second), (x, other) = place.inputs, place.x
    if first == second:
        return [f"tonok_multiply({x}, {other}, {place.count}, {place.y});"]
    if math.prod(first) < math.prod(second):
        x, other = other, x
    area = math.prod(place.shape[1:])
    return [f"tonok_multiply_channels({x}, {other}, {place.shape[0]}, {area}, {place.y});"]


def _write_concatenate(place: Place) -> list[str]:
    calls, done = list[str](), 0
    for shape, x in zip(place.inputs, place.x, strict=True):
        calls.append(f"memcpy({place.y} + {done}, {x}, {math.prod(shape)} * sizeof(float));")
        done += math.prod(shape)
    return calls


def _write_activation(kernel: str) -> Callable[[Place], list[str]]:
    return lambda place: [f"{kernel}({place.x[0]}, {place.count}, {place.y});"]


def _write_leaky_relu(place: Place) -> list[str]:
    slope = write_float(place.operation.negative_slope)
    return [f"tonok_leaky_relu({place.x[0]}, {place.count}, {slope}, {place.y});"]


WRITERS: dict[type[Operation], Callable[[Any], list[str]]] = {
    layers.Convolution: _write_convolution,
    layers.Linear: _write_linear,
    layers.BatchNorm: _write_affine,
    layers.ChannelAffine: _write_affine,
    elementwise.Relu: _write_activation("tonok_relu"),
    elementwise.Relu6: _write_activation("tonok_relu6"),
    elementwise.LeakyRelu: _write_leaky_relu,
    elementwise.HardSwish: _write_activation("tonok_hard_swish"),
    elementwise.HardSigmoid: _write_activation("tonok_hard_sigmoid"),
    elementwise.Sigmoid: _write_activation("tonok_sigmoid"),
    elementwise.Silu: _write_activation("tonok_silu"),
    elementwise.Gelu: _write_activation("tonok_gelu"),
    pooling.MaxPool: lambda place: _write_pool(place, "tonok_max_pool"),
    pooling.AveragePool: _write_average_pool,
    pooling.AdaptiveAveragePool: _write_adaptive_average,
    pooling.Mean: _write_adaptive_average,
    elementwise.Add: lambda place: [f"tonok_add({place.x[0]}, {place.x[1]}, {place.count}, {place.y});"],
    elementwise.Multiply: _write_multiply,
    elementwise.Concatenate: _write_concatenate,
}
"""Operation → its calls. Flattening takes none: values lie in the same order before and after."""
