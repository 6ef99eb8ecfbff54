"""The compressed file: one network, whole, in one stream of binary decisions behind a seven-byte head.

docs/format.md describes every byte; reader.py reads it with nothing but NumPy.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.fields import Fields, fits_float32
from worker.coding.kernel import open_reader
from worker.coding.ranges import MAX_DECISIONS, RangeWriter
from worker.coding.scan import choose_scans, compute_natural_scan
from worker.coding.weights import Scan, WeightModels, code_weights
from worker.integer_network import IntegerLayer, IntegerNetwork
from worker.model_heads import TONOK_HEAD_BYTES, TONOK_MAGIC, check_tonok_frame

_T = TypeVar("_T")

ARCHITECTURES = ("fashion_cnn", "lenet5", "mlp", "resnet_small", "depthwise_cnn")
"""Architectures written as one number, its place here plus 1; others are spelt. Append only."""

MAX_LAYERS = 1024
MAX_CLASSES = 4096
MAX_TEXT_BYTES = 255
MAX_SIDE = 1 << 20
MAX_WEIGHTS = 1 << 26
FREE_WEIGHTS = 1 << 16
WEIGHTS_PER_BYTE = 1024
"""A file of n bytes may declare FREE_WEIGHTS + n * WEIGHTS_PER_BYTE weights: what bounds a reader's memory."""

_BLANK_LAYER = IntegerLayer(
    name="",
    weight=np.zeros((1, 1), np.int8),
    scale=np.ones(1, np.float32),
    bias=np.zeros(1, np.float32),
    bit_width=8,
    input_scale=1.0,
    input_zero_point=0,
    input_bit_width=8,
    input_signed=False,
)
_BLANK = IntegerNetwork(
    architecture="", widths=(), input_shape=(1, 1, 1), class_names=(), mean=(0.0,), std=(1.0,), layers=()
)


