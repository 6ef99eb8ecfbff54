"""The range coder of docs/format.md, its adaptive probabilities and their mixing."""

from __future__ import annotations

import math

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

    def get_state(self) -> tuple[int, int, int, int, int]:
        """Where it stands: the next byte, lower, range and point, and how many single decisions are left."""
        return self._next, self._lower, self._range, self._point, self._decisions_left

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
