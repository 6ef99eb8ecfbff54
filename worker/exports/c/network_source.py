"""network.h and network.c: the sizes, the constants and the calls of one network."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from storage.errors import InvalidModel
from worker.checkpoint_facts import describe_facts
from worker.exports.c.calls import WRITERS, LayerPlace, Place, is_wide
from worker.exports.c.compressed import CompressedSource, write_compressed
from worker.exports.c.constants import pack_weights, write_bytes, write_floats, write_text
from worker.exports.c.memory import Memory, plan_memory
from worker.integer_network import IntegerLayer, IntegerNetwork
from worker.network.layers import count_outputs, is_layer
from worker.network.operations import NAMES
from worker.network.operations.layers import Convolution
from worker.network.record import PICTURE, Network

LARGEST_SUM = 2**31 - 1
MAX_INPUT_BITS = 16
MAX_MEMORY_BYTES = 1 << 30
"""More than a processor without an operating system has by far, and less than a compiler refuses."""
_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Buffers:
    """How many values each array of `struct network_memory` has: at least one, as C wants it."""

    values: int
    sums: int
    bytes: int
    filter: int

    @property
    def num_bytes(self) -> int:
        """Of the whole structure, without what a compiler may put between its parts."""
        return _FLOAT_BYTES * (self.values + self.sums) + self.bytes + self.filter


@dataclass(frozen=True)
class NetworkSource:
    """header, body: the two files. weight_bytes, float_bytes: of weights, and of scales, biases and affines, in flash.

    compressed: its file, where that is what flash holds of the weights.
    """

    header: str
    body: str
    buffers: Buffers
    weight_bytes: int
    float_bytes: int
    compressed: CompressedSource | None

    @property
    def constant_bytes(self) -> int:
        """Of all that flash holds but the code."""
        return self.weight_bytes + self.float_bytes

    @property
    def ram_bytes(self) -> int:
        """Of `struct network_memory`, without what a compiler may put between its parts."""
        if self.compressed is None:
            return self.buffers.num_bytes
        return self.compressed.packed_bytes + max(self.buffers.num_bytes, self.compressed.workspace.num_bytes)


def write_network(network: IntegerNetwork, file: bytes | None = None) -> NetworkSource:
    """The C of a network. file: its `.tonok` file, where the weights are to be decoded out of it.

    Raises InvalidModel where a sum may need more than 32 bits, or all of it too much memory.
    """
    record = describe_facts(network)
    compressed = None if file is None else write_compressed(file)
    memory = plan_memory(record)
    layers = dict(zip(count_outputs(record), network.layers, strict=True))
    for layer in network.layers:
        _check_layer(layer)
    buffers = _measure_buffers(record, memory, layers)
    if buffers.num_bytes > MAX_MEMORY_BYTES:
        raise InvalidModel(
            f"the network computes in {buffers.num_bytes} bytes, of which C takes at most {MAX_MEMORY_BYTES}"
        )
    arrays, weight_bytes, float_bytes = _write_arrays(network, record, layers, has_weights=compressed is None)
    if compressed is not None:
        weight_bytes = compressed.file_bytes
    return NetworkSource(
        header=_write_header(record, buffers, compressed),
        body=_write_body(network, record, memory, layers, arrays, compressed),
        buffers=buffers,
        weight_bytes=weight_bytes,
        float_bytes=float_bytes,
        compressed=compressed,
    )


def _check_layer(layer: IntegerLayer) -> None:
    if layer.input_bit_width > MAX_INPUT_BITS:
        raise InvalidModel(
            f"layer {layer.name} reads numbers of {layer.input_bit_width} bits: C takes {MAX_INPUT_BITS}"
        )
    largest = int(np.abs(layer.weight.astype(np.int64)).reshape(len(layer.weight), -1).sum(1).max())
    if largest * max(map(abs, layer.input_range)) > LARGEST_SUM:
        raise InvalidModel(f"layer {layer.name} adds up more than 32 bits hold: C cannot compute it")


def _measure_buffers(record: Network, memory: Memory, layers: dict[str, IntegerLayer]) -> Buffers:
    values, sums, read, filters = memory.num_values, 1, 1, 1
    for node, shape in zip(record.nodes, record.shapes, strict=True):
        if is_layer(node):
            read = max(read, math.prod(record.list_inputs(node)[0]) * (1 + is_wide(layers[node.name])))
        if isinstance(node.operation, Convolution):
            sums = max(sums, shape[2])
            filters = max(filters, math.prod(record.tensors[f"{node.name}.weight"][1:]))
    return Buffers(values, sums, read, filters)


def _write_arrays(
    network: IntegerNetwork, record: Network, layers: dict[str, IntegerLayer], *, has_weights: bool
) -> tuple[str, int, int]:
    """The arrays of the network; the bytes of its weights and those of its floats."""
    affines = {affine.name: affine for affine in network.affines}
    written, weight_bytes, float_bytes = list[str](), 0, 0
    for number, node in enumerate(record.nodes):
        floats = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]()
        if node.name in layers:
            layer = layers[node.name]
            written.append(f"\n/* {node.name}: {layer.weight.size} weights of {layer.bit_width} bits */\n")
            if has_weights:
                packed = pack_weights(layer.weight, layer.bit_width)
                weight_bytes += packed.nbytes
                written.append(write_bytes(f"weights_{number}", packed))
            floats = {"multipliers": layer.scale * np.float32(layer.input_scale), "biases": layer.bias}
        elif node.name in affines:
            floats = {"gains": affines[node.name].gain, "shifts": affines[node.name].shift}
            written.append(f"\n/* {node.name} */\n")
        for name, values in floats.items():
            float_bytes += values.nbytes
            written.append(write_floats(f"{name}_{number}", values.tolist()))
    return "".join(written), weight_bytes, float_bytes


def _write_layers(
    record: Network, layers: dict[str, IntegerLayer], compressed: CompressedSource | None
) -> dict[int, str]:
    """A definition for each layer's number: of constants, or of what lies behind the decoded weights of one network."""
    numbers = {node.name: number for number, node in enumerate(record.nodes)}
    offsets = None if compressed is None else iter(compressed.offsets)
    written = dict[int, str]()
    for name, layer in layers.items():
        number, step = numbers[name], int(layer.scale.size > 1)
        weights = f"weights_{number}" if offsets is None else f"whole->weights + {next(offsets)}"
        values = f"{weights}, {layer.bit_width}, multipliers_{number}, {step}, biases_{number}"
        written[number] = f"const struct tonok_weights layer_{number} = {{{values}}};"
    return written


