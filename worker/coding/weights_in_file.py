"""Where the weights lie in a compressed file, and what reading them takes: what a decoder on a device is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.container import BLANK, bound_weights, code_head, code_layers, unpack_body
from worker.coding.fields import Fields
from worker.coding.kernel import KernelReader, load_kernel
from worker.coding.reader import Bits
from worker.coding.reader import InvalidModel as NotReadable
from worker.coding.weights import Scan, WeightModels


@dataclass(frozen=True)
class CodedLayer:
    """One layer. num_contexts: of its magnitudes, by row, column and density; of none in a layer in blocks.

    walked, natural: as it is read, and as a reader would guess. shape: (rows, columns) of its weights.
    """

    shape: tuple[int, int]
    bit_width: int
    walked: Scan
    natural: Scan
    num_contexts: tuple[int, int, int]


@dataclass(frozen=True)
class WeightsInFile:
    """Where the weights of a file begin: the state of its range decoder there, as docs/format.md names it.

    next: of the bytes behind the file's head, the first that the decoder has not taken. layers: in their order.
    """

    next: int
    lower: int
    range: int
    point: int
    decisions_left: int
    layers: tuple[CodedLayer, ...]


class _PlainReader:
    """A reader in Python, whose state can be looked at, as that of the kernel's."""

    def __init__(self, body: bytes) -> None:
        self.bits = Bits(body)

    def get_state(self) -> tuple[int, int, int, int, int]:
        return self.bits.get_state()

    def transcode(self, probability: int, bit: int) -> int:  # noqa: ARG002 - a reader ignores what it is handed
        return self.bits.read(probability)

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.array([self.bits.read_of_block(probability) for _ in range(len(bits))], np.int32)


def locate_weights(data: bytes) -> WeightsInFile:
    """data: of a whole file. Reads all of it: without the kernel, minutes for the largest. Raises InvalidModel."""
    body, library = unpack_body(data), load_kernel()
    reader = _PlainReader(body) if library is None else KernelReader(library, body)
    fields, models = Fields(reader), WeightModels()
    try:
        head = code_head(fields, BLANK, bound_weights(data), version=data[2])
        state = reader.get_state()
        layers = [
            CodedLayer(
                shape=(len(layer.weight), layer.weight[0].size),
                bit_width=layer.bit_width,
                walked=walked,
                natural=natural,
                num_contexts=(0, 0, 0) if walked.in_blocks else _count_contexts(models),
            )
            for layer, walked, natural in code_layers(fields, models, head.layers, ())
        ]
    except NotReadable as error:
        raise InvalidModel(f"The file cannot be read: {error}.") from error
    return WeightsInFile(*state, tuple(layers))


def _count_contexts(models: WeightModels) -> tuple[int, int, int]:
    _, by_row, by_column, by_density = models.magnitude.count_contexts()
    return by_row, by_column, by_density
