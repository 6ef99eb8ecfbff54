"""The range coder of `constriction`, one binary decision at a time.

`RangeWriter`, `RangeReader` and `CostMeter` have the same two methods, so that the code above them is written once:
it hands over the bit it wants written and goes on with the bit it gets back. A reader ignores what it is handed.
"""

from __future__ import annotations

import math
from typing import Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from storage.errors import InvalidModel

_Bernoulli = constriction.stream.model.Bernoulli
_MODELS = [_Bernoulli(probability / 65536, perfect=False) for probability in range(65536)]
COST_BITS = [-math.log2(max(probability, 0.5) / 65536) for probability in range(65537)]
"""By 65536 times the probability of what was decided."""

MAX_DECISIONS = 1 << 20
"""So many single decisions may a file hold (blocks not counted): what bounds a reader's time, whatever a file says."""


class BitCoder(Protocol):
    """Something that takes part in the coding of binary decisions."""

    def transcode(self, probability: int, bit: int) -> int:
        """probability: of a 1, in 1/65536, 1..65535. Returns the bit that is (now) in the file."""

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        """bits: (n,), all of the same probability. Returns the bits that are in the file, (n,)."""


class RangeWriter:
    """Writes."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()
        self.decisions_left = MAX_DECISIONS

    def transcode(self, probability: int, bit: int) -> int:
        self.decisions_left -= 1
        if self.decisions_left < 0:
            raise InvalidModel("The network takes more decisions than the compressed format allows.")
        self._encoder.encode(bit, _MODELS[probability])
        return bit

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        self._encoder.encode(bits, _MODELS[probability])
        return bits

    def finish(self) -> bytes:
        """The shortest string of bytes that lies in the final interval, trailing zeros left out.

        `constriction` seals with whole 32-bit words. A reader takes what is missing at the end for zeros, so any
        number within [lower, lower + range) will do, and of those the one with the most trailing zero bytes is stored.
        """
        num_words: int
        lower: int
        width: int
        num_words, (lower, width) = self._encoder.pos()
        num_bytes = 4 * num_words + 8
        words = self._encoder.get_compressed()
        if len(words) == 0:
            return b""
        sealed = int.from_bytes(words.astype(">u4").tobytes().ljust(num_bytes, b"\0")[:num_bytes], "big")
        # The sealed point is lower + 2^32 - 1 with its last 32 bits cut off; put `lower` back in full.
        prefix = (sealed >> 32 << 32) - ((lower + 0xFFFFFFFF) >> 32 << 32) % (1 << 64)
        start = prefix + (lower if lower + 0xFFFFFFFF < 1 << 64 else lower - (1 << 64))
        return choose_shortest(start, width, num_bytes)


def choose_shortest(start: int, width: int, num_bytes: int) -> bytes:
    """Of the numbers within [start, start + width), of `num_bytes` bytes, that with the most zero bytes at its end,
    which are left out.
    """
    # Wider than 256^8 the interval never is, so no more than eight bytes can be chosen freely.
    for dropped in range(8, -1, -1):
        step = 256**dropped
        value = -(-start // step) * step
        if value < start + width:
            return bytes(value.to_bytes(num_bytes, "big").rstrip(b"\0"))
    raise AssertionError("the interval of a range coder is never empty")


class RangeReader:
    """Reads what `RangeWriter` wrote. Past the end it reads zeros."""

    def __init__(self, data: bytes) -> None:
        words = np.frombuffer(data + b"\0" * (-len(data) % 4), dtype=">u4").astype(np.uint32)
        self._decoder = constriction.stream.queue.RangeDecoder(words)
        self._decisions_left = MAX_DECISIONS

    def transcode(self, probability: int, bit: int) -> int:  # noqa: ARG002 - a reader ignores what it is handed
        self._decisions_left -= 1
        if self._decisions_left < 0:
            raise InvalidModel("The file holds more decisions than the format allows.")
        try:
            return self._decoder.decode(_MODELS[probability])  # type: ignore[no-any-return]
        except AssertionError as error:
            raise InvalidModel("The file's coded part is not valid.") from error

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        try:
            block: NDArray[np.int32] = self._decoder.decode(_MODELS[probability], len(bits))
        except AssertionError as error:
            raise InvalidModel("The file's coded part is not valid.") from error
        return block


class CostMeter:
    """Writes nothing and adds up what writing would cost: how the writer compares the ways to code a layer."""

    def __init__(self) -> None:
        self.bits = 0.0

    def transcode(self, probability: int, bit: int) -> int:
        self.bits += COST_BITS[probability if bit else 65536 - probability]
        return bit

    def code_block(self, probability: int, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        ones = int(bits.sum())
        self.bits += ones * COST_BITS[probability] + (len(bits) - ones) * COST_BITS[65536 - probability]
        return bits
