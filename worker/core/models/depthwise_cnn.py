"""A small depthwise-separable network (Howard et al. 2017, MobileNet)."""

from __future__ import annotations

import torch
from torch import nn


class DepthwiseCnn(nn.Module):
    """Stem convolution, two depthwise-separable blocks, global average pooling, linear."""

    def __init__(self, widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        stem, second, third = widths
        self.stem = nn.Conv2d(input_shape[0], stem, 3, padding=1, stride=2)
        self.stem_bn = nn.BatchNorm2d(stem)
        self.depthwise1 = nn.Conv2d(stem, stem, 3, padding=1, groups=stem)
        self.depthwise1_bn = nn.BatchNorm2d(stem)
        self.pointwise1 = nn.Conv2d(stem, second, 1)
        self.pointwise1_bn = nn.BatchNorm2d(second)
        self.depthwise2 = nn.Conv2d(second, second, 3, padding=1, stride=2, groups=second)
        self.depthwise2_bn = nn.BatchNorm2d(second)
        self.pointwise2 = nn.Conv2d(second, third, 1)
        self.pointwise2_bn = nn.BatchNorm2d(third)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(third, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns logits (B, num_classes)."""
        x = self.relu(self.stem_bn(self.stem(x)))
        x = self.relu(self.depthwise1_bn(self.depthwise1(x)))
        x = self.relu(self.pointwise1_bn(self.pointwise1(x)))
        x = self.relu(self.depthwise2_bn(self.depthwise2(x)))
        x = self.relu(self.pointwise2_bn(self.pointwise2(x)))
        logits: torch.Tensor = self.fc(self.pool(x).flatten(1))
        return logits


def build(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network for these widths; see `build_model`."""
    return DepthwiseCnn(widths, input_shape, num_classes)
