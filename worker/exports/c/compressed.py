"""A compressed network in C: the bytes of its file, and what its decoder works in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from storage.errors import InvalidModel
from worker.coding.kernel import MAX_BLOCK, NUM_NODES
from worker.coding.tables import LOGIT, LOGIT_LIMIT
from worker.coding.weights import SMALL_KERNEL
from worker.coding.weights_in_file import CodedLayer, locate_weights
from worker.exports.c.constants import write_bytes

_LOGISTIC_HALVES = (max(LOGIT) + 1) + (LOGIT_LIMIT + 1)
"""The tables of the decoder: half of the logits' steps, and half of the probabilities."""
_BLOCK_HALVES = 4 * MAX_BLOCK


@dataclass(frozen=True)
class Workspace:
    """How many there are of each array of `struct network_workspace`: at least one, as C wants it."""

    words: int
    halves: int
    bytes: int

    @property
    def num_bytes(self) -> int:
        """Of all three."""
        return 4 * self.words + 2 * self.halves + self.bytes


@dataclass(frozen=True)
class CompressedSource:
    """constants: the file and its layers in C. offsets: of each layer's packed weights, in bytes; packed_bytes: of all.

    file_bytes: of the file.
    """

    constants: str
    offsets: tuple[int, ...]
    packed_bytes: int
    file_bytes: int
    workspace: Workspace


def write_compressed(data: bytes) -> CompressedSource:
    """data: the bytes of a `.tonok` file. Raises InvalidModel."""
    located = locate_weights(data)
    layers = located.layers
    if not layers:
        raise InvalidModel("a network without weights has nothing that could be decoded", field="form")
    rows = "".join(f"    {_write_layer(layer)},\n" for layer in layers)
    state = ", ".join(f"{value:#x}u" for value in (located.next, located.lower, located.range, located.point))
    constants = f"""
/* The whole of the .tonok file, and where its weights begin: worker/coding of Tonok has the format's description. */
{write_bytes("file_bytes", np.frombuffer(data, np.uint8))}\
static const struct tonok_file file = {{file_bytes, sizeof file_bytes, {state}, {located.decisions_left}}};
static const struct tonok_coded_layer coded_layers[{len(layers)}] = {{
{rows}}};
"""
    sizes = [_count_packed(layer) for layer in layers]
    offsets = np.cumsum([0, *sizes]).tolist()
    return CompressedSource(constants, tuple(offsets[:-1]), offsets[-1], len(data), measure_workspace(layers))


def _write_layer(layer: CodedLayer) -> str:
    numbers = (*layer.shape, layer.natural.positions, layer.natural.stride, layer.bit_width)
    return f"{{{', '.join(map(str, numbers))}, {{{', '.join(map(str, layer.num_contexts))}}}}}"


def _count_packed(layer: CodedLayer) -> int:
    rows, columns = layer.shape
    return -(-rows * columns * layer.bit_width // 8)


def measure_workspace(layers: tuple[CodedLayer, ...]) -> Workspace:
    """What sources/decoder.c and the coder's kernel take for the layer that needs most of each."""
    return Workspace(
        words=max(map(_count_words, layers)),
        halves=_LOGISTIC_HALVES + _BLOCK_HALVES * any(layer.walked.in_blocks for layer in layers),
        bytes=max(1, *map(_count_bytes, layers)),
    )


def _count_words(layer: CodedLayer) -> int:
    rows, columns = layer.shape
    live = rows + columns
    if layer.walked.in_blocks:
        return live + 2 * NUM_NODES
    positions, stride = layer.walked.positions, layer.walked.stride
    areas = (SMALL_KERNEL + 1) * SMALL_KERNEL if positions <= SMALL_KERNEL else rows * -(-positions // stride)
    contexts = sum(2 * (count + count // 4 + 2) for count in layer.num_contexts)
    return live + 2 * (rows + columns) + positions + areas + rows * stride + contexts


def _count_bytes(layer: CodedLayer) -> int:
    rows, columns = layer.shape
    flags = rows + columns if layer.walked.masked else 0
    if layer.walked.in_blocks:
        return flags + 3 * MAX_BLOCK
    positions = layer.walked.positions
    return flags + (rows * (columns // positions) if positions <= SMALL_KERNEL else 1)
