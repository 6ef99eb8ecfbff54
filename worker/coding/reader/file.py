"""A whole file, of either version, in the order of docs/format.md."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

from .bits import Bits, require
from .fields import MAX_WEIGHTS, Reader
from .record import Affine, Layer, list_parts, unpack_record

ARCHITECTURES = ("fashion_cnn", "lenet5", "mlp", "resnet_small", "depthwise_cnn")
RESIZE_MODES = ("shorter_side_centre_crop", "pad", "stretch", "exact")
BACKGROUNDS = ("white", "black")

MAX_SIDE = 1 << 20
MAX_LAYERS = 1024
MAX_FLOATS = 1 << 19
MAX_PACKED_BYTES = 1 << 17
LARGEST_PICTURE = 224


def read_file(data: bytes) -> dict[str, Any]:
    """The network as plain values and arrays, named as in worker/integer_network.py.

    Raises InvalidModel, and nothing else, for what is not a valid file.
    """
    require(7 <= len(data) <= 1 << 28 and data[:3] in (b"TK\x01", b"TK\x02"), "not a Tonok file of version 1 or 2")
    require(zlib.crc32(data[7:]) == int.from_bytes(data[3:7], "big"), "damaged")
    weights_left = min(MAX_WEIGHTS, (1 << 16) + 1024 * len(data))
    read = Reader(Bits(data[7:]))
    if data[2] == 1:
        network = _read_architecture(read) | {"class_names": _read_classes(read)}
        network["mean"], network["std"] = (read.decimal("mean"),), (read.decimal("std"),)
        layers = list(_read_outlines(read, weights_left, None))
        _read_input_scales(read, layers)
        for layer in layers:
            layer["scale"] = read.singles("scale", layer.pop("num_scales"))
        for layer in layers:
            layer["bias"] = read.singles("bias", layer["shape"][0])
        _read_weights(read, layers)
        return network | {"layers": layers}
    return _read_version_2(read, weights_left)


def _read_version_2(read: Reader, weights_left: int) -> dict[str, Any]:
    known_layers: list[Layer] | None = None
    known_affines: list[Affine] = []
    if read.flag("holds a record"):
        architecture = read.text("architecture")
        record = unpack_record(read.octets(read.number("record bytes", MAX_PACKED_BYTES)))
        known_layers, known_affines = list_parts(record)
        require(len(known_layers) <= MAX_LAYERS, "more layers than the format allows")
        shape = record["input"]
        require(len(shape) == 3, "a record of no picture")
        network: dict[str, Any] = {
            "architecture": architecture,
            "widths": (),
            "input_shape": tuple(shape),
            "network": record,
        }
    else:
        network = _read_architecture(read)
    network["class_names"] = _read_classes(read)
    for name in ("mean", "std"):
        count = network["input_shape"][0] if read.flag(f"{name} by channel") else 1
        require(count >= 1, f"a {name} for each channel of none")
        network[name] = tuple(read.decimal(name) for _ in range(count))
    if read.flag("resize"):
        height = read.number("resize height", LARGEST_PICTURE - 1) + 1
        width = read.guessed("resize width", height - 1, LARGEST_PICTURE - 1) + 1
        mode = RESIZE_MODES[read.number("resize mode", len(RESIZE_MODES) - 1)]
        background = BACKGROUNDS[read.number("resize background", len(BACKGROUNDS) - 1)]
        network["resize"] = {"height": height, "width": width, "mode": mode, "background": background}
    layers = list(_read_outlines(read, weights_left, known_layers))
    counts = [read.guessed("affine channels", affine.unit, MAX_SIDE) for affine in known_affines]
    scales = [layer.pop("num_scales") for layer in layers]
    rows = [layer["shape"][0] for layer in layers]
    require(min(counts, default=1) >= 1, "an affine of no channels")
    require(sum(scales) + sum(rows) + 2 * sum(counts) <= MAX_FLOATS, "more floats than the format allows")
    _read_input_scales(read, layers)
    for name, sizes in (("scale", scales), ("bias", rows)):
        for layer, values in zip(layers, read.float_blocks(name, sizes), strict=True):
            layer[name] = values
    gains, shifts = read.float_blocks("gain", counts), read.float_blocks("shift", counts)
    network["affines"] = [
        {"name": affine.name, "gain": gain, "shift": shift}
        for affine, gain, shift in zip(known_affines, gains, shifts, strict=True)
    ]
    _read_weights(read, layers)
    return network | {"layers": layers}


def _read_architecture(read: Reader) -> dict[str, Any]:
    known = read.number("architecture id", len(ARCHITECTURES))
    architecture = ARCHITECTURES[known - 1] if known else read.text("architecture")
    widths = tuple(read.number("width", MAX_SIDE) for _ in range(read.number("number of widths", 1024)))
    channels, height = read.number("input channels", MAX_SIDE), read.number("input height", MAX_SIDE)
    input_shape = (channels, height, read.guessed("input width", height, MAX_SIDE))
    return {"architecture": architecture, "widths": widths, "input_shape": input_shape}


def _read_classes(read: Reader) -> tuple[str, ...]:
    return tuple(read.text("class name") for _ in range(read.number("number of classes", 4096)))


def _read_outlines(read: Reader, weights_left: int, known: list[Layer] | None) -> Iterator[dict[str, Any]]:
    """All of the layers but their arrays. known: what a record says of them."""
    rows, width, input_width = 1, 7, 8
    for place in range(read.number("number of layers", MAX_LAYERS) if known is None else len(known)):
        kernel: tuple[int, ...] = ()
        if known is None:
            name, is_conv = read.text("layer name"), read.flag("is convolution")
            columns = _read_columns(read, rows)
            rows = read.number("rows", MAX_SIDE)
            if is_conv:
                kernel_height = read.guessed("kernel height", 3, MAX_SIDE)
                kernel = (kernel_height, read.guessed("kernel width", kernel_height, MAX_SIDE))
        else:
            name, rows, kernel, unit = known[place]
            columns = _read_columns(read, unit)
        shape = (rows, columns, *kernel)
        require(min(shape) >= 1 and math.prod(shape) <= weights_left, "more weights than the file's size allows")
        weights_left -= math.prod(shape)
        layer: dict[str, Any] = {"name": name, "shape": shape}
        layer["num_scales"] = rows if read.flag("scale per channel") else 1
        width = read.guessed("bit width", width, 7)
        layer["bit_width"] = width + 1
        layer["input_zero_point"] = read.signed("input zero point", 1 << 16)
        input_width = layer["input_bit_width"] = read.guessed("input bit width", input_width, 32)
        layer["input_signed"] = bool(read.flag("input signed"))
        yield layer


def _read_columns(read: Reader, unit: int) -> int:
    fold = read.guessed("fold", 1, MAX_SIDE)
    return fold * unit if fold else read.number("columns", MAX_SIDE)


def _read_input_scales(read: Reader, layers: list[dict[str, Any]]) -> None:
    for layer, scale in zip(layers, read.floats("input scale", len(layers)), strict=True):
        layer["input_scale"] = float(scale)


def _read_weights(read: Reader, layers: list[dict[str, Any]]) -> None:
    before = None
    for layer in layers:
        shape = layer.pop("shape")
        flat = (shape[0], math.prod(shape[1:]))
        positions = stride = 1
        if len(shape) == 4:
            positions, stride = shape[2] * shape[3], shape[3]
        elif before is not None and shape[1] % before == 0:
            positions = shape[1] // before
            stride = math.isqrt(positions) if math.isqrt(positions) ** 2 == positions else 1
        before = shape[0]
        layer["weight"] = read.weights(flat, layer["bit_width"], positions, stride).reshape(shape)
