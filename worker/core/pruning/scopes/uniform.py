"""Every layer loses the same fraction."""

from __future__ import annotations

from worker.core.pruning.masks import Masks, Scores, count_kept, keep_largest

RANKS_TOGETHER = False


def choose_masks(scores: Scores, sparsity: float) -> Masks:
    """The largest scores of each layer."""
    return {name: keep_largest(score, count_kept(score.numel(), sparsity)) for name, score in scores.items()}
