"""The integers of one layer.

A weight is read as a three-dimensional index (out, channel, position): a 3x3 kernel has nine positions; the columns of
a linear layer behind a flattened picture are channels times positions too. It is written as decisions: is it zero,
its sign, and its magnitude in Exp-Golomb order (how many bits, then the bits). Rows and columns without any weight
may be masked out beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.fields import Fields
from worker.coding.kernel import MAX_BLOCK, OUTSIDE_OF_BITS, code_layer, open_blocks
from worker.coding.mixing import MixedBit
from worker.coding.ranges import BitCoder

SMALL_KERNEL = 16
"""Channels of at most so many positions are kernels, larger ones flattened pictures."""


@dataclass(frozen=True)
class Scan:
    """How a layer is walked, chosen by the writer by real size.

    positions: columns of one channel; divides the number of columns. stride: columns of one picture row among them.
    by_column: out is the fastest index. masked: empty rows and columns are announced and skipped.
    in_blocks: many weights at once, without neighbours; for layers too large to be coded one decision at a time.
    """

    positions: int = 1
    stride: int = 1
    by_column: bool = False
    masked: bool = False
    in_blocks: bool = False


class WeightModels:
    """What is learnt about weights while a file is coded."""

    def __init__(self) -> None:
        self.nonzero = MixedBit(num_inputs=6, num_weight_sets=11)
        self.negative = MixedBit(num_inputs=3, num_weight_sets=2)
        self.magnitude = MixedBit(num_inputs=4, num_weight_sets=8)

    def forget_contexts(self) -> None:
        for model in (self.nonzero, self.negative, self.magnitude):
            model.forget_contexts()


def code_weights(
    fields: Fields, models: WeightModels, weight: NDArray[np.int8], bit_width: int, scan: Scan
) -> NDArray[np.int8]:
    """weight: (out, columns), of which a reader uses only the shape. Returns what is in the file, same shape."""
    num_rows, num_columns = weight.shape
    # Ranges, not lists: a layer in blocks may have far more columns than decisions.
    rows: Sequence[int] = range(num_rows)
    columns: Sequence[int] = range(num_columns)
    if scan.masked:
        rows = _code_mask(fields, "row", (weight != 0).any(axis=1).astype(int).tolist(), 1)
        columns = _code_mask(fields, "column", (weight != 0).any(axis=0).astype(int).tolist(), scan.positions)
    if scan.in_blocks:
        live = weight[np.ix_(rows, columns)] if scan.masked else weight
        ordered = live.T if scan.by_column else live
        values = code_blocks(fields.coder, ordered.reshape(-1), bit_width).reshape(ordered.shape)
    else:
        values = _code_each(fields.coder, models, weight, (rows, columns), bit_width, scan)
    if not scan.in_blocks:
        return values
    read = values.T if scan.by_column else values
    if not scan.masked:
        return np.ascontiguousarray(read)
    whole = np.zeros_like(weight)
    whole[np.ix_(rows, columns)] = read
    return whole


def _code_mask(fields: Fields, kind: str, alive: list[int], period: int) -> list[int]:
    """The indices that are alive. Guessed from the one before and the one a period before."""
    read: list[int] = []
    for index, flag in enumerate(alive):
        near = read[index - 1] if index else 2
        far = read[index - period] if index >= period else 2
        read.append(fields.bit((kind, near, far), flag))
    return [index for index, flag in enumerate(read) if flag]


def _code_each(
    coder: BitCoder,
    models: WeightModels,
    weight: NDArray[np.int8],
    live: tuple[Sequence[int], Sequence[int]],
    bit_width: int,
    scan: Scan,
) -> NDArray[np.int8]:
    """In C where that is built, else in Python. live: the rows and columns that are walked."""
    models.forget_contexts()
    walk = (scan.positions, scan.stride, scan.by_column)
    read = code_layer(coder, (models.nonzero, models.negative, models.magnitude), weight, live, walk, bit_width)
    if read is None:
        read = np.array(_code_mixed(coder, models, weight.tolist(), *live, bit_width, scan), np.int8)
    return read


def _code_mixed(
    coder: BitCoder,
    models: WeightModels,
    weight: list[list[int]],
    rows: Sequence[int],
    columns: Sequence[int],
    bit_width: int,
    scan: Scan,
) -> list[list[int]]:
    positions, stride = scan.positions, scan.stride
    has_positions = positions > 1
    read = [[0] * len(row) for row in weight]
    in_row, in_column = [0] * len(read), [0] * len(read[0])
    in_block: dict[int, int] = {}
    order = ((r, c) for c in columns for r in rows) if scan.by_column else ((r, c) for r in rows for c in columns)
    for row, column in order:
        channel, position = divmod(column, positions)
        x = position % stride
        line = read[row]
        above = read[row - 1][column] if row else 0
        before = line[column - positions] if channel else 0
        left = line[column - 1] if position else 0
        upper = upper_left = upper_right = 0
        if position >= stride:
            upper = line[column - stride]
            upper_left = line[column - stride - 1] if x else 0
            upper_right = line[column - stride + 1] if x + 1 < stride else 0
        # Within a small kernel, how full it is so far; within a picture, which of its lines.
        block = row << 20 | channel
        area = in_block.get(block, 0) << 20 | position if positions <= SMALL_KERNEL else row << 20 | position // stride
        near = min(9, 2 * abs(left) + 2 * abs(upper) + abs(upper_left) + abs(upper_right)) if has_positions else 10
        value = weight[row][column]
        contexts = (0, row, column, position, area, row << 20 | x)
        if models.nonzero.transcode(coder, contexts, near, int(value != 0)):
            cross = _sign(above) * 27 + _sign(before) * 9 + _sign(left) * 3 + _sign(upper)
            around = _sign(left) * 27 + _sign(upper) * 9 + _sign(upper_left) * 3 + _sign(upper_right)
            negative = models.negative.transcode(coder, (0, cross, around), int(has_positions), int(value < 0))
            # How dense the row and the column have been so far.
            density = min(15, 64 * in_row[row] // (column + 8)) << 4 | min(15, 32 * in_column[column] // (row + 4))
            magnitude = _code_magnitude(coder, models.magnitude, abs(value), bit_width, (row, column, density))
            if magnitude - negative >= 1 << bit_width - 1:
                raise InvalidModel(OUTSIDE_OF_BITS)
            line[column] = -magnitude if negative else magnitude
            in_row[row] += 1
            in_column[column] += 1
            in_block[block] = in_block.get(block, 0) + 1
    return read


def _sign(value: int) -> int:
    return (value > 0) - (value < 0) + 1


def _code_magnitude(
    coder: BitCoder, model: MixedBit, magnitude: int, bit_width: int, near: tuple[int, int, int]
) -> int:
    """1..2^(bit_width - 1): the number of further bits in unary, then those bits, highest first."""
    row, column, density = near[0] << 9, near[1] << 9, near[2] << 9
    size = 0
    while size < bit_width - 1:
        contexts = (size, size | row, size | column, size | density)
        if not model.transcode(coder, contexts, size, int(magnitude >= 2 << size)):
            break
        size += 1
    read = 1
    for shift in range(size - 1, -1, -1):
        node = 8 + (1 << size) + read
        contexts = (node, node | row, node | column, node | density)
        read = 2 * read + model.transcode(coder, contexts, size, magnitude >> shift & 1)
    return read


def code_blocks(coder: BitCoder, values: NDArray[np.int8], bit_width: int) -> NDArray[np.int8]:
    """values: (n,). The same decisions, for 64, 128, ... 4096 weights at once, from the counts of the blocks before."""
    code_block = open_blocks(coder, bit_width) or _PlainBlocks(coder, bit_width).code
    read = np.zeros(len(values), np.int8)
    start, length = 0, 64
    while start < len(values):
        read[start : start + length] = code_block(values[start : start + length])
        start, length = start + length, min(2 * length, MAX_BLOCK)
    return read


class _PlainBlocks:
    """Integers in blocks, in Python."""

    def __init__(self, coder: BitCoder, bit_width: int) -> None:
        self._coder, self._bit_width = coder, bit_width
        self._counts: dict[int, list[int]] = {}

    def code(self, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """values: (n,), of one block. Returns what is in the file."""
        read = np.zeros(len(values), np.int8)
        block = values.astype(np.int32)
        nonzero = np.flatnonzero(self._decide(0, block != 0))
        block = block[nonzero]
        negative = self._decide(1, block < 0)
        magnitude = np.ones(len(block), np.int32)
        active = np.arange(len(block))
        for size in range(self._bit_width):
            longer = np.zeros(len(active), bool)
            if size < self._bit_width - 1:
                longer = self._decide(2 + size, np.abs(block[active]) >= 2 << size)
            ending = active[~longer]
            for shift in range(size - 1, -1, -1):
                for prefix in np.unique(magnitude[ending]).tolist():
                    chosen = ending[magnitude[ending] == prefix]
                    bits = self._decide(16 + (1 << size) + prefix, np.abs(block[chosen]) >> shift & 1 == 1)
                    magnitude[chosen] = 2 * prefix + bits
            active = active[longer]
        if (magnitude - negative >= 1 << self._bit_width - 1).any():
            raise InvalidModel(OUTSIDE_OF_BITS)
        read[nonzero] = np.where(negative, -magnitude, magnitude)
        return read

    def _decide(self, node: int, bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
        zeros, ones = self._counts.setdefault(node, [1, 1])
        probability = min(65535, max(1, (ones << 16) // (zeros + ones)))
        read = self._coder.code_block(probability, bits.astype(np.int32))
        num_ones = int(read.sum())
        self._counts[node] = [zeros + 2 * (len(bits) - num_ones), ones + 2 * num_ones]
        return read.astype(bool)
