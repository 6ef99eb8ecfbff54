"""A multi-layer perceptron of any number of hidden layers; LeNet-300-100 by default."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn


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


def build(widths: tuple[int, ...], input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network for these widths; see `build_model`."""
    return Mlp(widths, input_shape, num_classes)
