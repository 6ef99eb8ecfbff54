"""Reads a compressed file with nothing but NumPy: docs/format.md as a program.

Written apart from the coder that the service uses, from the description alone: its own range decoder, no
`constriction`, no PyTorch, no import from this project. Copy this one file to read `.tonok` files elsewhere. It
refuses what the service refuses, with its one error `InvalidModel`: tests/fuzz/readers.py holds the two together.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARCHITECTURES = ("fashion_cnn", "lenet5", "mlp", "resnet_small", "depthwise_cnn")
PRIMER = (
    "conv1 conv2 conv3 conv4 fc1 fc2 fc3 linear1 linear2 features.0 features.4 features.8 classifier.1 classifier.3 "
    "blocks.0.conv1 blocks.1.conv2 layers.0 layers.2 layers.4 stem head depthwise pointwise shortcut output "
    "0 1 2 3 4 5 6 7 8 9 the time of an one line more than other water on order Read Side Part Till Light Air Group "
)

MAX_SIDE = 1 << 20
MAX_WEIGHTS = 1 << 26
MAX_DECISIONS = 1 << 20

LOGIT = [round(256 * math.log((2 * p + 1) / (2 * (65536 - p) - 1))) for p in range(65536)]
SQUASH = [min(65535, max(1, round(65536 / (1 + math.exp(-x / 256))))) for x in range(-2816, 2817)]
RATES = [65536 // (count + 3) for count in range(1000)]


class InvalidModel(ValueError):
    """The file is not a valid one."""


def require(is_valid: bool, message: str) -> None:
    """Raises InvalidModel with the message."""
    if not is_valid:
        raise InvalidModel(message)


class Bits:
    """A range decoder: 64-bit state, 32-bit words, probabilities of 24 bits. Past the end come zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 8
        self._decisions_left = MAX_DECISIONS
        self._lower, self._range = 0, (1 << 64) - 1
        self._point = int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def read(self, probability: int) -> int:
        """One of the single decisions, of which a file has no more than so many."""
        self._decisions_left -= 1
        if self._decisions_left < 0:
            raise InvalidModel("more decisions than the format allows")
        return self.read_of_block(probability)

    def read_of_block(self, probability: int) -> int:
        """One bit that is 1 with the given probability, in 1/65536. A 0 owns the lower part of the interval."""
        split = ((65536 - probability) * ((1 << 24) - 2) >> 16) + 1
        scale = self._range >> 24
        quantile = (self._point - self._lower) % (1 << 64) // scale
        if quantile >= 1 << 24:
            raise InvalidModel("not a valid stream")
        bit = int(quantile >= split)
        self._lower = (self._lower + scale * split * bit) % (1 << 64)
        self._range = scale * (split if bit == 0 else (1 << 24) - split)
        if self._range < 1 << 32:
            self._lower = self._lower << 32 & (1 << 64) - 1
            self._range <<= 32
            word = self._data[self._next : self._next + 4].ljust(4, b"\0")
            self._point = self._point << 32 & (1 << 64) - 1 | int.from_bytes(word, "big")
            self._next += 4
        return bit


State = tuple[int, int]  # of a context: its probability in 1/2^22, and decisions seen


