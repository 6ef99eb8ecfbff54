"""Pruning = score x scope x pattern x schedule: four independent choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from worker.catalog import PruningMethod, PruningScope
from worker.core.graph import list_layers
from worker.core.pruning.masks import Masks
from worker.core.pruning.methods import compute_scores
from worker.core.pruning.scopes import choose_masks

__all__ = ["LayerSparsity", "SparsityReport", "apply_masks_", "apply_pruning", "check_sparsity", "get_masks"]


@dataclass(frozen=True)
class LayerSparsity:
    """Zeros among the weights of one layer (biases do not count)."""

    name: str
    num_zeros: int
    num_weights: int

    @property
    def sparsity(self) -> float:
        """Fraction of zeros, 0..1."""
        return self.num_zeros / self.num_weights


@dataclass(frozen=True)
class SparsityReport:
    """Zeros per layer and in total."""

    layers: tuple[LayerSparsity, ...]

    @property
    def sparsity(self) -> float:
        """Fraction of zeros among all weights, 0..1."""
        return sum(layer.num_zeros for layer in self.layers) / self.num_weights

    @property
    def num_weights(self) -> int:
        """Of all layers."""
        return sum(layer.num_weights for layer in self.layers)

    @property
    def granularity(self) -> float:
        """The step in which a sparsity counts: one weight in each layer."""
        return len(self.layers) / self.num_weights


def check_sparsity(model: nn.Module) -> SparsityReport:
    """Counts the zeros of every convolution and linear layer's weights."""
    return SparsityReport(
        tuple(
            LayerSparsity(name, int((layer.weight == 0).sum()), layer.weight.numel())
            for name, layer in list_layers(model).items()
        )
    )


def apply_pruning(
    model: nn.Module,
    method: PruningMethod | str,
    sparsity: float,
    *,
    scope: PruningScope | str = PruningScope.GLOBAL,
    gradients: Mapping[str, torch.Tensor] | None = None,
    seed: int = 0,
) -> Masks:
    """Sets the least important weights of `model` to zero, in place; returns the masks (True keeps).

    method: how a weight's importance is scored (`magnitude`, `random`, `taylor`, `batch_norm_scale`).
    sparsity: fraction 0..1 of all convolution and linear weights that are zero afterwards; exact by count.
    Weights that are zero already are the first to go, so a model can be pruned further step by step.
    """
    scores = compute_scores(model, PruningMethod(method), gradients=gradients, seed=seed)
    layers = list_layers(model)
    # Below every score, so that the random control too builds on the zeros of the step before.
    alive = {name: torch.where(layers[name].weight == 0, -1.0, score) for name, score in scores.items()}
    masks = choose_masks(alive, sparsity, PruningScope(scope))
    apply_masks_(model, masks)
    return masks


def apply_masks_(model: nn.Module, masks: Masks) -> None:
    """Zeroes every weight whose mask is False. Called after each optimizer step it keeps them zero."""
    layers = list_layers(model)
    with torch.no_grad():
        for name, mask in masks.items():
            layers[name].weight.mul_(mask)


def get_masks(model: nn.Module) -> Masks:
    """The masks that the zeros of a model's weights amount to; empty when it has no zero weight to speak of."""
    report = check_sparsity(model)
    if report.sparsity < 0.001:
        return {}
    return {name: layer.weight.detach() != 0 for name, layer in list_layers(model).items()}
