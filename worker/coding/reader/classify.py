"""What a network of a compressed file says of pictures: the pass over its integers, bit for bit.

A layer divides what it reads by its input scale, rounds half to even, clamps, sums whole numbers, multiplies and adds:
each step on floats is one operation of IEEE 754, so that every machine answers the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architectures import describe
from .bits import InvalidModel, require
from .file import read_file
from .record import list_parts

Values = NDArray[np.float32]
_STEPS = 2.0**24
"""Averages are of whole steps of 2^-24, so that no order of additions changes them."""
_BOUND = 700.0
_INVERSE_FACTORIALS = (1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
_LOG_2 = (0.6931471803691238, 1.9082149292705877e-10)
_TAIL = (
    -1.196087682896218e-07, -1.1057229846247156e-05, 4.280479898834326e-06, 0.00011324623928952912,
    -0.00010470633165564504, -0.0007713736754143719, 0.0018885053310358716, 0.0025260688674845592,
    -0.023770472038737642, 0.06830870677174203, -0.11927366842680621, 0.12964509696900942,
    -0.04756229412652077, -0.13562110449402134, 1.2530080582680252,
)  # fmt: skip


class Classifier:
    """A network that answers. class_names, input_shape: (channels, height, width) of its pictures."""

    def __init__(self, data: bytes) -> None:
        """data: the bytes of a `.tonok` file. Raises InvalidModel."""
        network = read_file(data)
        self.class_names: tuple[str, ...] = network["class_names"]
        self.input_shape: tuple[int, int, int] = network["input_shape"]
        self._layers = {layer["name"]: layer for layer in network["layers"]}
        self._affines = {affine["name"]: affine for affine in network.get("affines", ())}
        self._mean, self._std = (np.array(network[name], np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
        self._record = network.get("network") or describe(
            network["architecture"], network["widths"], self.input_shape, len(self.class_names)
        )
        missing = [layer.name for layer in list_parts(self._record)[0] if layer.name not in self._layers]
        require(not missing, f"the file has no layer {', '.join(missing)}")

    def compute_logits(self, pictures: NDArray[np.uint8]) -> Values:
        """pictures: (B, channels, height, width), pixels of 0 to 255. Returns (B, classes)."""
        if pictures.ndim != 4 or pictures.shape[1:] != self.input_shape or pictures.dtype != np.uint8:
            wanted = " × ".join(map(str, self.input_shape))
            raise ValueError(f"pictures must be bytes, (B, {wanted}): these are {pictures.dtype}, {pictures.shape}")
        values = {-1: (pictures.astype(np.float32) / np.float32(255) - self._mean) / self._std}
        for place, (operation, inputs, attributes, name) in enumerate(self._record["nodes"]):
            read = [values[index] for index in inputs]
            values[place] = self._compute(operation, read, attributes, name)
        return values[self._record["output"]].reshape(len(pictures), -1)

    def classify(self, picture: NDArray[np.uint8]) -> tuple[str, float]:
        """picture: (channels, height, width). Returns the class and its probability."""
        logits = self.compute_logits(picture[None])[0].astype(np.float64)
        odds = np.exp(logits - logits.max())
        best = int(logits.argmax())
        return self.class_names[best], float(odds[best] / odds.sum())

    def _compute(self, operation: str, read: list[Values], attributes: dict[str, Any], name: str) -> Values:
        if operation in ("convolution", "linear"):
            return _finish(self._layers[name], _sum_products(self._layers[name], read[0], attributes))
        if name in self._affines:
            gain, shift = (
                self._affines[name][part].reshape(-1, *[1] * (read[0].ndim - 2)) for part in ("gain", "shift")
            )
            scaled: Values = read[0] * gain + shift
            return scaled
        if operation == "batch_norm":
            return read[0]  # it is folded into the convolution before it
        if operation not in _OPERATIONS:
            raise InvalidModel(f"the operation {operation} is not known here")
        return _OPERATIONS[operation](read, attributes)


def _quantize(layer: dict[str, Any], x: Values) -> NDArray[np.float64]:
    lowest = (-(1 << layer["input_bit_width"] - 1) if layer["input_signed"] else 0) - layer["input_zero_point"]
    highest = lowest + (1 << layer["input_bit_width"]) - 1
    nearest = np.rint(x / np.float32(layer["input_scale"]))
    kept: NDArray[np.float64] = np.where(nearest > lowest, np.minimum(nearest, highest), lowest).astype(np.float64)
    return kept


def _sum_products(layer: dict[str, Any], x: Values, attributes: dict[str, Any]) -> NDArray[np.float64]:
    """Sums of whole numbers, which a double holds exactly."""
    integers, weight = _quantize(layer, x), layer["weight"].astype(np.float64)
    if weight.ndim == 2:
        sums: NDArray[np.float64] = integers @ weight.T
        return sums
    (top, left), groups = attributes.get("padding", (0, 0)), attributes.get("groups", 1)
    (down, right), (step_down, step_right) = attributes.get("stride", (1, 1)), attributes.get("dilation", (1, 1))
    padded = np.pad(integers, ((0, 0), (0, 0), (top, top), (left, left)))
    height, width = weight.shape[2:]
    reach = (step_down * (height - 1) + 1, step_right * (width - 1) + 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
    windows = windows[:, :, ::down, ::right, ::step_down, ::step_right]
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups), strict=True)
    return np.concatenate([np.einsum("bchwij,ocij->bohw", part, kernel, optimize=True) for part, kernel in parts], 1)


def _finish(layer: dict[str, Any], sums: NDArray[np.float64]) -> Values:
    across = (-1, *[1] * (sums.ndim - 2))
    multiplier = layer["scale"] * np.float32(layer["input_scale"])
    finished: Values = sums.astype(np.float32) * multiplier.reshape(across) + layer["bias"].reshape(across)
    return finished


# ---- Pools ----


def _list_windows(side: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> list[tuple[int, int]]:
    """First and end of each window along one side; they may reach into the padding."""
    span = side + 2 * padding - kernel
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= side + padding:
        count -= 1  # a window must begin in the picture
    return [(i * stride - padding, i * stride - padding + kernel) for i in range(count)]


def _pool(
    x: Values, attributes: dict[str, Any], take: Callable[[Values, tuple[int, int], tuple[int, int]], Values]
) -> Values:
    sides = zip(x.shape[2:], attributes["kernel"], attributes["stride"], attributes.get("padding", (0, 0)), strict=True)
    rows, columns = (_list_windows(*side, attributes.get("ceil_mode", False)) for side in sides)
    return np.stack([np.stack([take(x, row, column) for column in columns], -1) for row in rows], -2)


def _cut(x: Values, row: tuple[int, int], column: tuple[int, int]) -> Values:
    return x[:, :, max(row[0], 0) : row[1], max(column[0], 0) : column[1]]


def _max_pool(read: list[Values], attributes: dict[str, Any]) -> Values:
    return _pool(read[0], attributes, lambda x, row, column: _cut(x, row, column).max(axis=(2, 3)))


def _sum_steps(x: Values) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.rint(x.astype(np.float64) * _STEPS).sum(axis=(2, 3))
    return total


def _average_pool(read: list[Values], attributes: dict[str, Any]) -> Values:
    counts_padding = attributes.get("count_include_pad", True)
    above, beside = attributes.get("padding", (0, 0))

    def average(x: Values, row: tuple[int, int], column: tuple[int, int]) -> Values:
        part = _cut(x, row, column)
        count = float(part.shape[2] * part.shape[3])
        if counts_padding:
            bottom, right = min(row[1], x.shape[2] + above), min(column[1], x.shape[3] + beside)
            count = float((bottom - row[0]) * (right - column[0]))
        return (_sum_steps(part) / count / _STEPS).astype(np.float32)

    return _pool(read[0], attributes, average)


def _adaptive_average(read: list[Values], attributes: dict[str, Any]) -> Values:
    (x,), (height, width) = read, attributes["output"]
    rows, columns = (
        [(i * side // parts, -(-(i + 1) * side // parts)) for i in range(parts)]
        for side, parts in zip(x.shape[2:], (height, width), strict=True)
    )

    def average(row: tuple[int, int], column: tuple[int, int]) -> Values:
        tall, wide = float(row[1] - row[0]), float(column[1] - column[0])
        total = _sum_steps(_cut(x, row, column))
        # Two divisions may round otherwise than one.
        mean = total / (tall * wide) if height == width == 1 else total / tall / wide
        return (mean / _STEPS).astype(np.float32)

    return np.stack([np.stack([average(row, column) for column in columns], -1) for row in rows], -2)


def _mean(read: list[Values], attributes: dict[str, Any]) -> Values:  # noqa: ARG001 - it has none
    return _adaptive_average(read, {"output": (1, 1)})[:, :, 0, 0]


# ---- Value by value ----


def _evaluate(coefficients: Sequence[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _exponentiate(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^x to 11 digits, of additions and multiplications alone: those of C libraries differ in their last bits."""
    bounded = np.clip(x, -_BOUND, _BOUND)
    power = np.rint(bounded * 1.4426950408889634)
    rest = bounded - power * _LOG_2[0] - power * _LOG_2[1]
    result: NDArray[np.float64] = np.ldexp(_evaluate(_INVERSE_FACTORIALS, rest), power.astype(np.int32))
    return result


