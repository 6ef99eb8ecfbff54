"""Masks of exactly so many weights. All choose by index, so that ties never over-prune."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Scores = Mapping[str, torch.Tensor]
Masks = dict[str, torch.Tensor]
"""Layer name → bool of the weight's shape, True keeps."""


def keep_largest(score: torch.Tensor, num_kept: int) -> torch.Tensor:
    """Bool mask of the score's shape with exactly `num_kept` True, at the largest scores."""
    mask = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    mask[torch.topk(score.flatten(), num_kept, sorted=False).indices] = True
    return mask.view(score.shape)


def keep_largest_together(scores: Scores, sparsity: float) -> Masks:
    """The largest scores of all layers, whichever layer they are in."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    mask = keep_largest(flat, count_kept(flat.numel(), sparsity))
    parts = torch.split(mask, [score.numel() for score in scores.values()])
    return {name: part.view(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def count_kept(num_weights: int, sparsity: float) -> int:
    """How many of `num_weights` stay. One always does: a network without a single weight computes nothing."""
    return max(1, num_weights - round(num_weights * sparsity))
