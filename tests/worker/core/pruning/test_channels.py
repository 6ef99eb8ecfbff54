"""Channels of networks of any kind: what is left is a network again, and its record says so."""

from __future__ import annotations

import gc
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn
from torch_pruning.dependency import index_mapping

from tests.worker.network.records import records
from worker.catalog import PruningScope
from worker.core.graph import list_layers
from worker.core.models.build import build_module, get_record
from worker.core.pruning.channels import count_channels, count_largest_group, prune_channels
from worker.model_heads import COUNTER
from worker.network.layers import find_fixed_layers
from worker.network.operations.elementwise import Add, Concatenate, Flatten, HardSigmoid, Multiply, Relu, Sigmoid
from worker.network.operations.layers import BatchNorm, ChannelAffine, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool, Mean
from worker.network.record import Network, NetworkBuilder


@pytest.mark.slow
@given(network=records(), scope=st.sampled_from(PruningScope))
def test_what_is_left_of_any_network_is_what_its_record_says(network: Network, scope: PruningScope) -> None:
    assume(network.macs)
    model = build_module(network).eval()
    narrow = prune_channels(model, 0.5, network.input_shape, scope=scope)
    record = get_record(narrow)
    state = {name: tuple(value.shape) for name, value in narrow.state_dict().items() if not name.endswith(COUNTER)}
    assert state == record.tensors
    assert count_channels(narrow) <= count_channels(model)
    assert get_record(model) == network
    assert narrow(torch.zeros(2, *network.input_shape)).shape == (2, *network.shapes[network.output])


def count_places(network: Network, layer: str) -> int:
    """Values of a channel that lie beside one another in what a linear layer reads."""
    (node,) = [node for node in network.nodes if node.name == layer]
    while True:
        (shape, *_) = network.list_inputs(node)
        if len(shape) == 3:
            return math.prod(shape[1:]) if isinstance(node.operation, Flatten) else 1
        node = network.nodes[node.inputs[0]]
        if isinstance(node.operation, Linear):
            return 1


@pytest.mark.slow
@given(network=records(channels=(4, 8), without=(Sigmoid, HardSigmoid)))
def test_channels_of_next_to_nothing_go_and_the_answers_stay(network: Network) -> None:
    assume(network.macs)
    # Every second channel of every layer is next to zero, wherever it is added, joined or flattened, and stays so: no
    # operation here makes anything of zero. A channel too many, or a weight of another channel, would show.
    torch.manual_seed(0)
    model = build_module(network).eval()
    with torch.no_grad():
        for name, layer in list_layers(model).items():
            weight = layer.weight
            if isinstance(layer, nn.Linear):
                weight = weight.view(len(weight), -1, count_places(network, name))
            if name not in find_fixed_layers(network):
                weight[1::2] *= 1e-9
            if weight.shape[1] > 1:  # not depthwise
                weight[:, 1::2] *= 1e-9
            if layer.bias is not None:
                layer.bias.zero_()
    narrow = prune_channels(model, 0.5, network.input_shape)
    x = torch.randn(3, *network.input_shape, dtype=torch.float64)
    with torch.no_grad():
        before, after = model.double()(x), narrow.double()(x)
    largest = float(before.abs().max())
    assume(math.isfinite(largest))
    assert float((after - before).abs().max()) <= 1e-5 * max(1.0, largest)


def build_gated() -> Network:
    """A depthwise convolution, a per-channel affine and a squeeze-and-excite gate, all of one width."""
    builder = NetworkBuilder((1, 6, 6))
    builder.add("expand", build_square_convolution(4, 1))
    builder.add("depthwise", build_square_convolution(4, 3, groups=4))
    builder.add("norm", BatchNorm())
    builder.add("affine", ChannelAffine())
    value = builder.add("relu", Relu())
    builder.add("squeeze", AdaptiveAveragePool(output=(1, 1)))
    builder.add("reduce", build_square_convolution(2, 1))
    builder.add("inner", Relu())
    builder.add("excite", build_square_convolution(4, 1))
    gate = builder.add("gate", Sigmoid())
    builder.add("gated", Multiply(), value, gate)
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    return builder.build()


