"""The batch-norm gain of a channel; for channels only."""

from __future__ import annotations

import torch
import torch_pruning
from torch import nn

from worker.core.graph import compute_batch_norm_affine, get_batch_norm, list_layers
from worker.core.models.build import get_record
from worker.core.pruning.scoring import ScoreInputs
from worker.network.layers import find_batch_norms

NEEDS_GRADIENTS = False


def compute_scores(model: nn.Module, inputs: ScoreInputs) -> dict[str, torch.Tensor]:  # noqa: ARG001 - a ScoreFn
    """|w| times the gain that the following batch norm gives its channel: what is left of it after folding."""
    batch_norms = find_batch_norms(get_record(model))
    scores = {}
    for name, layer in list_layers(model).items():
        score = layer.weight.detach().abs()
        if name in batch_norms:
            gain, _ = compute_batch_norm_affine(get_batch_norm(model, batch_norms[name]))
            score = score * gain.abs().float().reshape(-1, *[1] * (score.ndim - 1))
        scores[name] = score
    return scores


class _Importance(torch_pruning.importance.BNScaleImportance):  # type: ignore[misc]
    """Batch-norm gains; magnitudes for a group without a batch norm, which the library alone would never prune."""

    def __init__(self) -> None:
        super().__init__()
        self.fallback = torch_pruning.importance.GroupMagnitudeImportance(p=2)

    def __call__(self, group: torch_pruning.dependency.Group) -> torch.Tensor:
        scores: torch.Tensor | None = super().__call__(group)
        return self.fallback(group) if scores is None else scores


def build_importance() -> torch_pruning.importance.Importance:
    """Batch-norm gains (Liu et al. 2017, arXiv:1708.06519), magnitudes where there are none."""
    return _Importance()
