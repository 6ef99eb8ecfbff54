"""Densities by layer shape: large layers lose more (Erdős–Rényi kernel, Evci et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from worker.core.pruning.masks import Masks, Scores, count_kept, keep_largest

RANKS_TOGETHER = True


def choose_masks(scores: Scores, sparsity: float) -> Masks:
    """The largest scores of each layer, as many as `allocate_erk` keeps there."""
    kept = allocate_erk({name: tuple(score.shape) for name, score in scores.items()}, sparsity)
    return {name: keep_largest(score, kept[name]) for name, score in scores.items()}


def allocate_erk(shapes: Mapping[str, tuple[int, ...]], sparsity: float) -> dict[str, int]:
    """Weights kept per layer, densities after Erdős–Rényi-Kernel (Evci et al. 2020, arXiv:1911.11134).

    A layer's density is proportional to (sum of its dimensions) / (product of them), capped at 1.
    """
    sizes = {name: torch.Size(shape).numel() for name, shape in shapes.items()}
    budget = count_kept(sum(sizes.values()), sparsity)
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
