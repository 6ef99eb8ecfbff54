"""The client's own definition of a network's size: weights alone, from the neurons of each layer. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def compute_size_bytes(layer_sizes: Sequence[int], bit_widths: int | Sequence[int]) -> int:
    """Bytes of a fully connected network's weights, `sum(n_i * n_(i+1) * bits) / 8`, a started byte counted whole.

    layer_sizes: neurons per layer, input first; at least two. bit_widths: one for all weights, or one
    for each of the `len(layer_sizes) - 1` weight matrices. Raises ValueError when the lengths do not fit.
    """
    weights = [inputs * outputs for inputs, outputs in pairwise(layer_sizes)]
    if not weights:
        raise ValueError("a network has at least two layers")
    widths = [bit_widths] * len(weights) if isinstance(bit_widths, int) else list(bit_widths)
    if len(widths) != len(weights):
        raise ValueError(
            f"{len(layer_sizes)} layers have {len(weights)} weight matrices: as many bit widths are needed"
        )
    num_bits = sum(count * width for count, width in zip(weights, widths, strict=True))
    return -(-num_bits // 8)
