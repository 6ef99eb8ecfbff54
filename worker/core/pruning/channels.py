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

LARGEST_GLOBAL_RATIO = 0.9


def prune_channels(
    model: nn.Module,
    sparsity: float,
    input_shape: tuple[int, int, int],
    *,
    method: PruningMethod = PruningMethod.MAGNITUDE,
    scope: PruningScope = PruningScope.UNIFORM,
    gradients: Mapping[str, torch.Tensor] | None = None,
    multiple_of: int = 1,
) -> nn.Module:
    """A narrower copy of `model`: about `sparsity` of all prunable channels and neurons are gone.

    The logits keep their number. `uniform` takes the fraction from each layer and leaves it at least one channel;
    any other scope ranks the channels of all layers together and spares a layer that would lose more than nine
    tenths. gradients: by layer name, for `taylor` alone. multiple_of: what is left of a layer of at least twice so
    many channels is rounded to a multiple of it (`uniform` only): 16 fills the vector registers of a processor.
    """
    narrow = copy.deepcopy(model)
    layers = list_layers(narrow)
    for name, gradient in (gradients or {}).items():
        layers[name].weight.grad = gradient.clone()
    *hidden, last = layers.values()
    ranked_together = scope is not PruningScope.UNIFORM
    logging.getLogger("torch_pruning").setLevel(logging.WARNING)
    pruner = torch_pruning.pruner.BasePruner(
        narrow,
        torch.zeros(1, *input_shape, device=next(narrow.parameters()).device),
        importance=_build_importance(method),
        global_pruning=ranked_together,
        pruning_ratio=sparsity,
        pruning_ratio_dict=None if ranked_together else _compute_ratios(hidden, sparsity, multiple_of),
        max_pruning_ratio=LARGEST_GLOBAL_RATIO if ranked_together else 1.0,
        ignored_layers=[last],
    )
    pruner.step()
    narrow.zero_grad(set_to_none=True)
    return narrow.to(memory_format=torch.channels_last)


def _compute_ratios(hidden: list[nn.Conv2d | nn.Linear], sparsity: float, multiple_of: int) -> dict[nn.Module, float]:
    """The library would leave a layer whole rather than empty; here it keeps at least one unit."""
    ratios: dict[nn.Module, float] = {}
    for layer in hidden:
        width = layer.weight.shape[0]
        unit = multiple_of if width >= 2 * multiple_of else 1
        target = max(1, round(width * (1 - sparsity) / unit)) * unit
        # The library cuts width * (1 - ratio) off to a whole number: stay above it.
        ratios[layer] = max(0.0, 1 - (target + 0.01) / width)
    return ratios


def count_channels(model: nn.Module) -> int:
    """Output channels and neurons of all layers but the last."""
    *hidden, _last = list_layers(model).values()
    return sum(layer.weight.shape[0] for layer in hidden)


class _BatchNormScaleImportance(torch_pruning.importance.BNScaleImportance):  # type: ignore[misc]
    """Batch-norm gains; magnitudes for a group without a batch norm, which the library alone would never prune."""

    def __init__(self) -> None:
        super().__init__()
        self.fallback = torch_pruning.importance.GroupMagnitudeImportance(p=2)

    def __call__(self, group: torch_pruning.dependency.Group) -> torch.Tensor:
        scores: torch.Tensor | None = super().__call__(group)
        return self.fallback(group) if scores is None else scores


def _build_importance(method: PruningMethod) -> torch_pruning.importance.Importance:
    if method is PruningMethod.MAGNITUDE:
        return torch_pruning.importance.GroupMagnitudeImportance(p=2)
    if method is PruningMethod.TAYLOR:
        return torch_pruning.importance.GroupTaylorImportance()
    if method is PruningMethod.BATCH_NORM_SCALE:
        return _BatchNormScaleImportance()
    return torch_pruning.importance.RandomImportance()
