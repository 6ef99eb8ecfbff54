"""Small values: flags, numbers, names and floats, each written as adaptive binary decisions.

Every method takes the value to write and returns the value that is in the file; a reader hands in anything of the
right type and goes on with what it gets back.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.mixing import AdaptiveBits, MixedBit
from worker.coding.ranges import BitCoder

EVEN = 1 << 15
"""The probability of a bit of which nothing is known."""

MAX_EXPONENT = 2046

NEAR_EXPONENTS = 16
"""Exponents up to so far below the largest are counted down to one by one."""

TEXT_PRIMER = (
    "conv1 conv2 conv3 conv4 fc1 fc2 fc3 linear1 linear2 features.0 features.4 features.8 classifier.1 classifier.3 "
    "blocks.0.conv1 blocks.1.conv2 layers.0 layers.2 layers.4 stem head depthwise pointwise shortcut output "
    "0 1 2 3 4 5 6 7 8 9 the time of an one line more than other water on order Read Side Part Till Light Air Group "
)
"""Read by both sides before the first text, so that letters and usual layer names are not new to the model."""


class Fields:
    """Writes or reads the small values of one file, and keeps what was learnt about each kind of value."""

    def __init__(self, coder: BitCoder) -> None:
        self.coder = coder
        self._bits = AdaptiveBits()
        self._text: MixedBit | None = None
        self._last: dict[str, int] = {}

    def bit(self, kind: Hashable, value: int) -> int:
        """A flag, 0 or 1; flags of one kind share their statistics."""
        return self._bits.transcode(self.coder, kind, value)

    def raw(self, value: int, num_bits: int) -> int:
        """A number of exactly `num_bits` bits, each costing one bit, highest first."""
        read = 0
        for shift in range(num_bits - 1, -1, -1):
            read = 2 * read + self.coder.transcode(EVEN, value >> shift & 1)
        return read

    def number(self, kind: str, value: int, limit: int) -> int:
        """An integer of 0..limit: Exp-Golomb with an adaptive prefix. Raises InvalidModel beyond the limit."""
        if not 0 <= value <= limit:
            raise InvalidModel(f"{kind} must be from 0 to {limit} in a compressed file.", field=kind)
        size = 0
        while size < limit.bit_length() and self.bit((kind, size), int(value + 1 >= 2 << size)):
            size += 1
        read = (1 << size | self.raw((value + 1) & ((1 << size) - 1), size)) - 1
        if read > limit:
            raise InvalidModel(f"{kind} of the file is beyond the format's limit of {limit}.", field=kind)
        return read

    def guessed(self, kind: str, value: int, guess: int, limit: int) -> int:
        """An integer of 0..limit that is probably `guess`. Raises InvalidModel where the file takes a guess beyond it.

        A guess comes from another value, whose limit may have been higher. The writer never takes such a guess, and
        no reader may: this is the one place where a guess becomes a value.
        """
        if not self.bit((kind, "guessed"), int(value == guess)):
            return self.number(kind, value, limit)
        if not 0 <= guess <= limit:
            raise InvalidModel(f"{kind} of the file is guessed beyond the format's limit of {limit}.", field=kind)
        return guess

    def repeated(self, kind: str, value: int, limit: int) -> int:
        """An integer of 0..limit that is probably the last one of its kind; 0 before the first."""
        self._last[kind] = self.guessed(kind, value, self._last.get(kind, 0), limit)
        return self._last[kind]

    def text(self, kind: str, value: str, limit: int) -> str:
        """UTF-8 of at most `limit` bytes."""
        data = value.encode("utf-8", "surrogatepass")
        size = self.number(f"{kind} length", len(data), limit)
        if self._text is None:
            self._text = _build_primed_text_model().branch()
        read = bytearray()
        before = 0
        for index in range(size):
            byte = _code_byte(self._text, self.coder, before, data[index] if index < len(data) else 0)
            before = (before << 8 | byte) & 0xFFFFFF
            read.append(byte)
        try:
            return read.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidModel(f"{kind} is not valid text.", field=kind) from error

    def octets(self, kind: str, value: bytes, limit: int) -> bytes:
        """At most `limit` bytes as they are, at eight bits each."""
        size = self.number(kind, len(value), limit)
        bits = np.unpackbits(np.frombuffer(value.ljust(size, b"\0")[:size], np.uint8)).astype(np.int32)
        return np.packbits(self.coder.code_block(EVEN, bits).astype(np.uint8)).tobytes()

    def signed(self, kind: str, value: int, limit: int) -> int:
        """An integer of -limit..limit, small ones cheap."""
        folded = self.number(kind, 2 * value if value >= 0 else -2 * value - 1, 2 * limit)
        return folded // 2 if folded % 2 == 0 else -(folded + 1) // 2

    def decimal(self, kind: str, value: float) -> float:
        """One float by its shortest decimal notation: 0.286 is 286 and -3."""
        sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
        number = int("".join(map(str, digits)))
        size = self.raw(number.bit_length(), 6)
        number = self.raw(number, size)
        sign = self.bit((kind, "sign"), sign)
        power = self.signed("decimal exponent", int(exponent), 400)
        read = float(f"{'-' if sign else ''}{number}e{power}")
        if not math.isfinite(read):
            raise InvalidModel(f"{kind} of the file is not finite.", field=kind)
        return read

    def floats(self, kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Floats, (n,), exactly.

        First: whether float32 holds them all, the largest exponent, the number of mantissa bits that all values
        need. Then each value: sign, how far its exponent lies below the largest, mantissa.
        """
        is_wide = self.bit((kind, "wide"), int(not fits_float32(values)))
        exponent_bits, mantissa_bits = (11, 52) if is_wide else (8, 23)
        patterns = _to_patterns(values, bool(is_wide))
        exponents = [pattern >> mantissa_bits & (1 << exponent_bits) - 1 for pattern in patterns]
        mantissas = [pattern & (1 << mantissa_bits) - 1 for pattern in patterns]
        unused = min([mantissa_bits, *((m & -m).bit_length() - 1 for m in mantissas if m)])
        kept = self.repeated(f"{kind} mantissa bits", mantissa_bits - unused, mantissa_bits)
        largest = self.repeated(f"{kind} exponent", max(exponents, default=0), (1 << exponent_bits) - 2)
        read = []
        for pattern in patterns:
            sign = self.bit((kind, "sign"), pattern >> exponent_bits + mantissa_bits)
            exponent = self._exponent(kind, pattern >> mantissa_bits & (1 << exponent_bits) - 1, largest)
            mantissa = self.raw((pattern & (1 << mantissa_bits) - 1) >> mantissa_bits - kept, kept)
            read.append((sign << exponent_bits | exponent) << mantissa_bits | mantissa << mantissa_bits - kept)
        return _from_patterns(read, bool(is_wide))

    def _exponent(self, kind: str, value: int, largest: int) -> int:
        """0, or how far it lies below the largest."""
        if self.bit((kind, "zero exponent"), int(value == 0)):
            return 0
        below = 0
        while below < NEAR_EXPONENTS and self.bit((kind, "below", below), int(largest - value > below)):
            below += 1
        if below == NEAR_EXPONENTS:
            # A reader's own value, which is none of the file's, may lie above the largest one there.
            below += self.number(f"{kind} far below", max(0, largest - value - below), MAX_EXPONENT)
        if below >= largest:
            raise InvalidModel(f"A {kind} of the file has no valid exponent.", field=kind)
        return largest - below


