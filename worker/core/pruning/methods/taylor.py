"""Weight times gradient: how much the loss would change without it."""

from __future__ import annotations

import torch
from torch import nn
from torch_pruning.pruner.importance import GroupTaylorImportance, Importance

from worker.core.graph import list_layers
from worker.core.pruning.scoring import ScoreInputs

NEEDS_GRADIENTS = True


def compute_scores(model: nn.Module, inputs: ScoreInputs) -> dict[str, torch.Tensor]:
    """First-order change of the loss when the weight becomes zero (SNIP, Lee et al. 2019, arXiv:1810.02340).

    Raises ValueError without gradients.
    """
    if inputs.gradients is None:
        raise ValueError("taylor scores need gradients")
    return {name: (layer.weight.detach() * inputs.gradients[name]).abs() for name, layer in list_layers(model).items()}


def build_importance() -> Importance:
    """The same, over all that hangs together; reads the gradients of the weights (Molchanov et al. 2019)."""
    return GroupTaylorImportance()
