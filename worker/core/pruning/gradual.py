"""Pruning while a network trains: the sparsity grows along a cubic ramp (Zhu and Gupta 2017, arXiv:1710.01878)."""

from __future__ import annotations

from torch import nn

from worker.catalog import PruningMethod, PruningScope
from worker.core.pruning import apply_masks_, check_sparsity
from worker.core.pruning.masks import Masks
from worker.core.pruning.methods import compute_scores
from worker.core.pruning.scopes import choose_masks


class GradualPruner:
    """For `fit(after_step=…)`: raises the sparsity from the model's own to `final`, then holds its masks.

    ramp_steps: optimizer steps until `final` is reached. The masks are chosen anew every `interval` steps from the
    weights' scores, so that a weight cut early may come back while the ramp lasts. method: one that needs no gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        final: float,
        ramp_steps: int,
        *,
        scope: PruningScope,
        method: PruningMethod = PruningMethod.MAGNITUDE,
        interval: int = 20,
    ) -> None:
        self.start = check_sparsity(model).sparsity
        # Never back: what is sparser already than it is asked to be stays as sparse as it is.
        self.final = max(final, self.start)
        self.ramp_steps, self.scope, self.interval = max(1, ramp_steps), scope, interval
        self.method = method
        self.step = 0
        self.masks: Masks = {}

    def restart(self) -> None:
        """Back to before the first step, for a model that is given the weights it began with."""
        self.step = 0
        self.masks = {}

    def __call__(self, model: nn.Module) -> None:
        """Advances by one step and zeroes what is masked."""
        self.step += 1
        if self.step <= self.ramp_steps and (self.step % self.interval == 0 or self.step == self.ramp_steps):
            time = self.step / self.ramp_steps
            sparsity = self.final + (self.start - self.final) * (1 - time) ** 3
            scores = compute_scores(model, self.method)
            self.masks = choose_masks(scores, sparsity, self.scope)
        apply_masks_(model, self.masks)
