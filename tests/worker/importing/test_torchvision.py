"""torchvision's networks as records: the data are what torchvision builds today, and its state dicts fit by name."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from tests.worker.network.reference import compute
from worker.importing.torchvision_tracing import build_torchvision, trace_torchvision
from worker.network.importers.onnx_file import MAX_WEIGHTS
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.layers import Linear
from worker.network.record import Network, NetworkBuilder
from worker.network.retarget import find_smallest_side, replace_classes, replace_input
from worker.network.torchvision_records import (
    NAMES,
    describe_torchvision,
    match_torchvision,
    read_summaries,
    summarise,
)

Shapes = dict[str, tuple[int, ...]]


def disturb(module: nn.Module) -> None:
    """Gives batch norms statistics and gains that are none of one: a fault in one must show."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, std=0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)


def build(name: str, num_classes: int) -> nn.Module:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = build_torchvision(name, num_classes)
    disturb(module)
    return module


def list_shapes(module: nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_what_torchvision_builds(name: str) -> None:
    module = build(name, 7)
    side = max(64, read_summaries()[name].smallest_side)
    network = describe_torchvision(name, input_shape=(3, side, side), num_classes=7)
    assert network == trace_torchvision(name, side, 7)
    assert match_torchvision(name, list_shapes(module), side) == network
    pictures = torch.randn(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(compute(network, module.state_dict(), pictures), module(pictures))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_index_says_what_the_record_is(name: str) -> None:
    network = describe_torchvision(name)
    assert read_summaries()[name] == summarise(network)
    assert network.num_parameters <= MAX_WEIGHTS


def test_the_index_names_all() -> None:
    assert tuple(read_summaries()) == NAMES


# Parameters in millions and multiply-accumulates in billions, as the tables of torchvision give them.
@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("resnet18", 11_689_512, 1.81),
        ("mobilenet_v2", 3_504_872, 0.30),
        ("squeezenet1_1", 1_235_496, 0.35),
        ("densenet121", 7_978_856, 2.83),
        ("efficientnet_b0", 5_288_548, 0.39),
        ("resnext50_32x4d", 25_028_904, 4.23),
    ],
)
def test_the_index_agrees_with_the_tables_of_torchvision(name: str, parameters: int, macs: float) -> None:
    summary = read_summaries()[name]
    assert summary.num_parameters == parameters
    assert round(summary.macs / 1e9, 2) == pytest.approx(macs, abs=0.011)


def change_state(**changes: Any) -> Shapes:
    """The shapes of a state dict of squeezenet1_1; None: without that tensor."""
    shapes = dict(describe_torchvision("squeezenet1_1", num_classes=5).tensors)
    for key, value in changes.items():
        shapes.pop(key.replace("__", "."), None)
        if value is not None:
            shapes[key.replace("__", ".")] = value
    return shapes


def test_classes_and_channels_are_read_from_the_tensors() -> None:
    network = match_torchvision("squeezenet1_1", change_state(features__0__weight=(64, 1, 3, 3)), 40)
    assert (network.input_shape, network.num_classes) == ((1, 40, 40), 5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"features__3__squeeze__weight": None}, "features.3.squeeze.weight"),
        ({"features__3__squeeze__weight": (16, 64, 1, 2)}, "features.3.squeeze.weight"),
        ({"features__0__weight": None}, "features.0.weight"),
        ({"features__0__weight": (64,)}, "features.0.weight"),
        ({"classifier__1__weight": None}, "classifier.1.weight"),
        ({"classifier__1__bias": (6,)}, "classifier.1.bias"),
        ({"classifier__1__weight": (0, 512, 1, 1)}, "classes"),
        ({"something__else": (3,)}, "something.else"),
    ],
)
def test_the_first_tensor_that_differs_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidNetwork) as raised:
        match_torchvision("squeezenet1_1", change_state(**changes))
    assert named in str(raised.value)


def test_a_name_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidNetwork) as raised:
        describe_torchvision("../resnet18")
    assert "resnet18" in str(raised.value)


def test_heads_that_only_training_reads_are_not_missed() -> None:
    shapes = dict(describe_torchvision("googlenet").tensors) | {"aux1.fc2.weight": (1000, 1024)}
    assert match_torchvision("googlenet", shapes).num_classes == 1000


# --- other classes and other pictures


def test_the_smallest_picture_is_the_smallest() -> None:
    network = describe_torchvision("squeezenet1_1")
    side = find_smallest_side(network)
    module = build("squeezenet1_1", 5)
    assert module(torch.zeros(1, 3, side, side)).shape == (1, 5)
    with pytest.raises(RuntimeError):
        module(torch.zeros(1, 3, side - 1, side - 1))
    with pytest.raises(InvalidNetwork):
        describe_torchvision("squeezenet1_1", input_shape=(3, side - 1, side - 1))


def flat_network() -> Network:
    from worker.network.architectures import describe_network

    return describe_network("lenet5")


def test_a_network_whose_weights_depend_on_the_picture_keeps_its_size() -> None:
    network = flat_network()
    with pytest.raises(InvalidNetwork) as raised:
        replace_input(network, (1, 32, 32))
    assert "fc1.weight" in str(raised.value)
    assert find_smallest_side(network) == 28  # 27 leaves 13, 9 and then 4 instead of 5
    assert replace_input(network, (1, 29, 29)).tensors == network.tensors


def test_other_classes_change_the_last_layer_alone() -> None:
    network = flat_network()
    other = replace_classes(network, 3)
    differing = {name for name, shape in network.tensors.items() if other.tensors[name] != shape}
    assert differing == {"fc3.weight", "fc3.bias"}
    assert other.num_classes == 3


@pytest.mark.parametrize("num_classes", [0, -1, 1 << 20])
def test_a_number_of_classes_that_is_none_is_refused(num_classes: int) -> None:
    with pytest.raises(InvalidNetwork):
        replace_classes(flat_network(), num_classes)


def test_classes_that_no_single_layer_gives_cannot_be_replaced() -> None:
    from worker.network.operations.elementwise import Add, Flatten

    builder = NetworkBuilder((1, 4, 4))
    flat = builder.add("flat", Flatten())
    one, other = (builder.add(name, Linear(out_features=3), flat) for name in ("one", "other"))
    builder.add("sum", Add(), one, other)
    with pytest.raises(InvalidNetwork):
        replace_classes(builder.build(), 5)
