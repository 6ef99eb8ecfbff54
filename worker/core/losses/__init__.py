"""Losses: one module each, with the loss of a batch and that of guessing."""

from __future__ import annotations

from collections.abc import Callable

import torch

from worker.catalog import Loss
from worker.registry import Registry

LOSSES = Registry[Callable[[torch.Tensor, torch.Tensor, float, str], torch.Tensor]](Loss, __name__, "compute")
"""logits float (B, num_classes), labels int64 (B,), label smoothing 0..1, reduction as torch's losses have it → with
`mean` the mean over the batch, with `none` the loss of each picture, (B,)."""
GUESSES = Registry[Callable[[int, float], float]](Loss, __name__, "compute_guess")
"""classes, label smoothing → the loss of a network that says of each class that it is as likely as any other."""


def compute_loss(
    loss: Loss, logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float, class_weights: torch.Tensor | None
) -> torch.Tensor:
    """The mean over a batch, in which a picture counts as often as its class weighs. class_weights: (num_classes,)."""
    if class_weights is None:
        return LOSSES[loss](logits, labels, label_smoothing, "mean")
    # By the number of pictures, not by the sum of their weights as torch's own: of a batch with one class that would be
    # a loss without weights. The weights have a mean of 1 over the training pictures.
    return (class_weights[labels] * LOSSES[loss](logits, labels, label_smoothing, "none")).mean()
