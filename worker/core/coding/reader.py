"""Reads a compressed file with nothing but NumPy: docs/format.md as a program.

Written apart from the coder that the service uses, from the description alone: its own range decoder, no
`constriction`, no PyTorch, no import from this project. Copy this one file to read `.tonok` files elsewhere. It is
written to be read and trusts its input more than `decode_network` does: give it files whose origin you know.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

ARCHITECTURES = ("fashion_cnn", "lenet5", "mlp", "resnet_small", "depthwise_cnn")
PRIMER = (
    "conv1 conv2 conv3 conv4 fc1 fc2 fc3 linear1 linear2 features.0 features.4 features.8 classifier.1 classifier.3 "
    "blocks.0.conv1 blocks.1.conv2 layers.0 layers.2 layers.4 stem head depthwise pointwise shortcut output "
    "0 1 2 3 4 5 6 7 8 9 the time of an one line more than other water on order Read Side Part Till Light Air Group "
)

LOGIT = [round(256 * math.log((2 * p + 1) / (2 * (65536 - p) - 1))) for p in range(65536)]
SQUASH = [min(65535, max(1, round(65536 / (1 + math.exp(-x / 256))))) for x in range(-2816, 2817)]
RATES = [65536 // (count + 3) for count in range(1000)]


class Bits:
    """A range decoder: 64-bit state, 32-bit words, probabilities of 24 bits. Past the end come zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._next = 8
        self._lower, self._range = 0, (1 << 64) - 1
        self._point = int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def read(self, probability: int) -> int:
        """One bit that is 1 with the given probability, in 1/65536. A 0 owns the lower part of the interval."""
        split = ((65536 - probability) * ((1 << 24) - 2) >> 16) + 1
        scale = self._range >> 24
        quantile = (self._point - self._lower) % (1 << 64) // scale
        if quantile >= 1 << 24:
            raise ValueError("not a valid stream")
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


