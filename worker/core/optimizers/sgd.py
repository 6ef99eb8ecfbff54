"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

import torch


def build(groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
    """Nesterov momentum of 0.9."""
    return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True, fused=True)
