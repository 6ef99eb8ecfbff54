"""Scopes: over which weights the scores compete. One module each."""

from __future__ import annotations

from collections.abc import Callable

from worker.catalog import PruningScope
from worker.core.pruning.masks import Masks, Scores
from worker.registry import Registry

SCOPES = Registry[Callable[[Scores, float], Masks]](PruningScope, __name__, "choose_masks")
RANKS_TOGETHER = Registry[bool](PruningScope, __name__, "RANKS_TOGETHER")
"""Whether channels of all layers compete too, else each layer loses the same fraction of its own."""


def choose_masks(scores: Scores, sparsity: float, scope: PruningScope) -> Masks:
    """Layer name → bool mask of the scores' shape, True keeps.

    scores: what is below 0 goes first. Over all layers exactly round(sparsity * weights) weights are dropped
    (`uniform`: in each layer), but never the last one.
    """
    return SCOPES[scope](scores, sparsity)
