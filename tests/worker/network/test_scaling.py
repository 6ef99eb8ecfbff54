"""Networks with a share of their channels, held against sizes that were counted by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.network.records import records
from worker.network.layers import count_outputs
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.elementwise import Add, Flatten, Multiply, Relu, Sigmoid
from worker.network.operations.layers import BatchNorm, ChannelAffine, Convolution, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool
from worker.network.record import Network, NetworkBuilder
from worker.network.scaling import match_scale, scale_channels
from worker.network.torchvision_records import describe_torchvision


def build_residual() -> Network:
    """A stem, a depthwise block with a gate, a shortcut, and ten classes."""
    builder = NetworkBuilder((3, 8, 8))
    stem = builder.add("stem", build_square_convolution(16, 3, padding=1))
    builder.add("norm", BatchNorm())
    builder.add("depthwise", build_square_convolution(16, 3, padding=1, groups=16))
    wide = builder.add("affine", ChannelAffine())
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("squeeze", build_square_convolution(6, 1))
    builder.add("relu", Relu())
    builder.add("excite", build_square_convolution(16, 1))
    gate = builder.add("gate", Sigmoid())
    builder.add("gated", Multiply(), wide, gate)
    block = builder.add("project", build_square_convolution(16, 1))
    builder.add("sum", Add(), stem, block)
    builder.add("pool2", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flat", Flatten())
    builder.add("classes", Linear(out_features=10))
    return builder.build()


def test_half_of_the_channels_are_half_in_every_layer_but_the_last() -> None:
    half = scale_channels(build_residual(), 0.5)
    expected = {"stem": 8, "depthwise": 8, "squeeze": 3, "excite": 8, "project": 8, "classes": 10}
    assert count_outputs(half) == expected
    depthwise = next(node.operation for node in half.nodes if node.name == "depthwise")
    assert isinstance(depthwise, Convolution)
    assert depthwise.groups == 8
    # 3*8*9+8, norm 2*8, 8*9+8, affine 2*8, 8*3+3, 3*8+8, 8*8+8, 8*10+10
    assert half.num_parameters == 224 + 16 + 80 + 16 + 27 + 32 + 72 + 90


def test_a_depthwise_convolution_keeps_its_number_of_filters_for_each_channel() -> None:
    builder = NetworkBuilder((3, 8, 8))
    builder.add("first", build_square_convolution(10, 1))
    builder.add("depthwise", build_square_convolution(20, 1, groups=10))
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flat", Flatten())
    builder.add("classes", Linear(out_features=2))
    # A quarter of 10 is 2, halves go to the even number.
    assert count_outputs(scale_channels(builder.build(), 0.25)) == {"first": 2, "depthwise": 4, "classes": 2}


def test_at_least_one_channel_is_left() -> None:
    assert set(count_outputs(scale_channels(build_residual(), 0.0)).values()) == {1, 10}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "densenet121", "efficientnet_b0"])
def test_a_network_of_torchvision_keeps_its_nodes_and_about_a_quarter_of_its_weights(name: str) -> None:
    whole = describe_torchvision(name, input_shape=(3, 64, 64))
    half = scale_channels(whole, 0.5)
    assert [node.name for node in half.nodes] == [node.name for node in whole.nodes]
    assert half.shapes[half.output] == whole.shapes[whole.output]
    last = 1000 * (whole.list_inputs(whole.nodes[whole.output])[0][0] if name != "squeezenet1_1" else 512)
    # Of the last layer's, whose outputs all stay, it is half; depthwise filters are few.
    assert half.num_parameters == pytest.approx((whole.num_parameters - last) / 4 + last / 2, rel=0.08)


@given(records(), st.floats(0, 1))
def test_a_scaled_network_is_one_or_refused_and_its_answer_has_as_many_numbers(network: Network, factor: float) -> None:
    try:
        scaled = scale_channels(network, factor)
    except InvalidNetwork:
        return
    assert scaled.shapes[scaled.output] == network.shapes[network.output]
    assert all(
        after <= before
        for before, after in zip(count_outputs(network).values(), count_outputs(scaled).values(), strict=True)
    )
    assert scaled.num_parameters <= network.num_parameters


@given(records())
def test_a_network_with_all_of_its_channels_is_itself(network: Network) -> None:
    assert scale_channels(network, 1.0) == network


def test_channels_that_cannot_be_grouped_are_refused() -> None:
    builder = NetworkBuilder((3, 8, 8))
    builder.add("first", build_square_convolution(8, 1))
    builder.add("grouped", build_square_convolution(8, 1, groups=4))
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flat", Flatten())
    builder.add("classes", Linear(out_features=2))
    with pytest.raises(InvalidNetwork, match="groups"):
        scale_channels(builder.build(), 0.3)


@pytest.mark.parametrize("num_bytes", [10**5, 10**6, 10**7])
def test_the_scale_is_the_one_whose_file_is_nearest(num_bytes: int) -> None:
    whole = describe_torchvision("resnet18", input_shape=(3, 64, 64), num_classes=10)
    found = match_scale(whole, num_bytes, lambda network: network.num_parameters)
    # Its narrowest layers have 64 channels: one more or less is some 3 % of all.
    assert found.num_parameters == pytest.approx(num_bytes, rel=0.15)


def test_no_network_is_scaled_up() -> None:
    whole = build_residual()
    assert match_scale(whole, 10**9, lambda network: math.prod((network.num_parameters, 4))) == whole