def encode_network(network: IntegerNetwork) -> bytes:
    """The bytes of a `.tonok` file. Raises InvalidModel for a network outside the format's limits."""
    _check_network(network)
    writer = RangeWriter()
    num_weights = sum(layer.weight.size for layer in network.layers)
    if num_weights > MAX_WEIGHTS:
        raise InvalidModel(f"A compressed file holds at most {MAX_WEIGHTS} weights.", field="layers")
    _code_network(Fields(writer), network, choose_scans(network), num_weights)
    body = writer.finish()
    # A network of hardly anything but zeros may need fewer bytes than its size must have: a reader takes zeros at the
    # end for nothing.
    smallest = -(-(num_weights - FREE_WEIGHTS) // WEIGHTS_PER_BYTE) - TONOK_HEAD_BYTES
    body = body.ljust(smallest, b"\0")
    return TONOK_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def decode_network(data: bytes) -> IntegerNetwork:
    """The network of a `.tonok` file. Raises InvalidModel for anything else."""
    check_tonok_frame(data, len(data))
    body = data[TONOK_HEAD_BYTES:]
    if zlib.crc32(body) != int.from_bytes(data[3:TONOK_HEAD_BYTES], "big"):
        raise InvalidModel("The file is damaged: its checksum does not match.")
    max_weights = min(MAX_WEIGHTS, FREE_WEIGHTS + WEIGHTS_PER_BYTE * len(data))
    return _code_network(Fields(open_reader(body)), _BLANK, (), max_weights)


def _code_network(fields: Fields, network: IntegerNetwork, scans: tuple[Scan, ...], max_weights: int) -> IntegerNetwork:
    known = ARCHITECTURES.index(network.architecture) + 1 if network.architecture in ARCHITECTURES else 0
    known = fields.number("architecture id", known, len(ARCHITECTURES))
    architecture = (
        ARCHITECTURES[known - 1] if known else fields.text("architecture", network.architecture, MAX_TEXT_BYTES)
    )
    num_widths = fields.number("number of widths", len(network.widths), MAX_LAYERS)
    widths = tuple(fields.number("width", _at(network.widths, i, 0), MAX_SIDE) for i in range(num_widths))
    channels, height, width = network.input_shape
    channels = fields.number("input channels", channels, MAX_SIDE)
    height = fields.number("input height", height, MAX_SIDE)
    width = fields.guessed("input width", width, height, MAX_SIDE)
    num_classes = fields.number("number of classes", len(network.class_names), MAX_CLASSES)
    class_names = tuple(
        fields.text("class name", _at(network.class_names, i, ""), MAX_TEXT_BYTES) for i in range(num_classes)
    )
    mean, std = (fields.decimal("mean", network.mean[0]),), (fields.decimal("std", network.std[0]),)

    num_layers = fields.number("number of layers", len(network.layers), MAX_LAYERS)
    layers: list[IntegerLayer] = []
    for index in range(num_layers):
        previous = layers[-1] if layers else _BLANK_LAYER
        layers.append(_code_outline(fields, _at(network.layers, index, _BLANK_LAYER), previous, max_weights))
        max_weights -= layers[-1].weight.size
    # A writer's arrays take the place of the blank ones of the outlines.
    layers = [
        replace(outline, weight=source.weight, scale=source.scale, bias=source.bias, input_scale=source.input_scale)
        for outline, source in zip(layers, network.layers or layers, strict=True)
    ]
    input_scales = np.array([layer.input_scale for layer in layers], np.float64)
    input_scales = fields.floats("input scale", input_scales)
    layers = [replace(layer, input_scale=float(scale)) for layer, scale in zip(layers, input_scales, strict=True)]
    layers = [replace(layer, scale=_code_array(fields, "scale", layer.scale)) for layer in layers]
    layers = [replace(layer, bias=_code_array(fields, "bias", layer.bias)) for layer in layers]

    models = WeightModels()
    for index, layer in enumerate(layers):
        natural = compute_natural_scan(layer.weight, layers[index - 1].weight if index else None)
        scan = _code_scan(fields, _at(scans, index, natural), natural)
        if layer.weight[0].size % scan.positions or scan.stride > scan.positions:
            raise InvalidModel("The file walks the weights of a layer in a way that does not fit its shape.")
        if not scan.in_blocks and layer.weight.size > MAX_DECISIONS:
            raise InvalidModel("The file codes more weights one by one than the format allows.")
        flat = layer.weight.reshape(len(layer.weight), -1)
        read = code_weights(fields, models, flat, layer.bit_width, scan)
        layers[index] = replace(layer, weight=read.reshape(layer.weight.shape))
    return IntegerNetwork(architecture, widths, (channels, height, width), class_names, mean, std, tuple(layers))


def _code_outline(fields: Fields, layer: IntegerLayer, previous: IntegerLayer, max_weights: int) -> IntegerLayer:
    """All of a layer but the content of its arrays, which are zeros in the layer returned."""
    name = fields.text("layer name", layer.name, MAX_TEXT_BYTES)
    is_conv = fields.bit("is convolution", int(layer.weight.ndim == 4))
    shape = [*layer.weight.shape, 1, 1][:4]
    before = previous.weight.shape[0]
    # What a layer reads is what the layer before wrote, or that many times the positions of a flattened picture.
    fold = fields.guessed("fold", shape[1] // before if shape[1] % before == 0 else 0, 1, MAX_SIDE)
    columns = fold * before if fold else fields.number("columns", shape[1], MAX_SIDE)
    rows = fields.number("rows", shape[0], MAX_SIDE)
    kernel: tuple[int, ...] = ()
    if is_conv:
        kernel_height = fields.guessed("kernel height", shape[2], 3, MAX_SIDE)
        kernel = (kernel_height, fields.guessed("kernel width", shape[3], kernel_height, MAX_SIDE))
    full = (rows, columns, *kernel)
    if min(full) < 1 or math.prod(full) > max_weights:
        raise InvalidModel("The file declares more weights than its size allows.")
    num_scales = rows if fields.bit("scale per channel", int(len(layer.scale) > 1)) else 1
    return IntegerLayer(
        name=name,
        weight=np.zeros(full, np.int8),
        scale=np.zeros(num_scales, np.float32),
        bias=np.zeros(rows, np.float32),
        bit_width=fields.guessed("bit width", layer.bit_width - 1, previous.bit_width - 1, 7) + 1,
        input_scale=1.0,
        input_zero_point=fields.signed("input zero point", layer.input_zero_point, 1 << 16),
        input_bit_width=fields.guessed("input bit width", layer.input_bit_width, previous.input_bit_width, 32),
        input_signed=bool(fields.bit("input signed", int(layer.input_signed))),
    )


def _code_array(fields: Fields, kind: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    read = fields.floats(kind, values.astype(np.float64))
    if not fits_float32(read):
        raise InvalidModel(f"A {kind} of the file is not a 32-bit float.", field=kind)
    return read.astype(np.float32)


def _code_scan(fields: Fields, scan: Scan, natural: Scan) -> Scan:
    # A kernel has as many positions as both its sides give: the limit is that of weights, not that of a side.
    return Scan(
        positions=fields.guessed("positions", scan.positions - 1, natural.positions - 1, MAX_WEIGHTS) + 1,
        stride=fields.guessed("stride", scan.stride - 1, natural.stride - 1, MAX_WEIGHTS) + 1,
        by_column=bool(fields.bit("by column", int(scan.by_column))),
        masked=bool(fields.bit("masked", int(scan.masked))),
        in_blocks=bool(fields.bit("in blocks", int(scan.in_blocks))),
    )


def _at(values: tuple[_T, ...], index: int, blank: _T) -> _T:
    return values[index] if index < len(values) else blank


def _check_network(network: IntegerNetwork) -> None:
    """Raises InvalidModel where the arrays do not fit together, naming the layer."""
    if len(network.layers) > MAX_LAYERS:
        raise InvalidModel(f"A compressed file holds at most {MAX_LAYERS} layers.", field="layers")
    if len(network.input_shape) != 3:
        raise InvalidModel("input_shape must be (channels, height, width).", field="input_shape")
    for name, numbers in (("mean", network.mean), ("std", network.std)):
        if len(set(numbers)) != 1 or not math.isfinite(numbers[0]):
            raise InvalidModel(f"{name} must be finite, and the same for every channel.", field=name)
    for layer in network.layers:
        rows = layer.weight.shape[0] if layer.weight.ndim else 0
        problems = {
            "weight": layer.weight.dtype != np.int8 or layer.weight.ndim not in (2, 4) or layer.weight.size == 0,
            "scale": layer.scale.dtype != np.float32 or layer.scale.shape not in ((1,), (rows,)),
            "bias": layer.bias.dtype != np.float32 or layer.bias.shape != (rows,),
            "bit_width": not 1 <= layer.bit_width <= 8,
            "input_scale": not math.isfinite(layer.input_scale),
        }
        for field in ("scale", "bias"):
            problems[field] = problems[field] or not np.isfinite(getattr(layer, field)).all()
        for field, is_wrong in problems.items():
            if is_wrong:
                raise InvalidModel(f"{field} of layer {layer.name!r} does not fit the format.", field=field)
