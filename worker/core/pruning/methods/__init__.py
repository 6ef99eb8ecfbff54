"""Pruning methods: the importance of every weight of a layer, and of every channel. One module each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import nn
from torch_pruning.pruner.importance import Importance

from worker.catalog import PruningMethod
from worker.core.graph import list_layers
from worker.core.pruning.scoring import ScoreFn, ScoreInputs
from worker.datasets import Dataset, Split
from worker.registry import Registry

SCORES = Registry[ScoreFn](PruningMethod, __name__, "compute_scores")
IMPORTANCES = Registry[Callable[[], Importance]](PruningMethod, __name__, "build_importance")
"""What torch-pruning ranks channels by."""
NEEDS_GRADIENTS = Registry[bool](PruningMethod, __name__, "NEEDS_GRADIENTS")
"""Whether a method reads the gradients of the weights."""


def compute_scores(
    model: nn.Module,
    method: PruningMethod,
    *,
    gradients: Mapping[str, torch.Tensor] | None = None,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Layer name → scores of its weight's shape, all >= 0.

    gradients: layer name → gradient of the loss by its weight; for a method that needs them.
    """
    return SCORES[method](model, ScoreInputs(gradients, seed))


def compute_weight_gradients(model: nn.Module, data: Dataset, split: Split) -> dict[str, torch.Tensor]:
    """Gradients of the mean cross-entropy over `split` by each layer's weight, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    layers = list_layers(model)
    logits = model(data.normalize(split.images.to(device)))
    loss = F.cross_entropy(logits, split.labels.to(device))
    gradients = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
    return dict(zip(layers, gradients, strict=True))
