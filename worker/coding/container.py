"""The compressed file: one network, whole, in one stream of binary decisions behind a seven-byte head.

docs/format.md describes every byte; the folder reader reads it with nothing but NumPy. Of its two versions the
second is written only where the first has no place for what a network holds.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.facts import code_facts, get_or, needs_version_2
from worker.coding.fields import Fields, fits_float32
from worker.coding.float_blocks import code_float_blocks
from worker.coding.kernel import OUTSIDE_OF_BITS, open_reader, open_writer
from worker.coding.limits import FREE_WEIGHTS, MAX_FLOATS, MAX_LAYERS, MAX_WEIGHTS, WEIGHTS_PER_BYTE
from worker.coding.outlines import code_outlines
from worker.coding.ranges import MAX_DECISIONS
from worker.coding.record import list_known
from worker.coding.scan import choose_scans, compute_natural_scan
from worker.coding.weights import Scan, WeightModels, code_weights
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.model_heads import TONOK_HEAD_BYTES, TONOK_MAGIC, TONOK_MAGIC_2, check_tonok_frame

BLANK = IntegerNetwork(
    architecture="", widths=(), input_shape=(1, 1, 1), class_names=(), mean=(0.0,), std=(1.0,), layers=()
)
"""What a reader hands in."""


def encode_network(network: IntegerNetwork) -> bytes:
    """The bytes of a `.tonok` file. Raises InvalidModel for a network outside the format's limits."""
    _check_network(network)
    writer = open_writer()
    num_weights = sum(layer.weight.size for layer in network.layers)
    if num_weights > MAX_WEIGHTS:
        raise InvalidModel(f"A compressed file holds at most {MAX_WEIGHTS} weights.", field="layers")
    version = 2 if needs_version_2(network) else 1
    fields = Fields(writer)
    head = code_head(fields, network, num_weights, version)
    scans = choose_scans(network, writer.decisions_left)
    for _ in code_layers(fields, WeightModels(), head.layers, scans):
        continue
    body = writer.finish()
    # A network of hardly anything but zeros may need fewer bytes than its size must have: a reader takes zeros at the
    # end for nothing.
    smallest = -(-(num_weights - FREE_WEIGHTS) // WEIGHTS_PER_BYTE) - TONOK_HEAD_BYTES
    body = body.ljust(smallest, b"\0")
    return (TONOK_MAGIC if version == 1 else TONOK_MAGIC_2) + zlib.crc32(body).to_bytes(4, "big") + body


def decode_network(data: bytes) -> IntegerNetwork:
    """The network of a `.tonok` file. Raises InvalidModel for anything else."""
    body = unpack_body(data)
    return _code_network(Fields(open_reader(body)), BLANK, (), bound_weights(data), version=data[2])


def unpack_body(data: bytes) -> bytes:
    """What lies behind a file's head. Raises InvalidModel where that is no head, or not of these bytes."""
    check_tonok_frame(data, len(data))
    body = data[TONOK_HEAD_BYTES:]
    if zlib.crc32(body) != int.from_bytes(data[3:TONOK_HEAD_BYTES], "big"):
        raise InvalidModel("The file is damaged: its checksum does not match.")
    return body


def bound_weights(data: bytes) -> int:
    """How many weights a file of these bytes may hold."""
    return min(MAX_WEIGHTS, FREE_WEIGHTS + WEIGHTS_PER_BYTE * len(data))


def _code_network(
    fields: Fields, network: IntegerNetwork, scans: tuple[Scan, ...], max_weights: int, version: int
) -> IntegerNetwork:
    unweighted = code_head(fields, network, max_weights, version)
    layers = tuple(layer for layer, _, _ in code_layers(fields, WeightModels(), unweighted.layers, scans))
    return replace(unweighted, layers=layers)


def code_head(fields: Fields, network: IntegerNetwork, max_weights: int, version: int) -> IntegerNetwork:
    """All that lies before the weights. A reader's layers have weights of the right shapes, and no more."""
    facts = code_facts(fields, network, version)
    outlines, affines = code_outlines(fields, network, facts.network, max_weights)
    # A writer's arrays take the place of the blank ones of the outlines.
    layers = [
        replace(outline, weight=source.weight, scale=source.scale, bias=source.bias, input_scale=source.input_scale)
        for outline, source in zip(outlines, network.layers or outlines, strict=True)
    ]
    affines = list(network.affines) or affines
    input_scales = np.array([layer.input_scale for layer in layers], np.float64)
    input_scales = fields.floats("input scale", input_scales)
    layers = [replace(layer, input_scale=float(scale)) for layer, scale in zip(layers, input_scales, strict=True)]
    if version == 1:
        layers = [replace(layer, scale=_code_array(fields, "scale", layer.scale)) for layer in layers]
        layers = [replace(layer, bias=_code_array(fields, "bias", layer.bias)) for layer in layers]
    else:
        layers, affines = _code_float_blocks(fields, layers, affines)
    return replace(facts, layers=tuple(layers), affines=tuple(affines))


def code_layers(
    fields: Fields, models: WeightModels, layers: Sequence[IntegerLayer], scans: tuple[Scan, ...]
) -> Iterator[tuple[IntegerLayer, Scan, Scan]]:
    """Codes the weights of one layer after the other. scans: a writer's.

    Gives each layer as it is in the file, how it is walked, and how one would have guessed that.
    """
    previous = None
    for index, layer in enumerate(layers):
        natural = compute_natural_scan(layer.weight, previous)
        scan = _code_scan(fields, get_or(scans, index, natural), natural)
        if layer.weight[0].size % scan.positions or scan.stride > scan.positions:
            raise InvalidModel("The file walks the weights of a layer in a way that does not fit its shape.")
        if not scan.in_blocks and layer.weight.size > MAX_DECISIONS:
            raise InvalidModel("The file codes more weights one by one than the format allows.")
        flat = layer.weight.reshape(len(layer.weight), -1)
        read = code_weights(fields, models, flat, layer.bit_width, scan)
        previous = layer.weight
        yield replace(layer, weight=read.reshape(layer.weight.shape)), scan, natural


def _code_float_blocks(
    fields: Fields, layers: list[IntegerLayer], affines: list[IntegerAffine]
) -> tuple[list[IntegerLayer], list[IntegerAffine]]:
    num_floats = sum(layer.scale.size + layer.bias.size for layer in layers)
    if num_floats + sum(2 * affine.gain.size for affine in affines) > MAX_FLOATS:
        raise InvalidModel(f"A compressed file holds at most {MAX_FLOATS} scales, biases, gains and shifts.")
    scales = code_float_blocks(fields, "scale", [layer.scale for layer in layers])
    biases = code_float_blocks(fields, "bias", [layer.bias for layer in layers])
    gains = code_float_blocks(fields, "gain", [affine.gain for affine in affines])
    shifts = code_float_blocks(fields, "shift", [affine.shift for affine in affines])
    return (
        [replace(layer, scale=s, bias=b) for layer, s, b in zip(layers, scales, biases, strict=True)],
        [replace(affine, gain=g, shift=s) for affine, g, s in zip(affines, gains, shifts, strict=True)],
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


def _check_network(network: IntegerNetwork) -> None:
    """Raises InvalidModel where the arrays do not fit together, naming the layer."""
    if len(network.layers) > MAX_LAYERS:
        raise InvalidModel(f"A compressed file holds at most {MAX_LAYERS} layers.", field="layers")
    if len(network.input_shape) != 3:
        raise InvalidModel("input_shape must be (channels, height, width).", field="input_shape")
    for name, numbers in (("mean", network.mean), ("std", network.std)):
        if len(numbers) not in (1, network.input_shape[0]) or not all(map(math.isfinite, numbers)):
            raise InvalidModel(f"{name} must be finite, one number or one for each channel.", field=name)
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
        highest = (1 << layer.bit_width - 1) - 1
        if not -highest - 1 <= int(layer.weight.min()) <= int(layer.weight.max()) <= highest:
            raise InvalidModel(OUTSIDE_OF_BITS, field="weight")
    _check_record(network)


def _check_record(network: IntegerNetwork) -> None:
    """Holds layers and affines against what a reader takes from the network's record."""
    layers, affines = ([], {}) if network.network is None else list_known(network.network)
    if [affine.name for affine in network.affines] != list(affines):
        raise InvalidModel("The affines are not those of the network's record.", field="affines")
    for affine in network.affines:
        for values in (affine.gain, affine.shift):
            is_right = values.dtype == np.float32 and values.ndim == 1 and values.size and np.isfinite(values).all()
            if not is_right or affine.gain.size != affine.shift.size:
                raise InvalidModel(f"The affine {affine.name!r} does not fit the format.", field="affines")
    if network.network is not None:
        known = [(layer.name, layer.rows, layer.kernel) for layer in layers]
        if known != [(layer.name, len(layer.weight), layer.weight.shape[2:]) for layer in network.layers]:
            raise InvalidModel("The layers are not those of the network's record.", field="layers")
        if network.network.input_shape != network.input_shape or network.widths:
            raise InvalidModel("The network's record says what else is said of its input or widths.", field="network")
