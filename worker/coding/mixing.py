"""Adaptive probabilities of binary decisions.

`MixedBit` is the logistic mixing of the PAQ family (Mahoney, "Adaptive weighing of context models for lossless data
compression", 2005): several contexts each guess, a small network mixes the guesses and learns whom to trust.
Everything is in whole numbers - table look-ups, products and shifts - so that every machine computes the same
probabilities. Shifts to the right round down, also for negative numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.coding.ranges import BitCoder
from worker.coding.tables import LOGIT, LOGIT_LIMIT, PROBABILITY

STATE_BITS = 22
"""A context's probability has six bits more than the coder's, so that slow learning is not rounded away."""

EVEN_STATE = 1 << STATE_BITS - 1

MEMORY = 1000
"""After so many decisions a context forgets as fast as it learns."""

RATES = [65536 // (count + 3) for count in range(MEMORY)]
"""The share, in 1/65536, by which a context's decision moves its probability: 1 / (decisions before + 3)."""

WHOLE_WEIGHT = 65536
STARTING_WEIGHT = 10000
SLOWEST_MIX = 6
"""The rate at which weights learn: 800 / (decisions before + 16), but never less than this."""


class AdaptiveBits:
    """Decisions that have one context each."""

    def __init__(self) -> None:
        self._states: dict[Hashable, list[int]] = {}

    def transcode(self, coder: BitCoder, context: Hashable, bit: int) -> int:
        """Returns the bit in the file."""
        state = self._states.setdefault(context, [EVEN_STATE, 0])
        bit = coder.transcode(min(65535, max(1, state[0] >> 6)), bit)
        probability, count = state
        state[0] = probability + (((bit << STATE_BITS) - probability) * RATES[count] >> 16)
        state[1] = min(count + 1, MEMORY - 1)
        return bit


class MixedBit:
    """One kind of decision, seen in `num_inputs` contexts at once.

    The first context is the base: a new context of another input starts from the base's probability, and the mix is
    the base's logit plus the weighted distances of the others from it. `num_weight_sets` sets of weights learn apart.
    """

    def __init__(self, num_inputs: int, num_weight_sets: int) -> None:
        self._tables: list[dict[int, list[int]]] = [{} for _ in range(num_inputs)]
        self._weights = [[WHOLE_WEIGHT] + [STARTING_WEIGHT] * (num_inputs - 1) for _ in range(num_weight_sets)]
        self._counts = [0] * num_weight_sets
        self._met: list[int] | None = None

    def branch(self) -> MixedBit:
        """One that starts from what this one has learnt. This one must not learn any more."""
        branched = MixedBit(len(self._tables), len(self._weights))
        branched._tables = [_BranchedContexts(table) for table in self._tables]
        branched._weights = [weights.copy() for weights in self._weights]
        branched._counts = self._counts.copy()
        return branched

    def count_contexts(self) -> list[int]:
        """How many have been met since they were last forgotten, by input; the kernel leaves out the first's."""
        return [len(table) for table in self._tables] if self._met is None else self._met

    def forget_contexts(self) -> None:
        """For a new layer: its rows and columns are new, whom to trust is not."""
        self._tables = [{} for _ in self._tables]
        self._met = None

    def note_contexts(self, counts: Sequence[int]) -> None:
        """Says how many were met where others have coded: of each input but the first."""
        self._met = [0, *counts]

    def get_learnt(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Whom to trust: the weights, (sets, inputs), and how many decisions each set has seen, (sets,)."""
        return np.array(self._weights, np.int64), np.array(self._counts, np.int64)

    def set_learnt(self, weights: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Goes on from what `get_learnt` gave."""
        self._weights, self._counts = weights.tolist(), counts.tolist()

    def transcode(self, coder: BitCoder, contexts: Sequence[int], weight_set: int, bit: int) -> int:
        """contexts: one per input. Returns the bit in the file."""
        # This is where the time goes: plain loops over a few numbers are the fastest that Python offers here.
        states: list[list[int]] = []
        logits: list[int] = []
        weights = self._weights[weight_set]
        base = base_logit = mixed = 0
        for table, context, weight in zip(self._tables, contexts, weights, strict=True):
            state = table.get(context)
            if state is None:
                state = table[context] = [base if states else EVEN_STATE, 0]
            if states:
                logit = LOGIT[state[0] >> 6] - base_logit
            else:
                base = state[0]
                logit = base_logit = LOGIT[base >> 6]
            mixed += weight * logit
            states.append(state)
            logits.append(logit)
        mixed >>= 16
        if mixed > LOGIT_LIMIT:
            mixed = LOGIT_LIMIT
        elif mixed < -LOGIT_LIMIT:
            mixed = -LOGIT_LIMIT
        probability = PROBABILITY[mixed + LOGIT_LIMIT]
        bit = coder.transcode(probability, bit)

        count = self._counts[weight_set]
        self._counts[weight_set] = count + 1
        rate = 800 // (count + 16) if count < 118 else SLOWEST_MIX
        error = ((bit << 16) - probability) * rate
        target = bit << STATE_BITS
        for index, state in enumerate(states):
            weights[index] += error * logits[index] >> 18
            probability, count = state
            state[0] = probability + ((target - probability) * RATES[count] >> 16)
            if count < MEMORY - 1:
                state[1] = count + 1
        return bit


class _BranchedContexts(dict[int, list[int]]):
    """Contexts of which others have been met before: those are copied when they are met again."""

    def __init__(self, before: dict[int, list[int]]) -> None:
        super().__init__()
        self._before = before

    def get(self, context: int, default: Any = None) -> Any:
        state = super().get(context)
        if state is None and context in self._before:
            state = self[context] = self._before[context].copy()
        return default if state is None else state
