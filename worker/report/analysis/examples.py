"""Small examples that the report works out. A test holds them against the core's own functions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

WEIGHTS = ((0.42, -0.08, 0.15, -0.61), (-0.03, 0.27, -0.19, 0.05), (0.33, -0.48, 0.11, 0.02))
PRUNED = 0.5
VALUES = (-0.62, -0.11, 0.0, 0.27, 0.49, 1.0)
BIT_WIDTH = 4


@dataclass(frozen=True)
class PruningExample:
    """A matrix before and after pruning by magnitude. threshold: the largest magnitude that was dropped."""

    before: list[list[float]]
    after: list[list[float]]
    sparsity: float
    num_zeros: int
    num_weights: int
    threshold: float


@dataclass(frozen=True)
class QuantizedValue:
    """One value on its way: x, x / scale, q, and what comes back."""

    x: float
    scaled: float
    q: int
    returned: float

    @property
    def error(self) -> float:
        """returned - x."""
        return self.returned - self.x


@dataclass(frozen=True)
class QuantizationExample:
    """`VALUES` at `BIT_WIDTH` bits, symmetric."""

    scale: float
    qmin: int
    qmax: int
    values: list[QuantizedValue]


def prune_example() -> PruningExample:
    """Removes half of a layer's 12 weights by magnitude."""
    before = np.array(WEIGHTS, np.float32)
    threshold = np.sort(np.abs(before), axis=None)[round(PRUNED * before.size) - 1]
    after = np.where(np.abs(before) > threshold, before, np.float32(0))
    num_zeros = int((after == 0).sum())
    return PruningExample(
        before.tolist(), after.tolist(), num_zeros / before.size, num_zeros, before.size, float(threshold)
    )


def compute_levels(bit_width: int) -> tuple[int, int]:
    """(qmin, qmax) of a signed integer of so many bits."""
    return -(1 << (bit_width - 1)), (1 << (bit_width - 1)) - 1


def quantize(x: Array, scale: float, bit_width: int) -> Array:
    """Levels of a signed grid, as whole numbers in float32: x / scale, rounded half to even and clamped."""
    return np.clip(np.round(x / np.float32(scale)), *compute_levels(bit_width)).astype(np.float32)


def quantize_example() -> QuantizationExample:
    """Takes six values to signed integers and back."""
    x = np.array(VALUES, np.float32)
    qmin, qmax = compute_levels(BIT_WIDTH)
    scale = np.abs(x).max() / np.float32(qmax)
    q = quantize(x, scale, BIT_WIDTH)
    rows = zip(VALUES, (x / scale).tolist(), q.astype(int).tolist(), (scale * q).tolist(), strict=True)
    return QuantizationExample(float(scale), qmin, qmax, [QuantizedValue(*row) for row in rows])
