"""All of the layers but the content of their arrays: names, shapes, and how each reads its input."""

from __future__ import annotations

import math

import numpy as np

from storage.errors import InvalidModel
from worker.coding.facts import get_or
from worker.coding.fields import Fields
from worker.coding.limits import MAX_FLOATS, MAX_LAYERS, MAX_SIDE, MAX_TEXT_BYTES
from worker.coding.record import KnownLayer, list_known
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.network.record import Network

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


def code_outlines(
    fields: Fields, network: IntegerNetwork, record: Network | None, max_weights: int
) -> tuple[list[IntegerLayer], list[IntegerAffine]]:
    """Layers and affines whose arrays are zeros. record: what says their names, rows and kernels, where there is one.

    Raises InvalidModel where the file declares more than `max_weights`, or more than the format allows.
    """
    known, affines = ([], {}) if record is None else list_known(record)
    num_layers = fields.number("number of layers", len(network.layers), MAX_LAYERS) if record is None else len(known)
    if num_layers > MAX_LAYERS:
        raise InvalidModel(f"A compressed file holds at most {MAX_LAYERS} layers.", field="layers")
    layers: list[IntegerLayer] = []
    for index in range(num_layers):
        previous = layers[-1] if layers else _BLANK_LAYER
        source = get_or(network.layers, index, _BLANK_LAYER)
        if record is None:
            name, shape = _code_shape(fields, source, previous.weight.shape[0])
        else:
            name, shape = _complete_shape(fields, source, known[index])
        if min(shape) < 1 or math.prod(shape) > max_weights:
            raise InvalidModel("The file declares more weights than its size allows.")
        max_weights -= math.prod(shape)
        layers.append(_code_outline(fields, source, previous, name, shape))
    return layers, _outline_affines(fields, network, affines)


def _outline_affines(fields: Fields, network: IntegerNetwork, units: dict[str, int]) -> list[IntegerAffine]:
    sizes = {affine.name: affine.gain.size for affine in network.affines}
    counts = {
        name: fields.guessed("affine channels", sizes.get(name, unit), unit, MAX_SIDE) for name, unit in units.items()
    }
    # Before there are arrays of them.
    if min(counts.values(), default=1) < 1 or sum(counts.values()) > MAX_FLOATS:
        raise InvalidModel("The file declares affines of no channels, or of more than the format allows.")
    blank = {name: np.zeros(count, np.float32) for name, count in counts.items()}
    return [IntegerAffine(name, zeros, zeros) for name, zeros in blank.items()]


def _code_shape(fields: Fields, layer: IntegerLayer, before: int) -> tuple[str, tuple[int, ...]]:
    """Name and shape. before: rows of the layer before, which this one reads, or so many times its positions."""
    name = fields.text("layer name", layer.name, MAX_TEXT_BYTES)
    is_conv = fields.bit("is convolution", int(layer.weight.ndim == 4))
    shape = [*layer.weight.shape, 1, 1][:4]
    columns = _code_columns(fields, shape[1], before)
    rows = fields.number("rows", shape[0], MAX_SIDE)
    if not is_conv:
        return name, (rows, columns)
    height = fields.guessed("kernel height", shape[2], 3, MAX_SIDE)
    return name, (rows, columns, height, fields.guessed("kernel width", shape[3], height, MAX_SIDE))


def _complete_shape(fields: Fields, layer: IntegerLayer, known: KnownLayer) -> tuple[str, tuple[int, ...]]:
    """Name and shape, of which the record leaves open how often a linear layer reads each channel."""
    columns = _code_columns(fields, layer.weight.shape[1], known.unit)
    return known.name, (known.rows, columns, *known.kernel)


def _code_columns(fields: Fields, columns: int, unit: int) -> int:
    fold = fields.guessed("fold", columns // unit if columns % unit == 0 else 0, 1, MAX_SIDE)
    return fold * unit if fold else fields.number("columns", columns, MAX_SIDE)


def _code_outline(
    fields: Fields, layer: IntegerLayer, previous: IntegerLayer, name: str, shape: tuple[int, ...]
) -> IntegerLayer:
    num_scales = shape[0] if fields.bit("scale per channel", int(len(layer.scale) > 1)) else 1
    return IntegerLayer(
        name=name,
        weight=np.zeros(shape, np.int8),
        scale=np.zeros(num_scales, np.float32),
        bias=np.zeros(shape[0], np.float32),
        bit_width=fields.guessed("bit width", layer.bit_width - 1, previous.bit_width - 1, 7) + 1,
        input_scale=1.0,
        input_zero_point=fields.signed("input zero point", layer.input_zero_point, 1 << 16),
        input_bit_width=fields.guessed("input bit width", layer.input_bit_width, previous.input_bit_width, 32),
        input_signed=bool(fields.bit("input signed", int(layer.input_signed))),
    )