class Mixer:
    """Logistic mixing; a Mixer of one input with weight 1 is not the same as an `Adaptive`: that one has no logits."""

    def __init__(self, num_inputs: int, num_weight_sets: int) -> None:
        self.tables: list[dict[int, list[int]]] = [{} for _ in range(num_inputs)]
        self.weights = [[65536] + [10000] * (num_inputs - 1) for _ in range(num_weight_sets)]
        self.counts = [0] * num_weight_sets

    def forget(self) -> None:
        self.tables = [{} for _ in self.tables]

    def predict(self, contexts: list[int], chosen: int) -> int:
        base = self.tables[0].setdefault(contexts[0], [1 << 21, 0])
        self.states = [base]
        for table, context in zip(self.tables[1:], contexts[1:], strict=True):
            self.states.append(table.setdefault(context, [base[0], 0]))
        first, *others = (LOGIT[state[0] >> 6] for state in self.states)
        self.logits = [first, *(logit - first for logit in others)]
        mixed = sum(w * x for w, x in zip(self.weights[chosen], self.logits, strict=True)) >> 16
        self.probability = SQUASH[min(2816, max(-2816, mixed)) + 2816]
        return self.probability

    def learn(self, chosen: int, bit: int) -> None:
        error = ((bit << 16) - self.probability) * max(6, 800 // (self.counts[chosen] + 16))
        self.counts[chosen] += 1
        self.weights[chosen] = [w + (error * x >> 18) for w, x in zip(self.weights[chosen], self.logits, strict=True)]
        for state in self.states:
            learn(state, bit)


def learn(state: list[int], bit: int) -> None:
    """state: [probability in 1/2^22, decisions seen]."""
    probability, count = state
    state[:] = probability + (((bit << 22) - probability) * RATES[count] >> 16), min(count + 1, 999)


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
        self.flags: dict[Any, list[int]] = {}
        self.guesses: dict[str, int] = {}
        self.letters = Mixer(4, 1)
        before = 0
        for byte in PRIMER.encode():
            before = self._byte(before, byte)
        self.models = (Mixer(6, 11), Mixer(3, 2), Mixer(4, 8))

    def flag(self, kind: Any) -> int:
        state = self.flags.setdefault(kind, [1 << 21, 0])
        bit = self.bits.read(min(65535, max(1, state[0] >> 6)))
        learn(state, bit)
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
        if value > limit:
            raise ValueError(f"{kind} out of range")
        return value

    def guessed(self, kind: str, guess: int, limit: int) -> int:
        return guess if self.flag((kind, "guessed")) else self.number(kind, limit)

    def signed(self, kind: str, limit: int) -> int:
        folded = self.number(kind, 2 * limit)
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2

    def mixed(self, mixer: Mixer, contexts: list[int], chosen: int) -> int:
        bit = self.bits.read(mixer.predict(contexts, chosen))
        mixer.learn(chosen, bit)
        return bit

    def _byte(self, before: int, known: int | None) -> int:
        """Returns the last three bytes, the new one lowest."""
        node = 1
        for shift in range(7, -1, -1):
            contexts = [node, node | (before & 0xFF) << 8, node | (before & 0xFFFF) << 8, node | before << 8]
            probability = self.letters.predict(contexts, 0)
            bit = self.bits.read(probability) if known is None else known >> shift & 1
            self.letters.learn(0, bit)
            node = 2 * node + bit
        return (before << 8 | node & 0xFF) & 0xFFFFFF

    def text(self, kind: str) -> str:
        letters, before = bytearray(), 0
        for _ in range(self.number(f"{kind} length", 255)):
            before = self._byte(before, None)
            letters.append(before & 0xFF)
        return letters.decode()

    def decimal(self, kind: str) -> float:
        digits = self.raw(self.raw(6))
        sign = self.flag((kind, "sign"))
        return float(f"{'-' * sign}{digits}e{self.signed('decimal exponent', 400)}")

    def floats(self, kind: str, count: int) -> NDArray[np.float64]:
        exponent_bits, mantissa_bits = (11, 52) if self.flag((kind, "wide")) else (8, 23)
        names = (f"{kind} mantissa bits", f"{kind} exponent")
        kept = self.guessed(names[0], self.guesses.get(names[0], 0), mantissa_bits)
        largest = self.guessed(names[1], self.guesses.get(names[1], 0), (1 << exponent_bits) - 2)
        self.guesses |= {names[0]: kept, names[1]: largest}
        patterns = []
        for _ in range(count):
            sign, exponent, below = self.flag((kind, "sign")), 0, 0
            if not self.flag((kind, "zero exponent")):
                while below < 16 and self.flag((kind, "below", below)):
                    below += 1
                exponent = largest - below - (self.number(f"{kind} far below", 2046) if below == 16 else 0)
            mantissa = self.raw(kept) << mantissa_bits - kept
            patterns.append((sign << exponent_bits | exponent) << mantissa_bits | mantissa)
        if exponent_bits == 11:
            return np.array(patterns, np.uint64).view(np.float64)
        return np.array(patterns, np.uint32).view(np.float32).astype(np.float64)

    def mask(self, kind: str, count: int, period: int) -> list[int]:
        flags: list[int] = []
        for i in range(count):
            near, far = flags[i - 1] if i else 2, flags[i - period] if i >= period else 2
            flags.append(self.flag((kind, near, far)))
        return [i for i, flag in enumerate(flags) if flag]

    def weights(self, shape: tuple[int, int], width: int, positions: int, stride: int) -> NDArray[np.int8]:
        """positions, stride: how the layer naturally lies."""
        positions = self.guessed("positions", positions - 1, 1 << 20) + 1
        stride = self.guessed("stride", stride - 1, 1 << 20) + 1
        by_column, masked, in_blocks = self.flag("by column"), self.flag("masked"), self.flag("in blocks")
        rows = self.mask("row", shape[0], 1) if masked else list(range(shape[0]))
        columns = self.mask("column", shape[1], positions) if masked else list(range(shape[1]))
        cells = [(r, c) for c in columns for r in rows] if by_column else [(r, c) for r in rows for c in columns]
        weight = np.zeros(shape, np.int64)
        if in_blocks:
            for cell, value in zip(cells, self.blocks(len(cells), width), strict=True):
                weight[cell] = value
            return weight.astype(np.int8)
        nonzero, negative, magnitude = self.models
        for model in self.models:
            model.forget()
        in_row, in_column = np.zeros(shape[0], int), np.zeros(shape[1], int)
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
            density = min(15, 64 * int(in_row[row]) // (column + 8)) << 4
            density |= min(15, 32 * int(in_column[column]) // (row + 4))
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
        return weight.astype(np.int8)

    def blocks(self, count: int, width: int) -> list[int]:
        counts: dict[int, list[int]] = {}
        values: list[int] = []
        length = 64
        while len(values) < count:
            num = min(length, count - len(values))
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
            values += [next(signed) if flag else 0 for flag in nonzero]
            length = min(2 * length, 4096)
        return values

    def block(self, counts: dict[int, list[int]], node: int, num: int) -> list[int]:
        zeros, ones = counts.setdefault(node, [1, 1])
        probability = min(65535, max(1, (ones << 16) // (zeros + ones)))
        bits = [self.bits.read(probability) for _ in range(num)]
        counts[node] = [zeros + 2 * (num - sum(bits)), ones + 2 * sum(bits)]
        return bits


def read_file(data: bytes) -> dict[str, Any]:
    """The network as plain values and arrays, named as in worker/core/integer.py.

    Raises ValueError where the frame is not of this format or damaged; what lies in it is trusted.
    """
    if data[:3] != b"TK\x01" or zlib.crc32(data[7:]) != int.from_bytes(data[3:7], "big"):
        raise ValueError("not a Tonok file of version 1, or damaged")
    read = Reader(Bits(data[7:]))
    known = read.number("architecture id", len(ARCHITECTURES))
    network: dict[str, Any] = {"architecture": ARCHITECTURES[known - 1] if known else read.text("architecture")}
    network["widths"] = tuple(read.number("width", 1 << 20) for _ in range(read.number("number of widths", 1024)))
    channels, height = read.number("input channels", 1 << 20), read.number("input height", 1 << 20)
    network["input_shape"] = (channels, height, read.guessed("input width", height, 1 << 20))
    network["class_names"] = tuple(read.text("class name") for _ in range(read.number("number of classes", 4096)))
    network["mean"], network["std"] = read.decimal("mean"), read.decimal("std")
    layers: list[dict[str, Any]] = []
    rows, width, input_width = 1, 7, 8
    for _ in range(read.number("number of layers", 1024)):
        layer: dict[str, Any] = {"name": read.text("layer name")}
        is_conv = read.flag("is convolution")
        fold = read.guessed("fold", 1, 1 << 20)
        columns = fold * rows if fold else read.number("columns", 1 << 20)
        rows = read.number("rows", 1 << 20)
        kernel: tuple[int, ...] = ()
        if is_conv:
            kernel_height = read.guessed("kernel height", 3, 1 << 20)
            kernel = (kernel_height, read.guessed("kernel width", kernel_height, 1 << 20))
        layer["shape"] = (rows, columns, *kernel)
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
        layer["scale"] = read.floats("scale", layer.pop("num_scales")).astype(np.float32)
    for layer in layers:
        layer["bias"] = read.floats("bias", layer["shape"][0]).astype(np.float32)
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