def _distribute(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of the normal distribution lies below x."""
    t = np.abs(x) * 0.7071067811865476
    beyond = _exponentiate(-(t * t)) * _evaluate(_TAIL, (t - 3) / (t + 3)) / (1 + t * 2) * 0.5
    return np.where(x < 0, beyond, 1 - beyond)


def _in_doubles(function: Callable[[NDArray[np.float64]], Any]) -> Callable[[list[Values], dict[str, Any]], Values]:
    return lambda read, _: np.asarray(function(read[0].astype(np.float64)), np.float32)


def _lift(x: Values) -> Values:
    lifted: Values = np.clip(x + np.float32(3), np.float32(0), np.float32(6))
    return lifted


def _multiply(read: list[Values], attributes: dict[str, Any]) -> Values:  # noqa: ARG001 - it has none
    return read[0] * read[1]


_OPERATIONS: dict[str, Callable[[list[Values], dict[str, Any]], Values]] = {
    "relu": lambda read, _: np.where(read[0] < 0, np.float32(0), read[0]),
    "relu6": lambda read, _: np.clip(read[0], np.float32(0), np.float32(6)),
    "leaky_relu": lambda read, said: np.where(
        read[0] > 0, read[0], read[0] * np.float32(said.get("negative_slope", 0.01))
    ),
    "hard_swish": lambda read, _: read[0] * _lift(read[0]) / np.float32(6),
    "hard_sigmoid": lambda read, _: _lift(read[0]) / np.float32(6),
    "sigmoid": _in_doubles(lambda x: 1 / (1 + _exponentiate(-x))),
    "silu": _in_doubles(lambda x: x / (1 + _exponentiate(-x))),
    "gelu": _in_doubles(lambda x: x * _distribute(x)),
    "add": lambda read, _: read[0] + read[1],
    "multiply": _multiply,
    "concatenate": lambda read, _: np.concatenate(read, axis=1),
    "flatten": lambda read, _: read[0].reshape(len(read[0]), -1),
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "adaptive_average_pool": _adaptive_average,
    "mean": _mean,
}
