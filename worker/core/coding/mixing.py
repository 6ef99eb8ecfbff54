"""Adaptive probabilities of binary decisions.

`MixedBit` is the logistic mixing of the PAQ family (Mahoney, "Adaptive weighing of context models for lossless data
compression", 2005): several contexts each guess, a small network mixes the guesses and learns whom to trust.
Everything is in whole numbers - table look-ups, products and shifts - so that every machine computes the same
probabilities. Shifts to the right round down, also for negative numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from operator import mul

from worker.core.coding.ranges import BitCoder
from worker.core.coding.tables import LOGIT, LOGIT_LIMIT, PROBABILITY

STATE_BITS = 22
"""A context's probability has six bits more than the coder's, so that slow learning is not rounded away."""

EVEN_STATE = 1 << STATE_BITS - 1
MEMORY = 250
"""After so many decisions a context forgets as fast as it learns."""

RATES = [int(65536 / (count + 1.6)) for count in range(MEMORY)]
"""The share (in 1/65536) by which a context's n-th decision moves its probability."""

WHOLE_WEIGHT = 65536
STARTING_WEIGHT = 20000


class AdaptiveBits:
    """Decisions that have one context each."""

    def __init__(self) -> None:
        self._states: dict[Hashable, list[int]] = {}

    def code(self, coder: BitCoder, context: Hashable, bit: int) -> int:
        state = self._states.setdefault(context, [EVEN_STATE, 0])
        bit = coder.code(min(65535, max(1, state[0] >> 6)), bit)
        _learn(state, bit)
        return bit


class MixedBit:
    """One kind of decision, seen in `num_inputs` contexts at once.

    The first context is the base: a new context of another input starts from the base's probability, and the mix is
    base + the weighted distances of the others from the base. `num_weight_sets` sets of weights learn apart.
    """

    def __init__(self, num_inputs: int, num_weight_sets: int) -> None:
        self._num_inputs = num_inputs
        self._states: list[dict[int, list[int]]] = [{} for _ in range(num_inputs)]
        self._weights = [[WHOLE_WEIGHT] + [STARTING_WEIGHT] * (num_inputs - 1) for _ in range(num_weight_sets)]
        self._counts = [0] * num_weight_sets

    def forget_contexts(self) -> None:
        """For a new layer: its rows and columns are new, whom to trust is not."""
        self._states = [{} for _ in range(self._num_inputs)]

    def code(self, coder: BitCoder, contexts: Sequence[int], weight_set: int, bit: int) -> int:
        """contexts: one per input. Returns the bit in the file."""
        states = []
        base = self._states[0].setdefault(contexts[0], [EVEN_STATE, 0])
        for table, context in zip(self._states, contexts, strict=True):
            state = table.get(context)
            if state is None:
                state = table[context] = [base[0], 0]
            states.append(state)
        base_logit = LOGIT[base[0] >> 6]
        logits = [LOGIT[state[0] >> 6] - base_logit for state in states]
        logits[0] = base_logit
        weights = self._weights[weight_set]
        mixed = sum(map(mul, weights, logits)) >> 16
        probability = PROBABILITY[min(LOGIT_LIMIT, max(-LOGIT_LIMIT, mixed)) + LOGIT_LIMIT]
        bit = coder.code(probability, bit)

        count = self._counts[weight_set]
        self._counts[weight_set] = count + 1
        error = ((bit << 16) - probability) * max(2, 400 // (count + 16))
        self._weights[weight_set] = [w + (error * x >> 18) for w, x in zip(weights, logits, strict=True)]
        for state in states:
            _learn(state, bit)
        return bit


def _learn(state: list[int], bit: int) -> None:
    probability, count = state
    state[0] = probability + (((bit << STATE_BITS) - probability) * RATES[count] >> 16)
    if count < MEMORY - 1:
        state[1] = count + 1
