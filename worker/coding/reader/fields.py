"""The values of docs/format.md, from flags to the weights of a layer."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bits import MAX_DECISIONS, Bits, InvalidModel, Mixer, State, learn, require

PRIMER = (
    "conv1 conv2 conv3 conv4 fc1 fc2 fc3 linear1 linear2 features.0 features.4 features.8 classifier.1 classifier.3 "
    "blocks.0.conv1 blocks.1.conv2 layers.0 layers.2 layers.4 stem head depthwise pointwise shortcut output "
    "0 1 2 3 4 5 6 7 8 9 the time of an one line more than other water on order Read Side Part Till Light Air Group "
)
MAX_WEIGHTS = 1 << 26


def signs(*values: int) -> int:
    """Each value as 0 (negative), 1 (zero) or 2, together one number of base 3."""
    return sum(((v > 0) - (v < 0) + 1) * 3**power for power, v in enumerate(reversed(values)))


def nodes(node: int, row: int, column: int, density: int) -> list[int]:
    """The four contexts of one decision about a magnitude."""
    return [node, node | row << 9, node | column << 9, node | density << 9]


class Reader:
    """The fields of one file, in order."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.flags: dict[Any, State] = {}
        self.guesses: dict[str, int] = {}
        self.letters = Mixer(4, 1, learnt=prime_letters())
        self.models = (Mixer(6, 11), Mixer(3, 2), Mixer(4, 8))

    def flag(self, kind: Any) -> int:
        state = self.flags.get(kind, (1 << 21, 0))
        bit = self.bits.read(min(65535, max(1, state[0] >> 6)))
        self.flags[kind] = learn(state, bit)
        return bit

    def raw(self, num_bits: int) -> int:
        value = 0
        for _ in range(num_bits):
            value = 2 * value + self.bits.read(32768)
        return value

    def number(self, kind: str, limit: int) -> int:
        size = 0
        while size < limit.bit_length() and self.flag((kind, size)):
            size += 1
        value = (1 << size) + self.raw(size) - 1
        require(value <= limit, f"{kind} out of range")
        return value

    def guessed(self, kind: str, guess: int, limit: int) -> int:
        if not self.flag((kind, "guessed")):
            return self.number(kind, limit)
        require(guess <= limit, f"the guess of {kind} out of range")
        return guess

    def repeated(self, kind: str, limit: int) -> int:
        self.guesses[kind] = self.guessed(kind, self.guesses.get(kind, 0), limit)
        return self.guesses[kind]

    def signed(self, kind: str, limit: int) -> int:
        folded = self.number(kind, 2 * limit)
        return -(folded + 1) // 2 if folded % 2 else folded // 2

    def mixed(self, mixer: Mixer, contexts: list[int], chosen: int) -> int:
        bit = self.bits.read(mixer.predict(contexts, chosen))
        mixer.learn(chosen, bit)
        return bit

    def text(self, kind: str) -> str:
        letters, before = bytearray(), 0
        for _ in range(self.number(f"{kind} length", 255)):
            node = 1
            for _ in range(8):
                node = 2 * node + self.mixed(self.letters, follow(before, node), 0)
            before = (before << 8 | node & 0xFF) & 0xFFFFFF
            letters.append(node & 0xFF)
        try:
            return letters.decode()
        except UnicodeDecodeError as error:
            raise InvalidModel(f"{kind} is not UTF-8") from error

    def decimal(self, kind: str) -> float:
        digits = self.raw(self.raw(6))
        sign = self.flag((kind, "sign"))
        value = float(f"{'-' * sign}{digits}e{self.signed('decimal exponent', 400)}")
        require(math.isfinite(value), f"{kind} is not finite")
        return value

    def floats(self, kind: str, count: int) -> NDArray[np.float64]:
        exponent_bits, mantissa_bits = (11, 52) if self.flag((kind, "wide")) else (8, 23)
        kept = self.repeated(f"{kind} mantissa bits", mantissa_bits)
        largest = self.repeated(f"{kind} exponent", (1 << exponent_bits) - 2)
        patterns = []
        for _ in range(count):
            sign, exponent, below = self.flag((kind, "sign")), 0, 0
            if not self.flag((kind, "zero exponent")):
                while below < 16 and self.flag((kind, "below", below)):
                    below += 1
                exponent = largest - below - (self.number(f"{kind} far below", 2046) if below == 16 else 0)
                require(exponent >= 1, f"a {kind} has no valid exponent")
            mantissa = self.raw(kept) << mantissa_bits - kept
            patterns.append((sign << exponent_bits | exponent) << mantissa_bits | mantissa)
        if exponent_bits == 11:
            return np.array(patterns, np.uint64).view(np.float64)
        return np.array(patterns, np.uint32).view(np.float32).astype(np.float64)

    def singles(self, kind: str, count: int) -> NDArray[np.float32]:
        """Floats of a kind that are float32 in every network."""
        values = self.floats(kind, count)
        with np.errstate(over="ignore"):
            require(np.array_equal(values.astype(np.float32), values), f"a {kind} is not a 32-bit float")
        return values.astype(np.float32)

    def float_blocks(self, kind: str, counts: list[int]) -> list[NDArray[np.float32]]:
        """Arrays of float32, all at once: what all values have of a kind lies together."""
        if not counts:
            return []
        kept = self.repeated(f"{kind} mantissa bits", 23)
        largest = [self.repeated(f"{kind} exponent", 254) for _ in counts]
        total = sum(counts)
        below, negative = self.blocks(total, 8).tolist(), self.blocks(total, 1).tolist()
        patterns = []
        for place, top in enumerate(top for top, count in zip(largest, counts, strict=True) for _ in range(count)):
            value, sign = below[place], -negative[place]
            require(value <= 127 and sign in (0, 1), f"a {kind} that no writer gives")
            exponent = 0 if value == -1 else top - value if value >= 0 else top - (126 - value)
            require(exponent >= 1 or value == -1, f"a {kind} has no valid exponent")
            patterns.append((sign << 8 | exponent) << 23)
        for place in range(total):
            mantissa = 0
            for _ in range(kept):
                mantissa = 2 * mantissa + self.bits.read_of_block(32768)
            patterns[place] |= mantissa << 23 - kept
        values = np.array(patterns, np.uint32).view(np.float32)
        return np.split(values, np.cumsum(counts)[:-1])

    def octets(self, count: int) -> bytes:
        """Bytes as they are."""
        return bytes(sum(self.bits.read_of_block(32768) << shift for shift in range(7, -1, -1)) for _ in range(count))

    def mask(self, kind: str, count: int, period: int) -> list[int]:
        flags: list[int] = []
        for i in range(count):
            near, far = flags[i - 1] if i else 2, flags[i - period] if i >= period else 2
            flags.append(self.flag((kind, near, far)))
        return [i for i, flag in enumerate(flags) if flag]

    def weights(self, shape: tuple[int, int], width: int, positions: int, stride: int) -> NDArray[np.int8]:
        """positions, stride: how the layer naturally lies."""
        positions = self.guessed("positions", positions - 1, MAX_WEIGHTS) + 1
        stride = self.guessed("stride", stride - 1, MAX_WEIGHTS) + 1
        by_column, masked, in_blocks = self.flag("by column"), self.flag("masked"), self.flag("in blocks")
        require(shape[1] % positions == 0 and stride <= positions, "a walk that does not fit its layer")
        require(bool(in_blocks) or math.prod(shape) <= MAX_DECISIONS, "more weights one by one than the format allows")
        rows: Sequence[int] = self.mask("row", shape[0], 1) if masked else range(shape[0])
        columns: Sequence[int] = self.mask("column", shape[1], positions) if masked else range(shape[1])
        cells = ((r, c) for c in columns for r in rows) if by_column else ((r, c) for r in rows for c in columns)
        weight = np.zeros(shape, np.int16)
        if in_blocks:
            for cell, value in zip(cells, self.blocks(len(rows) * len(columns), width), strict=True):
                weight[cell] = value
        else:
            self.cells(weight, cells, width, positions, stride)
        beyond = 1 << width - 1
        require(-beyond <= weight.min() and weight.max() < beyond, f"a weight outside the {width} bits of its layer")
        return weight.astype(np.int8)

    def cells(
        self, weight: NDArray[np.int16], cells: Iterator[tuple[int, int]], width: int, positions: int, stride: int
    ) -> None:
        """Weights one by one, each from its neighbours."""
        nonzero, negative, magnitude = self.models
        for model in self.models:
            model.forget()
        in_row, in_column = [0] * weight.shape[0], [0] * weight.shape[1]
        in_block: dict[tuple[int, int], int] = {}
        for row, column in cells:
            channel, position = divmod(column, positions)
            x = position % stride
            above = int(weight[row - 1, column]) if row else 0
            before = int(weight[row, column - positions]) if channel else 0
            left = int(weight[row, column - 1]) if position else 0
            upper = int(weight[row, column - stride]) if position >= stride else 0
            upper_left = int(weight[row, column - stride - 1]) if position >= stride and x else 0
            upper_right = int(weight[row, column - stride + 1]) if position >= stride and x + 1 < stride else 0
            line = row << 20 | position // stride
            area = in_block.get((row, channel), 0) << 20 | position if positions <= 16 else line
            near = min(9, 2 * abs(left) + 2 * abs(upper) + abs(upper_left) + abs(upper_right))
            contexts = [0, row, column, position, area, row << 20 | x]
            if not self.mixed(nonzero, contexts, near if positions > 1 else 10):
                continue
            cross, around = signs(above, before, left, upper), signs(left, upper, upper_left, upper_right)
            sign = self.mixed(negative, [0, cross, around], int(positions > 1))
            density = min(15, 64 * in_row[row] // (column + 8)) << 4
            density |= min(15, 32 * in_column[column] // (row + 4))
            size, value = 0, 1
            while size < width - 1 and self.mixed(magnitude, nodes(size, row, column, density), size):
                size += 1
            for _ in range(size):
                node = 8 + (1 << size) + value
                value = 2 * value + self.mixed(magnitude, nodes(node, row, column, density), size)
            weight[row, column] = -value if sign else value
            in_row[row] += 1
            in_column[column] += 1
            in_block[row, channel] = in_block.get((row, channel), 0) + 1

    def blocks(self, count: int, width: int) -> NDArray[np.int16]:
        counts: dict[int, list[int]] = {}
        values = np.zeros(count, np.int16)
        start, length = 0, 64
        while start < count:
            num = min(length, count - start)
            nonzero = self.block(counts, 0, num)
            signs = self.block(counts, 1, sum(nonzero))
            magnitudes, active = [1] * len(signs), list(range(len(signs)))
            for size in range(width):
                longer = self.block(counts, 2 + size, len(active)) if size < width - 1 else [0] * len(active)
                ending = [i for i, flag in zip(active, longer, strict=True) if not flag]
                for _ in range(size):
                    for prefix in sorted({magnitudes[i] for i in ending}):
                        chosen = [i for i in ending if magnitudes[i] == prefix]
                        bits = self.block(counts, 16 + (1 << size) + prefix, len(chosen))
                        for i, bit in zip(chosen, bits, strict=True):
                            magnitudes[i] = 2 * prefix + bit
                active = [i for i, flag in zip(active, longer, strict=True) if flag]
            signed = iter([-m if sign else m for m, sign in zip(magnitudes, signs, strict=True)])
            values[start : start + num] = [next(signed) if flag else 0 for flag in nonzero]
            start, length = start + num, min(2 * length, 4096)
        return values

    def block(self, counts: dict[int, list[int]], node: int, num: int) -> list[int]:
        zeros, ones = counts.setdefault(node, [1, 1])
        probability = min(65535, max(1, (ones << 16) // (zeros + ones)))
        bits = [self.bits.read_of_block(probability) for _ in range(num)]
        counts[node] = [zeros + 2 * (num - sum(bits)), ones + 2 * sum(bits)]
        return bits


def follow(before: int, node: int) -> list[int]:
    """The four contexts of one bit of a text. before: the last three bytes; node: a one and the byte's bits so far."""
    return [node, node | (before & 0xFF) << 8, node | (before & 0xFFFF) << 8, node | before << 8]


@functools.cache
def prime_letters() -> Mixer:
    """What every file's model of texts starts from: it has seen the primer."""
    letters, before = Mixer(4, 1), 0
    for byte in PRIMER.encode():
        node = 1
        for shift in range(7, -1, -1):
            letters.predict(follow(before, node), 0)
            letters.learn(0, byte >> shift & 1)
            node = 2 * node + (byte >> shift & 1)
        before = (before << 8 | byte) & 0xFFFFFF
    return letters
