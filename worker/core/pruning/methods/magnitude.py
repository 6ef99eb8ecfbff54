"""The absolute value of a weight: small ones go first."""

from __future__ import annotations

import torch
from torch import nn
from torch_pruning.pruner.importance import GroupMagnitudeImportance, Importance

from worker.core.graph import list_layers
from worker.core.pruning.scoring import ScoreInputs

NEEDS_GRADIENTS = False


def compute_scores(model: nn.Module, inputs: ScoreInputs) -> dict[str, torch.Tensor]:  # noqa: ARG001 - a ScoreFn
    """|w| of every weight (Han et al. 2015, arXiv:1506.02626)."""
    return {name: layer.weight.detach().abs() for name, layer in list_layers(model).items()}


def build_importance() -> Importance:
    """The length of a channel's weights, over all that hangs together (Fang et al. 2023, arXiv:2301.12900)."""
    return GroupMagnitudeImportance(p=2)
