"""A small residual network (He et al. 2016): stem, two residual blocks, global average pooling."""

from __future__ import annotations

import torch
from torch import nn


class ResNetSmall(nn.Module):
    """widths: stem, inside of block 1, output of block 2, inside of block 2.

    Block 1 keeps the stem's width (identity shortcut); block 2 halves the picture (1x1 shortcut).
    """

    def __init__(self, widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        stem, inner1, outer2, inner2 = widths
        self.stem = nn.Conv2d(input_shape[0], stem, 3, padding=1, stride=2)
        self.stem_bn = nn.BatchNorm2d(stem)
        self.conv1a = nn.Conv2d(stem, inner1, 3, padding=1)
        self.bn1a = nn.BatchNorm2d(inner1)
        self.conv1b = nn.Conv2d(inner1, stem, 3, padding=1)
        self.bn1b = nn.BatchNorm2d(stem)
        self.conv2a = nn.Conv2d(stem, inner2, 3, padding=1, stride=2)
        self.bn2a = nn.BatchNorm2d(inner2)
        self.conv2b = nn.Conv2d(inner2, outer2, 3, padding=1)
        self.bn2b = nn.BatchNorm2d(outer2)
        self.shortcut2 = nn.Conv2d(stem, outer2, 1, stride=2)
        self.shortcut2_bn = nn.BatchNorm2d(outer2)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(outer2, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns logits (B, num_classes)."""
        x = self.relu(self.stem_bn(self.stem(x)))
        y = self.relu(self.bn1a(self.conv1a(x)))
        x = self.relu(x + self.bn1b(self.conv1b(y)))
        y = self.relu(self.bn2a(self.conv2a(x)))
        x = self.relu(self.shortcut2_bn(self.shortcut2(x)) + self.bn2b(self.conv2b(y)))
        logits: torch.Tensor = self.fc(self.pool(x).flatten(1))
        return logits


def build(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network for these widths; see `build_model`."""
    return ResNetSmall(widths, input_shape, num_classes)
