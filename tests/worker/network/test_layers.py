"""What follows a layer, which layers are the last ones, and what is left of a network whose layers were cut."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.worker.network.records import records
from worker.catalog import Architecture
from worker.network.architectures import DEFAULT_WIDTHS, describe_network
from worker.network.layers import count_outputs, find_batch_norms, find_fixed_layers, has_batch_norm, shrink_network
from worker.network.operations.base import InvalidNetwork, Operation, Shape
from worker.network.operations.elementwise import Add, Concatenate, Flatten, Relu
from worker.network.operations.layers import BatchNorm, Convolution, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool, Mean
from worker.network.record import PICTURE, Network, NetworkBuilder


def test_each_convolution_knows_the_batch_norm_behind_it() -> None:
    assert find_batch_norms(describe_network("fashion_cnn")) == {"conv1": "bn1", "conv2": "bn2"}
    assert find_batch_norms(describe_network("lenet5")) == {}
    assert find_batch_norms(describe_network("resnet_small")) == {
        "stem": "stem_bn",
        "conv1a": "bn1a",
        "conv1b": "bn1b",
        "conv2a": "bn2a",
        "conv2b": "bn2b",
        "shortcut2": "shortcut2_bn",
    }


def test_a_batch_norm_belongs_to_a_convolution_only_where_it_alone_reads_it() -> None:
    builder = NetworkBuilder((2, 4, 4))
    builder.add("norm_of_picture", BatchNorm())
    first = builder.add("read_twice", build_square_convolution(2, 1))
    norm = builder.add("norm_of_one_reader", BatchNorm())
    builder.add("sum", Add(), first, norm)
    builder.add("before_relu", build_square_convolution(2, 1))
    builder.add("relu", Relu())
    builder.add("norm_behind_relu", BatchNorm())
    assert find_batch_norms(builder.build()) == {}


def test_networks_with_batch_norm_are_told_from_those_without() -> None:
    with_batch_norm = {one for one in Architecture if has_batch_norm(describe_network(one))}
    assert set(Architecture) - with_batch_norm == {Architecture.LENET5, Architecture.MLP}


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_built_in_network_can_lose_channels_but_for_its_logits(architecture: Architecture) -> None:
    outputs = count_outputs(describe_network(architecture))
    assert find_fixed_layers(describe_network(architecture)) == {list(outputs)[-1]}


def test_every_layer_that_reaches_the_output_keeps_its_channels_whatever_their_order() -> None:
    builder = NetworkBuilder((1, 4, 4))
    trunk = builder.add("trunk", build_square_convolution(4, 3))
    first = builder.add("head1", build_square_convolution(3, 1), trunk)
    builder.add("inner", build_square_convolution(5, 1), trunk)
    second = builder.add("head2", build_square_convolution(3, 1))
    builder.add("joined", Concatenate(), first, second)
    builder.add("mean", Mean())
    assert find_fixed_layers(builder.build()) == {"head1", "head2"}


def test_what_is_added_to_the_picture_keeps_its_channels() -> None:
    builder = NetworkBuilder((3, 4, 4))
    relu = builder.add("relu", Relu())
    builder.add("inner", build_square_convolution(5, 1))
    branch = builder.add("branch", build_square_convolution(3, 1))
    builder.add("sum", Add(), relu, branch)
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=2))
    assert find_fixed_layers(builder.build()) == {"branch", "fc"}


@pytest.mark.parametrize(
    ("widths", "groups", "fixed"),
    [
        ((4, 4), 4, set()),  # depthwise
        ((4, 8), 2, set()),
        ((4, 8), 4, {"first", "grouped"}),
        ((8, 4), 4, {"first", "grouped"}),
    ],
)
def test_a_convolution_with_one_channel_a_group_on_one_side_alone_keeps_its_channels(
    widths: tuple[int, int], groups: int, fixed: set[str]
) -> None:
    builder = NetworkBuilder((3, 4, 4))
    builder.add("first", build_square_convolution(widths[0], 1))
    builder.add("grouped", build_square_convolution(widths[1], 3, groups=groups))
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=2))
    assert find_fixed_layers(builder.build()) == {"fc", *fixed}


def test_a_depthwise_convolution_of_the_picture_keeps_its_channels() -> None:
    builder = NetworkBuilder((3, 4, 4))
    builder.add("depthwise", build_square_convolution(3, 3, groups=3))
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=2))
    assert find_fixed_layers(builder.build()) == {"depthwise", "fc"}


@pytest.mark.parametrize(
    ("readers", "are_fixed"),
    [
        ([Flatten()], True),
        ([AdaptiveAveragePool(output=(1, 1)), Flatten()], False),
        ([build_square_convolution(4, 3, groups=2), Mean()], True),
        ([build_square_convolution(8, 3, groups=8), Mean()], False),
        ([build_square_convolution(4, 3), Mean()], False),
    ],
)
def test_what_is_concatenated_keeps_its_channels_where_places_or_groups_would_be_mixed_up(
    readers: list[Operation], are_fixed: bool
) -> None:
    builder = NetworkBuilder((3, 4, 4))
    parts = [builder.add(name, build_square_convolution(4, 1), PICTURE) for name in ("first", "second")]
    builder.add("joined", Concatenate(), *parts)
    for number, reader in enumerate(readers):
        builder.add(f"reader{number}", reader)
    builder.add("fc", Linear(out_features=2))
    assert ({"first", "second"} <= find_fixed_layers(builder.build())) is are_fixed


def list_weights(network: Network) -> dict[str, Shape]:
    return {name: network.tensors[f"{name}.weight"] for name in count_outputs(network)}


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_network_is_shrunk_to_the_weights_that_pruning_left(architecture: Architecture) -> None:
    narrow = describe_network(architecture, tuple(-(-width // 3) for width in DEFAULT_WIDTHS[architecture]))
    assert shrink_network(describe_network(architecture), list_weights(narrow)) == narrow


@given(network=records())
def test_a_network_with_its_own_weights_is_itself(network: Network) -> None:
    assert shrink_network(network, list_weights(network)) == network


def test_a_grouped_convolution_keeps_its_groups_and_a_depthwise_one_has_as_many_as_channels() -> None:
    builder = NetworkBuilder((4, 4, 4))
    builder.add("first", build_square_convolution(8, 1))
    builder.add("depthwise", build_square_convolution(8, 3, groups=8))
    builder.add("grouped", build_square_convolution(12, 1, groups=4))
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    weights = {
        "first": (4, 4, 1, 1), "depthwise": (4, 1, 3, 3), "grouped": (8, 1, 1, 1), "fc": (3, 8),
    }  # fmt: skip
    shrunk = shrink_network(builder.build(), weights)
    groups = [node.operation.groups for node in shrunk.nodes if isinstance(node.operation, Convolution)]
    assert groups == [1, 4, 4]
    assert count_outputs(shrunk) == {"first": 4, "depthwise": 4, "grouped": 8, "fc": 3}


@pytest.mark.parametrize("shape", [(4, 1, 5, 5), (4, 3, 3, 3), (4, 9, 3, 3), (4, 2, 3, 3)])
def test_weights_that_do_not_fit_one_another_are_refused(shape: Shape) -> None:
    network = describe_network("fashion_cnn")
    with pytest.raises(InvalidNetwork):
        shrink_network(network, list_weights(network) | {"conv2": shape})
