"""How many single decisions a writer takes: as many as the format allows where that saves bytes, and never more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.coding.networks import build_layer, build_network
from worker.coding.container import BLANK, _code_network, bound_weights, decode_network, encode_network, unpack_body
from worker.coding.fields import Fields
from worker.coding.kernel import KernelReader, load_kernel
from worker.coding.ranges import MAX_DECISIONS, CostMeter
from worker.coding.scan import SCAN_DECISIONS, choose_scans, count_decisions
from worker.coding.weights import Scan, WeightModels, code_weights
from worker.integer_network import IntegerLayer, IntegerNetwork


class CountingMeter(CostMeter):
    """Not a type that the kernel knows: every decision is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def transcode(self, probability: int, bit: int) -> int:
        self.count += 1
        return super().transcode(probability, bit)


@given(
    rows=st.integers(1, 12),
    columns=st.integers(1, 24),
    bit_width=st.integers(1, 8),
    share=st.sampled_from([0.0, 0.5, 0.95]),
    seed=st.integers(0, 2**32 - 1),
    masked=st.booleans(),
)
@settings(max_examples=200)
def test_a_layer_takes_no_more_decisions_than_are_counted_for_it(
    rows: int, columns: int, bit_width: int, share: float, seed: int, masked: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(-(1 << bit_width - 1), 1 << bit_width - 1, (rows, columns)).astype(np.int8)
    weight[rng.random(weight.shape) < share] = 0
    layer = build_layer("fc", weight, bit_width)
    has_empty = not ((weight != 0).any(axis=0).all() and (weight != 0).any(axis=1).all())
    meter = CountingMeter()
    code_weights(Fields(meter), WeightModels(), weight, bit_width, Scan(masked=masked and has_empty))
    assert meter.count <= count_decisions(layer)
    assert count_decisions(replace(layer, weight=np.zeros_like(weight))) == rows + columns + weight.size


def draw_large(seed: int) -> IntegerNetwork:
    """Some 400,000 weights of eight bits: far more decisions than a file may hold."""
    rng = np.random.default_rng(seed)
    layers: list[IntegerLayer] = []
    for place in range(8):
        weight = rng.integers(-128, 128, (64, 800)).astype(np.int8)
        weight[rng.random(64) < 0.2] = 0
        layers.append(build_layer(f"layer {place}", weight, 8, seed=place))
    return build_network(*layers)


def test_layers_go_in_blocks_where_no_more_decisions_are_left() -> None:
    network = draw_large(seed=0)
    one = count_decisions(network.layers[0])
    left = 8 * SCAN_DECISIONS + 2 * one + one // 2
    assert [scan.in_blocks for scan in choose_scans(network, left)] == [False, False, *[True] * 6]
    assert all(scan.in_blocks and not scan.masked for scan in choose_scans(network, 0))
    assert not any(scan.in_blocks for scan in choose_scans(build_network(*network.layers[:1])))


@pytest.mark.slow
def test_a_file_takes_nearly_all_decisions_that_it_may_hold() -> None:
    library = load_kernel()
    if library is None:
        pytest.skip("THE CODER'S KERNEL IS NOT BUILT: a million decisions take Python a quarter of a minute")
    network = draw_large(seed=1)
    data = encode_network(network)
    reader = KernelReader(library, unpack_body(data))
    read = _code_network(Fields(reader), BLANK, (), bound_weights(data), version=data[2])
    assert all((one.weight == other.weight).all() for one, other in zip(read.layers, network.layers, strict=True))
    largest = max(map(count_decisions, network.layers))
    assert 0 <= reader._state.decisions_left <= largest + MAX_DECISIONS // 16
    assert len(decode_network(data).layers) == 8
