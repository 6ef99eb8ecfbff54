"""Small examples that the report works out with the project's own functions, so that they cannot say otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from worker.core.pruning import apply_pruning, check_sparsity
from worker.core.quantization.linear import (
    compute_integer_range,
    compute_symmetric_scale,
    linear_dequantize,
    linear_quantize,
)

WEIGHTS = ((0.42, -0.08, 0.15, -0.61), (-0.03, 0.27, -0.19, 0.05), (0.33, -0.48, 0.11, 0.02))
PRUNED = 0.5
VALUES = (-0.62, -0.11, 0.0, 0.27, 0.49, 1.0)
BIT_WIDTH = 4


@dataclass(frozen=True)
class PruningExample:
    """A matrix before and after `apply_pruning`. threshold: the largest magnitude that was dropped."""

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
    """A layer of 12 weights, half of them removed by magnitude."""
    layer = nn.Linear(4, 3, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(WEIGHTS))
    model = nn.Sequential(layer)
    before = layer.weight.detach().clone()
    masks = apply_pruning(model, "magnitude", PRUNED)
    report = check_sparsity(model)
    (mask,) = masks.values()
    return PruningExample(
        before=before.tolist(),
        after=layer.weight.detach().tolist(),
        sparsity=report.sparsity,
        num_zeros=sum(one.num_zeros for one in report.layers),
        num_weights=sum(one.num_weights for one in report.layers),
        threshold=float(before[~mask].abs().max()),
    )


def quantize_example() -> QuantizationExample:
    """Six values to signed integers and back."""
    x = torch.tensor(VALUES)
    scale = compute_symmetric_scale(x, BIT_WIDTH)
    q = linear_quantize(x, scale, 0, BIT_WIDTH)
    returned = linear_dequantize(q, scale, 0)
    qmin, qmax = compute_integer_range(BIT_WIDTH)
    rows = zip(VALUES, (x / scale).tolist(), q.tolist(), returned.tolist(), strict=True)
    return QuantizationExample(float(scale), qmin, qmax, [QuantizedValue(*row) for row in rows])
