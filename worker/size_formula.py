"""The client's own definition of a network's size: weights alone, from its layers' sizes. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod


def count_chain_weights(layer_sizes: Sequence[int]) -> list[int]:
    """Weights of each layer of a fully connected network, `n_i * n_(i+1)`.

    layer_sizes: neurons per layer, input first. Raises ValueError for fewer than two.
    """
    if len(layer_sizes) < 2:
        raise ValueError("a network has at least two layers")
    return [inputs * outputs for inputs, outputs in pairwise(layer_sizes)]


def count_convolution_weights(in_channels: int, out_channels: int, kernel_size: Sequence[int], groups: int = 1) -> int:
    """`out_channels * in_channels / groups * kernel`: a filter reads the channels of its own group alone.

    kernel_size: one length per dimension of the picture. Raises ValueError unless `groups` divides both channels.
    """
    if in_channels % groups or out_channels % groups:
        raise ValueError("groups must divide the channels")
    return out_channels * (in_channels // groups) * prod(kernel_size)


def compute_size_bytes(num_weights: Sequence[int], bit_widths: int | Sequence[int]) -> int:
    """Bytes of a network's weights, `sum(weights_i * bits_i) / 8`, a started byte counted whole.

    num_weights: of each layer that has any. bit_widths: one for all of them, or one for each. Raises ValueError
    when the lengths do not fit.
    """
    widths = [bit_widths] * len(num_weights) if isinstance(bit_widths, int) else list(bit_widths)
    if len(widths) != len(num_weights):
        raise ValueError(f"{len(num_weights)} layers have weights: as many bit widths are needed")
    num_bits = sum(count * width for count, width in zip(num_weights, widths, strict=True))
    return -(-num_bits // 8)