def test_channels_that_nothing_reads_go_and_the_answers_stay() -> None:
    torch.manual_seed(0)
    model = build_module(build_gated()).eval()
    with torch.no_grad():
        # Of all that belongs to channels 1 and 3 little is left, and none of it is read.
        for name in ("expand", "depthwise", "excite"):
            model.get_parameter(f"{name}.weight")[[1, 3]] *= 1e-3
        model.get_parameter("reduce.weight")[:, [1, 3]] = 0
        model.get_parameter("reduce.weight")[1] *= 1e-3
        model.get_parameter("excite.weight")[:, 1] = 0
        model.get_parameter("fc.weight")[:, [1, 3]] = 0
        for name in ("norm.weight", "norm.bias", "affine.weight", "affine.bias"):
            model.get_parameter(name).copy_(torch.tensor([1.5, 1e-3, 0.5, 1e-3]))
        model.get_buffer("norm.running_mean").copy_(torch.tensor([0.25, 9.0, 0.125, 9.0]))
    narrow = prune_channels(model, 0.5, (1, 6, 6)).eval()
    assert {name: len(value) for name, value in narrow.named_parameters() if name.endswith("weight")} == {
        "expand.weight": 2,
        "depthwise.weight": 2,
        "norm.weight": 2,
        "affine.weight": 2,
        "reduce.weight": 1,
        "excite.weight": 2,
        "fc.weight": 3,
    }
    assert narrow.get_parameter("affine.weight").tolist() == [1.5, 0.5]
    x = torch.randn(5, 1, 6, 6)
    torch.testing.assert_close(narrow(x), model(x))


def test_cutting_channels_draws_no_weights() -> None:
    # Or what is drawn afterwards would hang on whether a network was pruned before.
    model = build_module(build_gated())
    state = torch.get_rng_state()
    prune_channels(model, 0.5, (1, 6, 6))
    assert torch.equal(torch.get_rng_state(), state)


def build_dense_block(num_layers: int) -> Network:
    """Each convolution reads everything before it, joined."""
    builder = NetworkBuilder((2, 4, 4))
    values = [builder.add("stem", build_square_convolution(4, 1))]
    for number in range(num_layers):
        joined = builder.add(f"join{number}", Concatenate(), *values) if len(values) > 1 else values[0]
        values.append(builder.add(f"conv{number}", build_square_convolution(4, 3, padding=1), joined))
    builder.add("pool", Mean(), values[-1])
    builder.add("fc", Linear(out_features=3))
    return builder.build()


def test_joined_channels_are_placed_once_for_a_network_and_not_for_each_of_its_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, placed = index_mapping.update_concat_index_mapping, list[str]()

    def count(graph: Any, node: Any) -> None:
        placed.append(node.name)
        place(graph, node)

    monkeypatch.setattr(index_mapping, "update_concat_index_mapping", count)
    network = build_dense_block(8)
    num_joined = sum(isinstance(node.operation, Concatenate) for node in network.nodes)
    assert count_largest_group(build_module(network), network.input_shape) == 1
    assert len(placed) == num_joined == 7


def count_grouped() -> int:
    """Grouped convolutions that anything still holds."""
    gc.collect()
    layers = [one for one in gc.get_objects() if type(one) is nn.Conv2d]
    return sum(1 < layer.groups < layer.in_channels for layer in layers)


def test_nothing_of_a_pruned_network_is_kept() -> None:
    builder = NetworkBuilder((4, 4, 4))
    builder.add("conv", build_square_convolution(8, 1))
    builder.add("grouped", build_square_convolution(8, 3, padding=1, groups=2))
    builder.add("pool", Mean())
    builder.add("fc", Linear(out_features=3))
    network, before = builder.build(), count_grouped()
    prune_channels(build_module(network), 0.5, network.input_shape)
    assert count_grouped() == before


@pytest.mark.parametrize("joined", ["read", "added", "read twice"])
def test_channels_in_groups_of_different_numbers_stay(joined: str) -> None:
    builder = NetworkBuilder((4, 6, 6))
    first = builder.add("first", build_square_convolution(6, 1))
    pairs = builder.add("pairs", build_square_convolution(6, 1, groups=2), first)
    match joined:
        case "read":
            builder.add("triples", build_square_convolution(6, 1, groups=3), pairs)
        case "added":
            builder.add("sum", Add(), pairs, builder.add("triples", build_square_convolution(6, 1, groups=3), first))
        case _:
            triples = builder.add("triples", build_square_convolution(6, 1, groups=3), first)
            builder.add("both", Concatenate(), pairs, triples)
    builder.add("mean", Mean())
    builder.add("head", Linear(out_features=2))
    network = builder.build()
    fixed = find_fixed_layers(network)
    assert {"read": "pairs", "added": "pairs", "read twice": "first"}[joined] in fixed
    for scope in PruningScope:
        narrow = prune_channels(build_module(network).eval(), 0.5, network.input_shape, scope=scope)
        assert narrow(torch.zeros(2, *network.input_shape)).shape == (2, 2)


def test_channels_in_groups_of_one_number_go() -> None:
    builder = NetworkBuilder((4, 6, 6))
    for name, groups in (("wide", 1), ("grouped", 4), ("again", 4)):
        builder.add(name, build_square_convolution(16, 1, groups=groups))
    builder.add("mean", Mean())
    builder.add("head", Linear(out_features=2))
    network = builder.build()
    assert find_fixed_layers(network) == {"head"}
    narrow = prune_channels(build_module(network).eval(), 0.5, network.input_shape)
    assert [len(layer.weight) for layer in list_layers(narrow).values()] == [8, 8, 8, 2]
