"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any

import torch


def build(groups: list[dict[str, Any]], learning_rate: float) -> torch.optim.Optimizer:
    """As of Loshchilov and Hutter 2019, arXiv:1711.05101."""
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
