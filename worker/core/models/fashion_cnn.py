"""The default network: two convolution blocks and two linear layers, 421,834 parameters at its own widths."""

from __future__ import annotations

import torch
from torch import nn


class FashionCnn(nn.Module):
    """Conv 3x3, BN, ReLU, max-pool, twice; then linear, ReLU, linear.

    Pooling stands before ReLU: both are monotonous, so the result is the same, and ReLU sees a quarter of the values.
    """

    def __init__(self, widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        first, second, hidden = widths
        channels, height, width = input_shape
        self.conv1 = nn.Conv2d(channels, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(second)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(second * (height // 4) * (width // 4), hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns logits (B, num_classes)."""
        x = self.relu(self.pool(self.bn1(self.conv1(x))))  # (B, first, H/2, W/2)
        x = self.relu(self.pool(self.bn2(self.conv2(x))))  # (B, second, H/4, W/4)
        x = self.relu(self.fc1(x.flatten(1)))  # (B, hidden)
        logits: torch.Tensor = self.fc2(x)
        return logits


def build(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network for these widths; see `build_model`."""
    return FashionCnn(widths, input_shape, num_classes)
