"""What a pruning method is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class ScoreInputs:
    """gradients: layer name → gradient of the loss by its weight, where they were computed. seed: for chance."""

    gradients: Mapping[str, torch.Tensor] | None = None
    seed: int = 0


ScoreFn = Callable[[nn.Module, ScoreInputs], dict[str, torch.Tensor]]
"""Layer name → scores of its weight's shape, all >= 0; higher is kept."""
