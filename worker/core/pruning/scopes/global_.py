"""All weights compete with one another, across layers."""

from __future__ import annotations

from worker.core.pruning.masks import Masks, Scores, keep_largest_together

RANKS_TOGETHER = True


def choose_masks(scores: Scores, sparsity: float) -> Masks:
    """The largest scores of all layers."""
    return keep_largest_together(scores, sparsity)