_PLAIN_MEMORY = """\
/* All that it writes to while it runs. It may lie anywhere, begins as anything, and means nothing afterwards. */
struct network_memory {{
{arrays}}};
"""
_COMPRESSED_MEMORY = """\
/* What it computes in, and what its weights are decoded in before. */
struct network_buffers {{
{arrays}}};
struct network_workspace {{
    uint32_t words[{workspace.words}];
    uint16_t halves[{workspace.halves}];
    uint8_t bytes[{workspace.bytes}];
}};

/* All that it writes to. It may lie anywhere and begins as anything. The weights are to stay as they are loaded. */
struct network_memory {{
    uint8_t weights[{packed_bytes}];
    union {{
        struct network_buffers run;
        struct network_workspace load;
    }} either;
}};

/* Decodes the weights, once, before the first picture. Returns 0, or less where the file's bytes are damaged. */
int network_load(struct network_memory *memory);
#define NETWORK_SET_UP network_load
"""


def _write_header(record: Network, buffers: Buffers, compressed: CompressedSource | None) -> str:
    channels, height, width = record.input_shape
    arrays = f"""\
    float values[{buffers.values}];
    int32_t sums[{buffers.sums}];
    uint8_t bytes[{buffers.bytes}];
    int8_t filter[{buffers.filter}];
"""
    if compressed is None:
        memory = _PLAIN_MEMORY.format(arrays=arrays)
    else:
        memory = _COMPRESSED_MEMORY.format(
            arrays=arrays, workspace=compressed.workspace, packed_bytes=compressed.packed_bytes
        )
    return f"""\
/* Written by Tonok. One network: what it reads, what it needs, what it answers. */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

#define NETWORK_CHANNELS {channels}
#define NETWORK_HEIGHT {height}
#define NETWORK_WIDTH {width}
#define NETWORK_PICTURE_BYTES {math.prod(record.input_shape)}
#define NETWORK_CLASSES {record.num_classes}

{memory}
extern const char *const network_class_names[NETWORK_CLASSES];

/* picture: pixels of 0 to 255, channel by channel, row by row. logits: the largest is that of the class. */
void network_run(const uint8_t picture[NETWORK_PICTURE_BYTES], struct network_memory *memory,
                 float logits[NETWORK_CLASSES]);

#endif
"""


