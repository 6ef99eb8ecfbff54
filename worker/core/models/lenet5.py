"""LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling, 61,706 parameters on 28x28."""

from __future__ import annotations

import torch
from torch import nn


class LeNet5(nn.Module):
    """Two 5x5 convolutions, three linear layers; no batch norm."""

    def __init__(self, widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        first, second, third, fourth = widths
        channels, height, width = input_shape
        rows, columns = (height // 2 - 4) // 2, (width // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, first, 5, padding=2)
        self.conv2 = nn.Conv2d(first, second, 5)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(second * rows * columns, third)
        self.fc2 = nn.Linear(third, fourth)
        self.fc3 = nn.Linear(fourth, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns logits (B, num_classes)."""
        x = self.relu(self.pool(self.conv1(x)))
        x = self.relu(self.pool(self.conv2(x)))
        x = self.relu(self.fc1(x.flatten(1)))
        x = self.relu(self.fc2(x))
        logits: torch.Tensor = self.fc3(x)
        return logits


def build(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network for these widths; see `build_model`."""
    return LeNet5(widths, input_shape, num_classes)
