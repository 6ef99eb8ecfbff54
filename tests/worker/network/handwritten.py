"""The built-in networks as modules written by hand: what is built from a record is held against them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import nn

from worker.catalog import Architecture


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


class Mlp(nn.Module):
    """Linear and ReLU in turn; the last linear layer gives the logits."""

    def __init__(self, widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        sizes = (math.prod(input_shape), *widths, num_classes)
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns logits (B, num_classes)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.relu(layer(x))
        logits: torch.Tensor = self.layers[-1](x)
        return logits


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


HANDWRITTEN: dict[Architecture, Callable[[tuple[int, ...], tuple[int, int, int], int], nn.Module]] = {
    Architecture.FASHION_CNN: FashionCnn,
    Architecture.LENET5: LeNet5,
    Architecture.MLP: Mlp,
    Architecture.RESNET_SMALL: ResNetSmall,
    Architecture.DEPTHWISE_CNN: DepthwiseCnn,
}
"""Architecture → its class: of the widths, the input shape and the number of classes."""
