"""Losses: one module each, with the loss of a batch and that of guessing."""

from __future__ import annotations

from collections.abc import Callable

import torch

from worker.catalog import Loss
from worker.registry import Registry

LOSSES = Registry[Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]](Loss, __name__, "compute")
"""logits float (B, num_classes), labels int64 (B,), label smoothing 0..1 → the mean over the batch."""
GUESSES = Registry[Callable[[int, float], float]](Loss, __name__, "compute_guess")
"""classes, label smoothing → the loss of a network that says of each class that it is as likely as any other."""
