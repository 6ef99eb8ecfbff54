"""Sigmoid, SiLU and GELU out of operations that IEEE 754 defines: the same bits on every machine.

The exponential of a machine's library is right to the last bits, and which those are differs. In float64 and rounded to
float32 at the end, these are nearer to the truth than such a library in float32. worker/exports/c/sources/kernels.c
computes the same, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

_BOUND = 700.0
"""Of what is exponentiated: beyond, a float32 does not tell the results from 0 or infinity."""
_INVERSE_FACTORIALS = (1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)
_INVERSE_LOG_2 = 1.4426950408889634
_LOG_2 = (0.6931471803691238, 1.9082149292705877e-10)
"""In two parts, of which the first times a whole number is exact."""
_EXPONENT_BIAS, _MANTISSA_BITS = 1023, 52
_TAIL = (
    -1.196087682896218e-07, -1.1057229846247156e-05, 4.280479898834326e-06, 0.00011324623928952912,
    -0.00010470633165564504, -0.0007713736754143719, 0.0018885053310358716, 0.0025260688674845592,
    -0.023770472038737642, 0.06830870677174203, -0.11927366842680621, 0.12964509696900942,
    -0.04756229412652077, -0.13562110449402134, 1.2530080582680252,
)  # fmt: skip
"""Of (1 + 2t) exp(t^2) erfc(t) in (t - 3) / (t + 3), the highest power first: right to 1e-10 for every t from 0 on."""
_SQRT_HALF = 0.7071067811865476


def _evaluate(coefficients: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    """The polynomial at x. coefficients: the highest power's first. Multiplied and added apart: no step is fused."""
    value = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value.mul_(x).add_(coefficient)
    return value


def _exponentiate(x: torch.Tensor) -> torch.Tensor:
    """e^x to 11 digits. x: any shape, float64."""
    bounded = x.clamp(-_BOUND, _BOUND)
    power = (bounded * _INVERSE_LOG_2).round_()
    rest = bounded.sub_(power * _LOG_2[0]).sub_(power * _LOG_2[1])
    scale = power.long().add_(_EXPONENT_BIAS).bitwise_left_shift_(_MANTISSA_BITS).view(torch.float64)
    return _evaluate(_INVERSE_FACTORIALS, rest).mul_(scale)


def _compute_normal_distribution(x: torch.Tensor) -> torch.Tensor:
    """How much of the normal distribution lies below x, to 9 digits. x: any shape, float64."""
    t = x.abs() * _SQRT_HALF
    polynomial = _evaluate(_TAIL, (t - 3) / (t + 3))
    beyond = _exponentiate(-(t * t)) * polynomial / (1 + t * 2) * 0.5
    return torch.where(x < 0, beyond, 1 - beyond)


FUNCTIONS: dict[type[nn.Module], Callable[[torch.Tensor], torch.Tensor]] = {
    nn.Sigmoid: lambda x: 1 / (1 + _exponentiate(-x)),
    nn.SiLU: lambda x: x / (1 + _exponentiate(-x)),
    nn.GELU: lambda x: x * _compute_normal_distribution(x),
}
"""PyTorch's module → the function, of float64."""
_CHUNK = 1 << 14
"""Values that are computed at once: the dozens of steps find them in the cache."""


class ElementaryFunction(nn.Module):
    """One of them, of any shape, float32."""

    def __init__(self, template: nn.Module) -> None:
        super().__init__()
        self.compute = FUNCTIONS[type(template)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chunks = torch.split(x.flatten(), _CHUNK)
        return torch.cat([self.compute(chunk.double()).float() for chunk in chunks]).view(x.shape)
