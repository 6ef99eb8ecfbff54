"""The record of a network inside a file of version 2, as far as a reader of files has to know it.

What is read is data, and its shape is all that is looked at: whether the record is one of a network is for those to
say who build it.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from typing import Any, NamedTuple

from .bits import InvalidModel, require

MAX_RECORD_BYTES = 1 << 20
MAX_CHANNELS = 1 << 48
PICTURE = -1


class Layer(NamedTuple):
    """A convolution or linear layer. unit: its columns, but for the positions of a flattened picture."""

    name: str
    rows: int
    kernel: tuple[int, ...]
    unit: int


class Affine(NamedTuple):
    """A channel affine, or a batch norm that no convolution has taken in."""

    name: str
    unit: int


def unpack_record(packed: bytes) -> dict[str, Any]:
    """The record as its JSON has it, from the deflated columns of its nodes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        text = inflater.decompress(packed, MAX_RECORD_BYTES + 1)
        require(len(text) <= MAX_RECORD_BYTES and inflater.eof, "a record that is too long, or cut")
        require(not inflater.unused_data, "something behind the record")
        shape, output, operations, sources, attributes, names = json.loads(text.decode(), object_pairs_hook=_pair)
        nodes = [
            [operation, [place - distance for distance in distances], attribute, name]
            for place, (operation, distances, attribute, name) in enumerate(
                zip(operations, sources, attributes, names, strict=True)
            )
        ]
    except InvalidModel:
        raise
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        raise InvalidModel("a record that cannot be read") from error
    return {"input": shape, "nodes": nodes, "output": output}


def _pair(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    require(len(read) == len(pairs), "a key twice in one object")
    return read


def list_parts(record: dict[str, Any]) -> tuple[list[Layer], list[Affine]]:
    """What the record says of layers and affines, in the order of its nodes."""
    try:
        return _list_parts(record)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise InvalidModel("a record that is none of a network") from error


def _list_parts(record: dict[str, Any]) -> tuple[list[Layer], list[Affine]]:
    nodes = record["nodes"]
    readers = Counter(source for _, inputs, _, _ in nodes for source in inputs)
    readers[record["output"]] += 1
    channels = {PICTURE: _whole(record["input"][0])}
    layers, affines = [], []
    for place, (operation, inputs, attributes, name) in enumerate(nodes):
        given = channels[place] = channels[inputs[0]]
        if operation == "convolution":
            height, width = attributes["kernel"]
            given //= _whole(attributes.get("groups", 1))
            channels[place] = _whole(attributes["out_channels"])
            layers.append(Layer(name, channels[place], (_whole(height), _whole(width)), given))
        elif operation == "linear":
            channels[place] = _whole(attributes["out_features"])
            layers.append(Layer(name, channels[place], (), given))
        elif operation == "concatenate":
            channels[place] = sum(channels[source] for source in inputs)
            require(channels[place] <= MAX_CHANNELS, "more channels than a network has")
        elif operation == "channel_affine":
            affines.append(Affine(name, given))
        elif operation == "batch_norm":
            source = inputs[0]
            is_folded = source != PICTURE and readers[source] == 1 and nodes[source][0] == "convolution"
            if not is_folded:
                affines.append(Affine(name, given))
    return layers, affines


def _whole(value: Any) -> int:
    require(type(value) is int and 1 <= value <= 1 << 20, "a size in the record out of range")
    return int(value)
