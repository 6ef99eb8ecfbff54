"""Every class weighs the same: a picture weighs n / (classes * pictures of its class), as scikit-learn's `balanced`."""

from __future__ import annotations

from collections.abc import Sequence


def compute_weights(counts: Sequence[int]) -> list[float] | None:
    """After King and Zeng 2001. Classes without a picture are not among the classes, and weigh nothing."""
    num_present = sum(count > 0 for count in counts)
    return [sum(counts) / (num_present * count) if count else 0.0 for count in counts]
