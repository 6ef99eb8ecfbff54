"""Chance: the control that every other method must beat."""

from __future__ import annotations

import torch
from torch import nn
from torch_pruning.pruner.importance import Importance, RandomImportance

from worker.core.graph import list_layers
from worker.core.pruning.scoring import ScoreInputs

NEEDS_GRADIENTS = False


def compute_scores(model: nn.Module, inputs: ScoreInputs) -> dict[str, torch.Tensor]:
    """Uniform in [0, 1), the same for the same seed."""
    generator = torch.Generator().manual_seed(inputs.seed)
    return {
        name: torch.rand(layer.weight.shape, generator=generator).to(layer.weight.device)
        for name, layer in list_layers(model).items()
    }


def build_importance() -> Importance:
    """Uniform, by torch's global generator."""
    return RandomImportance()
