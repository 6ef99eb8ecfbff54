"""Scores: the importance of every weight of a layer; higher is kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from worker.catalog import PruningMethod
from worker.core.datasets import Dataset, Split
from worker.core.graph import compute_batch_norm_affine, find_batch_norms, get_batch_norm, list_layers


def compute_scores(
    model: nn.Module,
    method: PruningMethod,
    *,
    gradients: Mapping[str, torch.Tensor] | None = None,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Layer name → scores of its weight's shape, all >= 0.

    gradients: layer name → gradient of the loss by its weight; needed by `taylor` alone.
    """
    layers = list_layers(model)
    if method is PruningMethod.MAGNITUDE:
        return {name: layer.weight.detach().abs() for name, layer in layers.items()}
    if method is PruningMethod.RANDOM:
        generator = torch.Generator().manual_seed(seed)
        return {
            name: torch.rand(layer.weight.shape, generator=generator).to(layer.weight.device)
            for name, layer in layers.items()
        }
    if method is PruningMethod.TAYLOR:
        if gradients is None:
            raise ValueError("taylor scores need gradients")
        # First-order change of the loss when the weight becomes zero (SNIP, Lee et al. 2019, arXiv:1810.02340).
        return {name: (layer.weight.detach() * gradients[name]).abs() for name, layer in layers.items()}
    return _compute_batch_norm_scores(model)


def _compute_batch_norm_scores(model: nn.Module) -> dict[str, torch.Tensor]:
    """|w| times the gain that the following batch norm gives its channel: what is left of it after folding."""
    batch_norms = find_batch_norms(model)
    scores = {}
    for name, layer in list_layers(model).items():
        score = layer.weight.detach().abs()
        if name in batch_norms:
            gain, _ = compute_batch_norm_affine(get_batch_norm(model, batch_norms[name]))
            score = score * gain.abs().float().reshape(-1, *[1] * (score.ndim - 1))
        scores[name] = score
    return scores


def compute_weight_gradients(model: nn.Module, data: Dataset, split: Split) -> dict[str, torch.Tensor]:
    """Gradients of the mean cross-entropy over `split` by each layer's weight, in evaluation mode."""
    device = next(model.parameters()).device
    model.eval()
    layers = list_layers(model)
    logits = model(data.normalize(split.images.to(device)))
    loss = F.cross_entropy(logits, split.labels.to(device))
    gradients = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
    return dict(zip(layers, gradients, strict=True))
