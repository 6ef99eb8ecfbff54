"""Two rungs of the size ledger that need no file: the integers at their width, and their entropy."""

from __future__ import annotations

import math

import numpy as np

from worker.integer_network import IntegerLayer, IntegerNetwork

FLOAT_BITS = 32


def compute_entropy_bytes(network: IntegerNetwork) -> float:
    """The order-0 bound: each layer's weights at the entropy of their own histogram, its floats raw.

    What a coder could reach that knew the histogram beforehand and had nothing else to say.
    """
    bits = sum(compute_weight_entropy_bits(layer) + _count_float_bits(layer) for layer in network.layers)
    return bits / 8 + _count_affine_bytes(network)


def compute_packed_bytes(network: IntegerNetwork) -> int:
    """Each layer's weights at `bit_width`, its floats raw; whole bytes per layer.

    Zeros are dropped where that is smaller: by a mask of one bit per weight, or by storing each non-zero's index.
    """
    layers = sum(-(-(_count_packed_bits(layer) + _count_float_bits(layer)) // 8) for layer in network.layers)
    return layers + _count_affine_bytes(network)


def compute_weight_entropy_bits(layer: IntegerLayer) -> float:
    """n * H bits for n weights whose values have the histogram entropy H."""
    counts = np.unique(layer.weight, return_counts=True)[1].astype(np.float64)
    return float(-(counts * np.log2(counts / counts.sum())).sum()) + 0.0


def _count_packed_bits(layer: IntegerLayer) -> int:
    size, num_nonzero = layer.weight.size, int(np.count_nonzero(layer.weight))
    index_bits = max(1, math.ceil(math.log2(size)))
    dense = size * layer.bit_width
    masked = size + num_nonzero * layer.bit_width
    indexed = num_nonzero * (index_bits + layer.bit_width)
    return min(dense, masked, indexed)


def _count_float_bits(layer: IntegerLayer) -> int:
    return FLOAT_BITS * (layer.scale.size + layer.bias.size + 1)


def _count_affine_bytes(network: IntegerNetwork) -> int:
    return sum(affine.gain.nbytes + affine.shift.nbytes for affine in network.affines)