def _write_body(
    network: IntegerNetwork,
    record: Network,
    memory: Memory,
    layers: dict[str, IntegerLayer],
    arrays: str,
    compressed: CompressedSource | None,
) -> str:
    names = "".join(f"    {write_text(name)},\n" for name in network.class_names)
    output = memory.offsets[memory.sources[record.output]]
    picture = ""
    if PICTURE in memory.offsets:
        address = f"memory->values + {memory.offsets[PICTURE]}"
        picture = f"    tonok_read_picture(picture, picture_size, &normalization, {address});\n"
    defined = _write_layers(record, layers, compressed)
    decoder, parameter, first = "", "memory", ""
    if compressed is None:
        arrays += "\n" + "".join(f"static {each}\n" for each in defined.values())
        defined = {}
    else:
        arrays += compressed.constants
        decoder, parameter = '#include "decoder.h"\n', "whole"
        first = "    struct network_buffers *memory = &whole->either.run;\n"
    calls = "".join(_write_calls(record, memory, layers, defined))
    return f"""\
/* Written by Tonok. The integers of one network, and how it computes. */
#include "network.h"

#include <string.h>

{decoder}#include "kernels.h"

const char *const network_class_names[NETWORK_CLASSES] = {{
{names}}};
{arrays}
/* How a picture enters. */
{write_floats("picture_mean", network.mean)}\
{write_floats("picture_std", network.std)}\
static const struct tonok_normalization normalization = \
{{picture_mean, picture_std, {int(len(network.mean) > 1)}, {int(len(network.std) > 1)}}};
static const struct tonok_size picture_size = {{NETWORK_CHANNELS, NETWORK_HEIGHT, NETWORK_WIDTH}};
{_LOADING if compressed else ""}
void network_run(const uint8_t picture[NETWORK_PICTURE_BYTES], struct network_memory *{parameter},
                 float logits[NETWORK_CLASSES]) {{
{first}{picture}{calls}\
    memcpy(logits, memory->values + {output}, NETWORK_CLASSES * sizeof(float));
}}
"""


_LOADING = """
int network_load(struct network_memory *memory) {
    struct network_workspace *load = &memory->either.load;
    struct tonok_workspace workspace = {load->words,
                                        load->halves,
                                        load->bytes,
                                        sizeof load->words / sizeof *load->words,
                                        sizeof load->halves / sizeof *load->halves,
                                        sizeof load->bytes};
    return tonok_decode(&file, coded_layers, sizeof coded_layers / sizeof *coded_layers, &workspace, memory->weights);
}
"""


def _write_calls(
    record: Network, memory: Memory, layers: dict[str, IntegerLayer], defined: dict[int, str]
) -> list[str]:
    """A block for each node: what it is handed takes the stack only while it computes. defined: what begins a block."""
    written = list[str]()
    for number, node in enumerate(record.nodes):
        if memory.sources[number] != number:
            continue
        sources = [memory.sources[index] for index in node.inputs]
        place = Place(
            number=number,
            operation=node.operation,
            inputs=record.list_inputs(node),
            # A layer that reads pixels has no values to read.
            x=tuple(f"memory->values + {memory.offsets.get(source, 0)}" for source in sources),
            shape=record.shapes[number],
            y=f"memory->values + {memory.offsets[number]}",
        )
        if node.name in layers:
            place = LayerPlace(**vars(place), layer=layers[node.name], reads_picture=sources[0] == PICTURE)
        written.append(f"    /* {node.name}: {NAMES[type(node.operation)]} */\n")
        calls = WRITERS[type(node.operation)](place)
        lines = [defined[number], *calls] if number in defined else calls
        written += ["    {\n", *(f"        {line}\n" for line in lines), "    }\n"]
    return written