def fits_float32(values: NDArray[np.float64]) -> bool:
    """Whether float32 holds every value exactly."""
    with np.errstate(over="ignore"):
        return np.array_equal(values.astype(np.float32).astype(np.float64), values)


def _to_patterns(values: NDArray[np.float64], is_wide: bool) -> list[int]:
    patterns = values.view(np.uint64) if is_wide else values.astype(np.float32).view(np.uint32)
    return [int(pattern) for pattern in patterns]


def _from_patterns(patterns: list[int], is_wide: bool) -> NDArray[np.float64]:
    if is_wide:
        return np.array(patterns, dtype=np.uint64).view(np.float64)
    return np.array(patterns, dtype=np.uint32).view(np.float32).astype(np.float64)


def _code_byte(model: MixedBit, coder: BitCoder, before: int, byte: int) -> int:
    node = 1
    for shift in range(7, -1, -1):
        contexts = (node, node | (before & 0xFF) << 8, node | (before & 0xFFFF) << 8, node | before << 8)
        node = 2 * node | model.transcode(coder, contexts, 0, byte >> shift & 1)
    return node & 0xFF


class _Rehearsal:
    """A coder for text that both sides know already."""

    def transcode(self, probability: int, bit: int) -> int:  # noqa: ARG002 - there is no file
        return bit

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:  # noqa: ARG002
        return bits


@functools.cache
def _build_primed_text_model() -> MixedBit:
    """What every file's text model starts from: it has seen the primer."""
    model = MixedBit(num_inputs=4, num_weight_sets=1)
    before = 0
    for byte in TEXT_PRIMER.encode("ascii"):
        _code_byte(model, _Rehearsal(), before, byte)
        before = (before << 8 | byte) & 0xFFFFFF
    return model
