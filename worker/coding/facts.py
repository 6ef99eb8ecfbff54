"""What stands before the layers of a file: the network, its classes, and how a picture enters it."""

from __future__ import annotations

from typing import TypeVar

from storage.errors import InvalidModel
from worker.catalog import Background, ResizeMode
from worker.coding.fields import Fields
from worker.coding.limits import (
    ARCHITECTURES,
    BACKGROUNDS,
    MAX_CLASSES,
    MAX_LAYERS,
    MAX_PACKED_BYTES,
    MAX_SIDE,
    MAX_TEXT_BYTES,
    RESIZE_MODES,
)
from worker.coding.record import pack_record, unpack_record
from worker.integer_network import IntegerNetwork
from worker.normalization import merge_channels
from worker.picture_policy import LARGEST_SIDE, ResizePolicy

_T = TypeVar("_T")


def needs_version_2(network: IntegerNetwork) -> bool:
    """Whether it holds what version 1 has no place for."""
    by_channel = any(len(merge_channels(values)) > 1 for values in (network.mean, network.std))
    return by_channel or network.network is not None or bool(network.affines) or network.resize is not None


def code_facts(fields: Fields, network: IntegerNetwork, version: int) -> IntegerNetwork:
    """The facts that are in the file, without layers. network: of a writer; a reader's is blank."""
    record, packed = network.network, b""
    widths: tuple[int, ...] = ()
    if version > 1 and fields.bit("holds a record", int(record is not None)):
        architecture = fields.text("architecture", network.architecture, MAX_TEXT_BYTES)
        packed = b"" if record is None else pack_record(record)
        packed = fields.octets("record bytes", packed, MAX_PACKED_BYTES)
        record = unpack_record(packed)
        input_shape = record.input_shape
    else:
        record = None
        architecture, widths, input_shape = _code_architecture(fields, network)
    num_classes = fields.number("number of classes", len(network.class_names), MAX_CLASSES)
    class_names = tuple(
        fields.text("class name", get_or(network.class_names, i, ""), MAX_TEXT_BYTES) for i in range(num_classes)
    )
    normalization = []
    for name, values in (("mean", network.mean), ("std", network.std)):
        by_channel = version > 1 and fields.bit(f"{name} by channel", int(len(values) > 1))
        count = input_shape[0] if by_channel else 1
        if count < 1:
            raise InvalidModel(f"The file has a {name} for each channel of none.", field=name)
        normalization.append(tuple(fields.decimal(name, get_or(values, i, 0.0)) for i in range(count)))
    mean, std = normalization
    resize = _code_resize(fields, network.resize) if version > 1 else None
    return IntegerNetwork(
        architecture, widths, input_shape, class_names, mean, std, layers=(), network=record, resize=resize
    )


def _code_architecture(fields: Fields, network: IntegerNetwork) -> tuple[str, tuple[int, ...], tuple[int, int, int]]:
    known = ARCHITECTURES.index(network.architecture) + 1 if network.architecture in ARCHITECTURES else 0
    known = fields.number("architecture id", known, len(ARCHITECTURES))
    architecture = (
        ARCHITECTURES[known - 1] if known else fields.text("architecture", network.architecture, MAX_TEXT_BYTES)
    )
    num_widths = fields.number("number of widths", len(network.widths), MAX_LAYERS)
    widths = tuple(fields.number("width", get_or(network.widths, i, 0), MAX_SIDE) for i in range(num_widths))
    channels, height, width = network.input_shape
    channels = fields.number("input channels", channels, MAX_SIDE)
    height = fields.number("input height", height, MAX_SIDE)
    width = fields.guessed("input width", width, height, MAX_SIDE)
    return architecture, widths, (channels, height, width)


def _code_resize(fields: Fields, policy: ResizePolicy | None) -> ResizePolicy | None:
    if not fields.bit("resize", int(policy is not None)):
        return None
    given = policy or ResizePolicy(height=1, width=1)
    height = fields.number("resize height", given.height - 1, LARGEST_SIDE - 1) + 1
    width = fields.guessed("resize width", given.width - 1, height - 1, LARGEST_SIDE - 1) + 1
    mode = fields.number("resize mode", RESIZE_MODES.index(given.mode), len(RESIZE_MODES) - 1)
    background = fields.number("resize background", BACKGROUNDS.index(given.background), len(BACKGROUNDS) - 1)
    return ResizePolicy(
        height=height,
        width=width,
        mode=ResizeMode(RESIZE_MODES[mode]),
        background=Background(BACKGROUNDS[background]),
    )


def get_or(values: tuple[_T, ...], index: int, blank: _T) -> _T:
    """The item, or what a reader hands in for one."""
    return values[index] if index < len(values) else blank
