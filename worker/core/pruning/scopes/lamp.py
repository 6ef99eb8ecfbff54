"""Magnitudes scaled by what is left of their layer, then across layers (Lee et al. 2021)."""

from __future__ import annotations

import torch

from worker.core.pruning.masks import Masks, Scores, keep_largest_together

RANKS_TOGETHER = True


def choose_masks(scores: Scores, sparsity: float) -> Masks:
    """The largest LAMP scores of all layers. What is below 0 counts as 0."""
    scaled = {name: compute_lamp(score.clamp_min(0)) for name, score in scores.items()}
    return keep_largest_together(scaled, sparsity)


def compute_lamp(score: torch.Tensor) -> torch.Tensor:
    """Layer-adaptive magnitude: score² over the sum of all score² that are at least as large.

    Lee et al. 2021, arXiv:2010.07611. Any shape in, the same shape out, in (0, 1].
    """
    squared = score.flatten().double().square()
    ordered, order = squared.sort(descending=True)
    lamp = torch.empty_like(squared)
    lamp[order] = ordered / ordered.cumsum(0).clamp_min(torch.finfo(torch.float64).tiny)
    return lamp.view(score.shape)
