"""A network's record as the bytes that a file of version 2 holds, and what the file need not say besides.

The bytes are the JSON of the record, column by column - all operations, all inputs as distances, all attributes, all
names - and deflated: 364 of them for a ResNet-20, where the text model takes 521 of the JSON as it is.
"""

from __future__ import annotations

import json
import zlib
from typing import Any, NamedTuple

from storage.errors import InvalidModel
from worker.network.layers import find_affines
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.elementwise import Concatenate
from worker.network.operations.layers import Convolution, Linear
from worker.network.record import MAX_JSON_BYTES, PICTURE, Network, parse_network

_COMPACT = (",", ":")


class KnownLayer(NamedTuple):
    """What the record says of a layer. unit: its columns, but for the positions of a flattened picture."""

    name: str
    rows: int
    kernel: tuple[int, ...]
    unit: int


def pack_record(network: Network) -> bytes:
    """Raises InvalidModel where the record is longer than a reader takes."""
    said = network.to_json()
    operations, inputs, attributes, names = zip(*said["nodes"], strict=True)
    distances = [[place - index for index in indices] for place, indices in enumerate(inputs)]
    columns = [said["input"], said["output"], operations, distances, attributes, names]
    text = json.dumps(columns, separators=_COMPACT).encode()
    if len(text) > MAX_JSON_BYTES:
        raise InvalidModel(f"The network's record is longer than {MAX_JSON_BYTES} bytes.", field="network")
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(text) + deflater.flush()


def unpack_record(packed: bytes) -> Network:
    """Takes no more memory than a record may have, whatever the bytes inflate to. Raises InvalidModel."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        text = inflater.decompress(packed, MAX_JSON_BYTES + 1)
        if len(text) > MAX_JSON_BYTES or not inflater.eof or inflater.unused_data:
            raise InvalidModel("The network's record in the file is too long, or cut.", field="network")
        columns = json.loads(text.decode(), object_pairs_hook=_refuse_twins)
        return parse_network(json.dumps(_join(columns), separators=_COMPACT))
    except (zlib.error, ValueError, TypeError, RecursionError) as error:
        reason = str(error) if isinstance(error, InvalidNetwork) else "it cannot be read"
        raise InvalidModel(f"The network's record in the file is not valid: {reason}", field="network") from error


def _join(columns: Any) -> dict[str, Any]:
    shape, output, operations, distances, attributes, names = columns
    rows = zip(operations, distances, attributes, names, strict=True)
    nodes = [
        [operation, [place - distance for distance in apart], said, name]
        for place, (operation, apart, said, name) in enumerate(rows)
    ]
    return {"input": shape, "nodes": nodes, "output": output}


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key comes twice in one object")
    return read


def list_known(network: Network) -> tuple[list[KnownLayer], dict[str, int]]:
    """The convolutions and linear layers, and name → unit of each affine, both in the order of the nodes.

    Units follow from the channels alone, as a reader finds them without the size of any picture.
    """
    affines = find_affines(network)
    channels = {PICTURE: network.input_shape[0]}
    layers, units = [], {}
    for place, node in enumerate(network.nodes):
        operation, given = node.operation, channels[node.inputs[0]]
        channels[place] = given
        if isinstance(operation, Convolution):
            channels[place] = operation.out_channels
            layers.append(KnownLayer(node.name, operation.out_channels, operation.kernel, given // operation.groups))
        elif isinstance(operation, Linear):
            channels[place] = operation.out_features
            layers.append(KnownLayer(node.name, operation.out_features, (), given))
        elif isinstance(operation, Concatenate):
            channels[place] = sum(channels[index] for index in node.inputs)
        elif node.name in affines:
            units[node.name] = given
    return layers, units
