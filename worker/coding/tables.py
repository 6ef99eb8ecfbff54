"""The three tables of numbers on which every probability of the format rests.

All are integers, rounded from exact formulas. No entry lies so near a tie that two correct `log` or `exp` could round
it differently (a test measures the distance), so every machine has the same tables and reads the same file.
"""

from __future__ import annotations

import math

PROBABILITY_BITS = 16
"""A probability is an integer p of 1..65535 and means p / 65536."""

LOGIT_UNIT = 256
"""A logit is an integer x and means ln(p / (1 - p)) = x / 256."""

LOGIT_LIMIT = 2816
"""Logits are clamped to -2816..2816 (11 nats): beyond, 16 bits of probability show no difference."""


def _build_logits() -> list[int]:
    """LOGIT[p], p = 0..65535, at the middle of the step: round(256 ln((p + 1/2) / (65536 - p - 1/2)))."""
    return [round(LOGIT_UNIT * math.log((2 * p + 1) / (2 * (65536 - p) - 1))) for p in range(65536)]


def _build_probabilities() -> list[int]:
    """PROBABILITY[x + 2816], x = -2816..2816: round(65536 / (1 + exp(-x / 256))), within 1..65535."""
    return [
        min(65535, max(1, round(65536 / (1 + math.exp(-x / LOGIT_UNIT))))) for x in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1)
    ]


LOGIT = _build_logits()
PROBABILITY = _build_probabilities()
