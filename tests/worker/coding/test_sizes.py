from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.worker.coding.networks import build_layer, build_network, build_typical_network, build_weight
from worker.coding import compute_entropy_bytes, compute_packed_bytes, encode_network
from worker.coding.ledger import compute_weight_entropy_bits


def measure_weight_bytes(weight: NDArray[np.int8], bit_width: int = 4) -> int:
    """What the weights add to a file: the same network without them taken off."""
    full = build_network(build_layer("fc1", weight, bit_width))
    empty = build_network(build_layer("fc1", np.zeros_like(weight), bit_width))
    return len(encode_network(full)) - len(encode_network(empty))


def test_entropy_of_a_fair_ternary_layer_is_log2_of_three_bits_each() -> None:
    layer = build_layer("fc1", np.array([[-1, 0, 1]] * 4, np.int8))
    assert compute_weight_entropy_bits(layer) == pytest.approx(12 * math.log2(3))
    # 4 scales, 4 biases and the input scale are 9 floats of 4 bytes.
    assert compute_entropy_bytes(build_network(layer)) == pytest.approx(12 * math.log2(3) / 8 + 36)


def test_packed_bytes_take_the_smallest_of_dense_mask_and_indices() -> None:
    dense = np.ones((10, 10), np.int8)
    half = dense * (np.arange(100).reshape(10, 10) % 2).astype(np.int8)
    one = np.zeros((10, 10), np.int8)
    one[0, 0] = 1
    floats = 4 * (10 + 10 + 1)
    sizes = [
        compute_packed_bytes(build_network(build_layer("fc1", w, bit_width=4))) - floats for w in (dense, half, one)
    ]
    # 100 x 4 bits; 100 + 50 x 4 bits; one index of 7 bits and 4 bits, in whole bytes.
    assert sizes == [50, 38, 2]


@pytest.mark.slow
def test_a_typical_network_is_smaller_than_its_order_0_entropy() -> None:
    network = build_typical_network()
    assert len(encode_network(network)) < compute_entropy_bytes(network)


@pytest.mark.slow
@pytest.mark.parametrize(("sparsity", "bit_width"), [(0.5, 2), (0.8, 3), (0.95, 4)])
def test_rows_and_columns_of_unequal_density_cost_less_than_order_0(sparsity: float, bit_width: int) -> None:
    weight = build_weight((40, 400), sparsity, bit_width, seed=5)
    bound = compute_weight_entropy_bits(build_layer("fc1", weight, bit_width)) / 8
    assert measure_weight_bytes(weight, bit_width) < 0.97 * bound


@pytest.mark.slow
def test_independent_weights_cost_little_more_than_their_entropy() -> None:
    weight = build_weight((40, 400), 0.9, 3, seed=6, spread=0.0)
    bound = compute_weight_entropy_bits(build_layer("fc1", weight, 3)) / 8
    # Nothing is to be learnt here, so learning costs: at most three per cent.
    assert measure_weight_bytes(weight, 3) < 1.03 * bound


@pytest.mark.slow
def test_empty_rows_and_columns_cost_nearly_nothing() -> None:
    weight = build_weight((30, 200), 0.5, 3, seed=7)
    wide = np.zeros((60, 800), np.int8)
    wide[::2, ::4] = weight
    # Eight times the cells. To say which rows and columns are empty takes at most a bit for each, 860 bits.
    assert measure_weight_bytes(wide, 3) < measure_weight_bytes(weight, 3) + 860 / 8


@pytest.mark.slow
def test_a_network_of_zeros_costs_a_few_bytes_per_layer() -> None:
    assert abs(measure_weight_bytes(np.zeros((100, 500), np.int8))) == 0
    empty = build_network(build_layer("fc1", np.zeros((100, 500), np.int8)))
    without = build_network(build_layer("fc1", np.zeros((100, 1), np.int8)))
    assert len(encode_network(empty)) - len(encode_network(without)) < 16
