"""Whole channels: the network really gets narrower. torch-pruning follows the dependencies (Fang et al. 2023)."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping

import torch
import torch_pruning
from torch import nn

from worker.catalog import PruningMethod, PruningScope
from worker.core.graph import list_layers


def prune_channels(
    model: nn.Module,
    sparsity: float,
    input_shape: tuple[int, int, int],
    *,
    method: PruningMethod = PruningMethod.MAGNITUDE,
    scope: PruningScope = PruningScope.UNIFORM,
    gradients: Mapping[str, torch.Tensor] | None = None,
) -> nn.Module:
    """A narrower copy of `model`: about `sparsity` of all prunable channels and neurons are gone.

    The logits keep their number. `uniform` takes the fraction from each layer; any other scope ranks the channels
    of all layers together and leaves each layer at least a tenth. gradients: by layer name, for `taylor` alone.
    """
    narrow = copy.deepcopy(model)
    layers = list_layers(narrow)
    for name, gradient in (gradients or {}).items():
        layers[name].weight.grad = gradient.clone()
    *_, last = layers.values()
    ranked_together = scope is not PruningScope.UNIFORM
    logging.getLogger("torch_pruning").setLevel(logging.WARNING)
    pruner = torch_pruning.pruner.BasePruner(
        narrow,
        torch.zeros(1, *input_shape, device=next(narrow.parameters()).device),
        importance=_build_importance(method),
        global_pruning=ranked_together,
        pruning_ratio=sparsity,
        max_pruning_ratio=0.9 if ranked_together else 1.0,
        ignored_layers=[last],
    )
    pruner.step()
    narrow.zero_grad(set_to_none=True)
    return narrow.to(memory_format=torch.channels_last)


def count_channels(model: nn.Module) -> int:
    """Output channels and neurons of all layers but the last."""
    *hidden, _last = list_layers(model).values()
    return sum(layer.weight.shape[0] for layer in hidden)


def _build_importance(method: PruningMethod) -> torch_pruning.importance.Importance:
    if method is PruningMethod.MAGNITUDE:
        return torch_pruning.importance.GroupMagnitudeImportance(p=2)
    if method is PruningMethod.TAYLOR:
        return torch_pruning.importance.GroupTaylorImportance()
    if method is PruningMethod.BATCH_NORM_SCALE:
        return torch_pruning.importance.BNScaleImportance()
    return torch_pruning.importance.RandomImportance()
