"""Scopes: over which weights the scores compete. All choose by index, so that ties never over-prune."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from worker.catalog import PruningScope

Scores = Mapping[str, torch.Tensor]
Masks = dict[str, torch.Tensor]


def choose_masks(scores: Scores, sparsity: float, scope: PruningScope) -> Masks:
    """Layer name → bool mask of the scores' shape, True keeps.

    Over all layers exactly round(sparsity * weights) weights are dropped (`uniform`: in each layer), but never the
    last one.
    """
    if scope is PruningScope.UNIFORM:
        return {name: keep_largest(score, _count_kept(score.numel(), sparsity)) for name, score in scores.items()}
    if scope is PruningScope.GLOBAL:
        return _choose_globally(scores, sparsity)
    if scope is PruningScope.LAMP:
        return _choose_globally({name: compute_lamp(score) for name, score in scores.items()}, sparsity)
    kept = allocate_erk({name: tuple(score.shape) for name, score in scores.items()}, sparsity)
    return {name: keep_largest(score, kept[name]) for name, score in scores.items()}


def keep_largest(score: torch.Tensor, num_kept: int) -> torch.Tensor:
    """Bool mask of the score's shape with exactly `num_kept` True, at the largest scores."""
    mask = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    mask[torch.topk(score.flatten(), num_kept, sorted=False).indices] = True
    return mask.view(score.shape)


def compute_lamp(score: torch.Tensor) -> torch.Tensor:
    """Layer-adaptive magnitude: score² over the sum of all score² that are at least as large.

    Lee et al. 2021, arXiv:2010.07611. Any shape in, the same shape out, in (0, 1].
    """
    squared = score.flatten().double().square()
    ordered, order = squared.sort(descending=True)
    lamp = torch.empty_like(squared)
    lamp[order] = ordered / ordered.cumsum(0).clamp_min(torch.finfo(torch.float64).tiny)
    return lamp.view(score.shape)


def allocate_erk(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
    """Weights kept per layer, densities after Erdős–Rényi-Kernel (Evci et al. 2020, arXiv:1911.11134).

    A layer's density is proportional to (sum of its dimensions) / (product of them), capped at 1.
    """
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    budget = _count_kept(sum(sizes.values()), sparsity)
    dense: set[str] = set()
    while True:
        free = [name for name in shapes if name not in dense]
        raw = {name: sum(shapes[name]) / sizes[name] for name in free}
        left = budget - sum(sizes[name] for name in dense)
        weight_of_one = sum(raw[name] * sizes[name] for name in free)
        factor = left / weight_of_one if weight_of_one else 0.0
        overfull = {name for name in free if factor * raw[name] > 1}
        if not overfull:
            break
        dense |= overfull
    exact = {name: float(sizes[name]) if name in dense else factor * raw[name] * sizes[name] for name in shapes}
    kept = {name: int(value) for name, value in exact.items()}
    # Hand the remainder to the layers that lost most by rounding down, so that the total is exact.
    by_loss = sorted((name for name in shapes if kept[name] < sizes[name]), key=lambda n: kept[n] - exact[n])
    for name in by_loss[: budget - sum(kept.values())]:
        kept[name] += 1
    return kept


def _choose_globally(scores: Scores, sparsity: float) -> Masks:
    flat = torch.cat([score.flatten() for score in scores.values()])
    mask = keep_largest(flat, _count_kept(flat.numel(), sparsity))
    parts = torch.split(mask, [score.numel() for score in scores.values()])
    return {name: part.view(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _count_kept(num_weights: int, sparsity: float) -> int:
    # A network without a single weight computes nothing: one is kept whatever the sparsity asked for.
    return max(1, num_weights - round(num_weights * sparsity))