class Mixer:
    """Logistic mixing; a Mixer of one input with weight 1 is not the same as a flag: that one has no logits."""

    def __init__(self, num_inputs: int, num_weight_sets: int, learnt: Mixer | None = None) -> None:
        self.tables: list[dict[int, State]] = (
            [dict(table) for table in learnt.tables] if learnt else [{} for _ in range(num_inputs)]
        )
        self.weights = [[65536] + [10000] * (num_inputs - 1) for _ in range(num_weight_sets)]
        self.counts = [0] * num_weight_sets
        if learnt:
            self.weights, self.counts = [weights.copy() for weights in learnt.weights], learnt.counts.copy()

    def forget(self) -> None:
        self.tables = [{} for _ in self.tables]

    def predict(self, contexts: list[int], chosen: int) -> int:
        base = self.tables[0].setdefault(contexts[0], (1 << 21, 0))
        self.contexts = contexts
        self.states = [table.get(context, (base[0], 0)) for table, context in zip(self.tables, contexts, strict=True)]
        first, *others = [LOGIT[state[0] >> 6] for state in self.states]
        self.logits = [first, *[logit - first for logit in others]]
        mixed = sum([w * x for w, x in zip(self.weights[chosen], self.logits, strict=True)]) >> 16
        self.probability = SQUASH[min(2816, max(-2816, mixed)) + 2816]
        return self.probability

    def learn(self, chosen: int, bit: int) -> None:
        error = ((bit << 16) - self.probability) * max(6, 800 // (self.counts[chosen] + 16))
        self.counts[chosen] += 1
        self.weights[chosen] = [w + (error * x >> 18) for w, x in zip(self.weights[chosen], self.logits, strict=True)]
        for table, context, state in zip(self.tables, self.contexts, self.states, strict=True):
            table[context] = learn(state, bit)


def learn(state: State, bit: int) -> State:
    """The state after a decision."""
    probability, count = state
    return probability + (((bit << 22) - probability) * RATES[count] >> 16), count + 1 if count < 999 else 999


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


def read_file(data: bytes) -> dict[str, Any]:
    """The network as plain values and arrays, named as in worker/integer_network.py.

    Raises InvalidModel, and nothing else, for what is not a valid file.
    """
    require(7 <= len(data) <= 1 << 28 and data[:3] == b"TK\x01", "not a Tonok file of version 1")
    require(zlib.crc32(data[7:]) == int.from_bytes(data[3:7], "big"), "damaged")
    weights_left = min(MAX_WEIGHTS, (1 << 16) + 1024 * len(data))
    read = Reader(Bits(data[7:]))
    known = read.number("architecture id", len(ARCHITECTURES))
    network: dict[str, Any] = {"architecture": ARCHITECTURES[known - 1] if known else read.text("architecture")}
    network["widths"] = tuple(read.number("width", MAX_SIDE) for _ in range(read.number("number of widths", 1024)))
    channels, height = read.number("input channels", MAX_SIDE), read.number("input height", MAX_SIDE)
    network["input_shape"] = (channels, height, read.guessed("input width", height, MAX_SIDE))
    network["class_names"] = tuple(read.text("class name") for _ in range(read.number("number of classes", 4096)))
    network["mean"], network["std"] = (read.decimal("mean"),), (read.decimal("std"),)
    layers: list[dict[str, Any]] = []
    rows, width, input_width = 1, 7, 8
    for _ in range(read.number("number of layers", 1024)):
        layer: dict[str, Any] = {"name": read.text("layer name")}
        is_conv = read.flag("is convolution")
        fold = read.guessed("fold", 1, MAX_SIDE)
        columns = fold * rows if fold else read.number("columns", MAX_SIDE)
        rows = read.number("rows", MAX_SIDE)
        kernel: tuple[int, ...] = ()
        if is_conv:
            kernel_height = read.guessed("kernel height", 3, MAX_SIDE)
            kernel = (kernel_height, read.guessed("kernel width", kernel_height, MAX_SIDE))
        shape = layer["shape"] = (rows, columns, *kernel)
        require(min(shape) >= 1 and math.prod(shape) <= weights_left, "more weights than the file's size allows")
        weights_left -= math.prod(shape)
        layer["num_scales"] = rows if read.flag("scale per channel") else 1
        width = read.guessed("bit width", width, 7)
        layer["bit_width"] = width + 1
        layer["input_zero_point"] = read.signed("input zero point", 1 << 16)
        input_width = layer["input_bit_width"] = read.guessed("input bit width", input_width, 32)
        layer["input_signed"] = bool(read.flag("input signed"))
        layers.append(layer)
    for layer, scale in zip(layers, read.floats("input scale", len(layers)), strict=True):
        layer["input_scale"] = float(scale)
    for layer in layers:
        layer["scale"] = read.singles("scale", layer.pop("num_scales"))
    for layer in layers:
        layer["bias"] = read.singles("bias", layer["shape"][0])
    before = None
    for layer in layers:
        shape = layer.pop("shape")
        flat = (shape[0], math.prod(shape[1:]))
        positions = stride = 1
        if len(shape) == 4:
            positions, stride = shape[2] * shape[3], shape[3]
        elif before is not None and shape[1] % before == 0:
            positions = shape[1] // before
            stride = math.isqrt(positions) if math.isqrt(positions) ** 2 == positions else 1
        before = shape[0]
        layer["weight"] = read.weights(flat, layer["bit_width"], positions, stride).reshape(shape)
    return network | {"layers": layers}
