"""Gradients that are too large to follow."""

from __future__ import annotations

import math

import torch
from torch import nn

LARGEST_NORM = 1000.0
"""Of all gradients together. The built-in networks stay below 30; but behind a channel that is the same for every
picture, batch norm multiplies a gradient by hundreds, and dozens of such layers by more than a float holds."""


def bound_gradients_(model: nn.Module, longest: float = LARGEST_NORM) -> None:
    """Shortens the gradients of a model to that norm. Where there is no number for their norm, they become zero: the
    step is left out, as its direction is not known.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients).item()  # read once: a device is waited for
    if not math.isfinite(norm):
        torch._foreach_zero_(gradients)
    elif norm > longest:
        torch._foreach_mul_(gradients, longest / norm)
