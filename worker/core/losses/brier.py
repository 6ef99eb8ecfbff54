"""Squared distance between the probabilities and the right class (Brier 1950): no picture weighs without bound."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def compute(logits: torch.Tensor, labels: torch.Tensor, label_smoothing: float, reduction: str) -> torch.Tensor:
    """The sum over classes of (probability - target)², 0..2, of each picture."""
    num_classes = logits.shape[1]
    targets = F.one_hot(labels, num_classes) * (1 - label_smoothing) + label_smoothing / num_classes
    losses = (logits.softmax(1) - targets).square().sum(1)
    return losses.mean() if reduction == "mean" else losses


def compute_guess(num_classes: int, label_smoothing: float) -> float:
    """Of 1 / num_classes for each class."""
    return (1 - label_smoothing) ** 2 * (1 - 1 / num_classes)
