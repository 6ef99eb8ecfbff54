"""A record of a network: what is refused, what is read back, and that it tells what PyTorch's modules are."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.worker.network.handwritten import HANDWRITTEN
from tests.worker.network.records import records
from worker.catalog import Architecture
from worker.network.architectures import DEFAULT_WIDTHS, describe_network
from worker.network.names import ATTRIBUTES, is_reserved
from worker.network.operations import OPERATIONS
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.elementwise import Add, Concatenate, Multiply
from worker.network.operations.layers import Convolution
from worker.network.operations.pooling import AveragePool, MaxPool
from worker.network.record import MAX_NODES, Network, NetworkBuilder, parse_network

SHAPES = [(1, 28, 28), (3, 32, 32), (2, 17, 23)]


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A built-in network of any widths."""
    architecture = draw(st.sampled_from(list(Architecture)))
    count = len(DEFAULT_WIDTHS[architecture])
    widths = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    shape = draw(st.sampled_from(SHAPES))
    return describe_network(architecture, tuple(widths), input_shape=shape, num_classes=draw(st.integers(1, 12)))


@pytest.mark.parametrize("architecture", list(Architecture))
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_record_tells_what_the_module_is(
    architecture: Architecture, shape: tuple[int, int, int], factor: int
) -> None:
    widths = tuple(-(-width // factor) for width in DEFAULT_WIDTHS[architecture])
    network = describe_network(architecture, widths, input_shape=shape, num_classes=7)
    model = HANDWRITTEN[architecture](widths, shape, 7)
    state = {name: tuple(value.shape) for name, value in model.state_dict().items() if "num_batches" not in name}
    assert list(network.tensors.items()) == list(state.items())
    assert network.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert network.shapes[network.output] == tuple(model(torch.zeros(2, *shape))[0].shape)


@given(network=networks() | records())
def test_a_record_is_read_back_as_it_was(network: Network) -> None:
    text = json.dumps(network.to_json())
    again = parse_network(text)
    assert again == network
    assert (again.shapes, again.tensors) == (network.shapes, network.tensors)
    assert again.activation_sizes == tuple(math.prod(shape) for shape in network.shapes)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(network=networks() | records(), data=st.data())
def test_whatever_stands_in_a_record_it_is_read_or_refused(network: Network, data: st.DataObject) -> None:
    said = network.to_json()
    node = data.draw(st.integers(0, len(said["nodes"]) - 1))
    said["nodes"][node][data.draw(st.integers(0, 3))] = data.draw(_ANY)
    try:
        network = parse_network(json.dumps(said))
    except InvalidNetwork:
        return
    assert parse_network(json.dumps(network.to_json())) == network


SMALL: dict[str, Any] = {
    "input": [1, 4, 4],
    "nodes": [
        ["convolution", [-1], {"out_channels": 2, "kernel": [3, 3]}, "conv"],
        ["flatten", [0], {}, "flat"],
        ["linear", [1], {"out_features": 3}, "fc"],
    ],
    "output": 2,
}


def change(node: int, place: int, value: Any) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(json.dumps(SMALL))
    said["nodes"][node][place] = value
    return said


def insert(operation: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """The small record with an operation after its convolution."""
    said: dict[str, Any] = json.loads(json.dumps(SMALL))
    return {
        **said,
        "nodes": [
            said["nodes"][0],
            [operation, [0], attributes, "more"],
            *([one[0], [one[1][0] + 1], *one[2:]] for one in said["nodes"][1:]),
        ],
        "output": 3,
    }


def test_the_small_record_is_a_network() -> None:
    network = parse_network(json.dumps(SMALL))
    assert network.to_json() == SMALL
    assert network.shapes == ((2, 2, 2), (8,), (3,))
    assert network.macs == {"conv": 9 * 8, "fc": 24}
    assert network.num_parameters == 2 * 9 + 2 + 3 * 8 + 3


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (change(0, 0, "eval"), "eval"),
        (change(0, 0, ["convolution"]), "convolution"),
        (change(0, 1, [0]), "conv"),
        (change(0, 1, [1]), "conv"),
        (change(0, 1, [-2]), "conv"),
        (change(0, 1, []), "conv"),
        (change(0, 1, [True]), "conv"),
        (change(0, 1, [-1, -1]), "conv"),
        (change(0, 2, {}), "out_channels"),
        (change(0, 2, {"out_channels": 2, "kernel": [3, 3], "code": 1}), "conv"),
        (change(0, 2, {"out_channels": True, "kernel": [3, 3]}), "out_channels"),
        (change(0, 2, {"out_channels": "2", "kernel": [3, 3]}), "out_channels"),
        (change(0, 2, {"out_channels": 1 << 17, "kernel": [3, 3]}), "out_channels"),
        (change(0, 2, {"out_channels": 2, "kernel": [5, 5]}), "conv"),
        (change(0, 2, {"out_channels": 3, "kernel": [3, 3], "groups": 2}), "conv"),
        (change(1, 3, "conv"), "twice"),
        (change(1, 3, "conv.inner"), "conv.inner"),
        (change(1, 3, "../etc"), "../etc"),
        (change(1, 3, 7), "name"),
        (change(1, 3, ".".join("a" * 17)), "16"),
        (change(1, 3, ".".join("a" * 128)), "16"),
        (change(1, 3, "forward"), "forward"),
        (change(1, 3, "block.training.0"), "training"),
        (change(1, 3, "block.__class__"), "__class__"),
        (change(1, 3, "_modules"), "_modules"),
        (change(1, 3, "block.weight"), "weight"),
        (change(1, 0, "relu"), "fc"),
        *(
            (insert(operation, {attribute: value}), attribute)
            for operation, attribute in (
                ("batch_norm", "eps"),
                ("batch_norm", "momentum"),
                ("leaky_relu", "negative_slope"),
            )
            for value in ("0.1", True, None, [0.1], -0.1, 1.5, math.nan, math.inf)
        ),
        (insert("batch_norm", {"eps": 0}), "eps"),
        (insert("batch_norm", {"momentum": 0.0}), "momentum"),
        (change(2, 1, [0]), "flat"),
        (change(2, 1, [-1]), "flat"),
        ({**SMALL, "output": 3}, "output"),
        ({**SMALL, "output": 1}, "fc"),
        ({**SMALL, "output": -1}, "output"),
        ({**SMALL, "output": True}, "output"),
        ({**SMALL, "input": [1, 4]}, "input"),
        ({**SMALL, "input": [0, 4, 4]}, "input"),
        ({**SMALL, "input": [1, 4, 1 << 40]}, "input"),
        ({**SMALL, "nodes": []}, "nodes"),
        ({**SMALL, "nodes": [SMALL["nodes"][0]] * (MAX_NODES + 1)}, "nodes"),
        ({**SMALL, "more": 1}, "nothing else"),
        ([], "nothing else"),
    ],
    ids=lambda value: f"{json.dumps(value)[-30:]!a}",
)
def test_what_is_no_network_is_refused_and_named(said: Any, named: str) -> None:
    with pytest.raises(InvalidNetwork) as raised:
        parse_network(json.dumps(said))
    assert named in str(raised.value)


@pytest.mark.parametrize("name", ["0", "features.0.conv", "_stem", "class", "weights", ".".join("a" * 16), "x" * 255])
def test_names_that_modules_have_are_names(name: str) -> None:
    assert parse_network(json.dumps(change(1, 3, name))).nodes[1].name == name


def test_no_module_can_be_called_what_every_module_has() -> None:
    module = nn.Module()
    assert [name for name in dir(module) if not is_reserved(name)] == []
    assert [name for name in nn.BatchNorm2d(1).state_dict() if not is_reserved(name)] == []
    for name in ATTRIBUTES:
        with pytest.raises(KeyError):
            module.add_module(name, nn.Identity())


def test_whole_numbers_may_stand_for_fractions() -> None:
    (network, again) = (parse_network(json.dumps(insert("batch_norm", {"momentum": value}))) for value in (1, 1.0))
    assert network == again
    assert parse_network(json.dumps(insert("leaky_relu", {"negative_slope": 0}))).shapes[1] == (2, 2, 2)


@pytest.mark.parametrize("key", ["output", "out_channels", "bias"])
def test_a_key_that_comes_twice_is_refused(key: str) -> None:
    said = {"output": 2, "out_channels": 2, "bias": True}[key]
    text = json.dumps(change(0, 2, {"out_channels": 2, "kernel": [3, 3], "bias": True}))
    pair = f'"{key}": {json.dumps(said)}'
    assert text.count(pair) == 1
    assert parse_network(text).output == 2
    with pytest.raises(InvalidNetwork, match=key):
        parse_network(text.replace(pair, f"{pair}, {pair}"))


@pytest.mark.parametrize("text", ["", "nothing", "[" * 100_000, " " * (2 << 20), b"\xff"])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidNetwork):
        parse_network(text)


def test_a_record_cannot_grow_without_end() -> None:
    builder = NetworkBuilder((1, 1, 1))
    index = -1
    for number in range(100):
        index = builder.add(f"join{number}", Concatenate(), index, index)
    with pytest.raises(InvalidNetwork, match="too large"):
        builder.build()


def test_every_operation_is_explained() -> None:
    assert all(operation.__doc__ for operation in OPERATIONS.values())


# --- the rules of shape, held against PyTorch's

_WINDOW = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(5, 11))


@given(high=_WINDOW, wide=_WINDOW, dilation=st.integers(1, 2), groups=st.sampled_from([1, 2]))
def test_a_convolution_is_as_large_as_the_real_one(
    high: tuple[int, ...], wide: tuple[int, ...], dilation: int, groups: int
) -> None:
    (kernel, stride, padding, sides) = zip(high, wide, strict=True)
    operation = Convolution(
        out_channels=4, kernel=kernel, stride=stride, padding=padding, dilation=(dilation, dilation), groups=groups
    )
    layer = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups)
    try:
        real = tuple(layer(torch.zeros(1, 2, *sides))[0].shape)
    except RuntimeError:
        with pytest.raises(InvalidNetwork):
            operation.infer_shape(((2, *sides),))
        return
    assert operation.infer_shape(((2, *sides),)) == real
    assert operation.list_tensors(((2, *sides),)) == {n: tuple(p.shape) for n, p in layer.named_parameters()}


@given(high=_WINDOW, wide=_WINDOW, ceil_mode=st.booleans())
def test_a_window_is_moved_as_often_as_the_real_one(
    high: tuple[int, ...], wide: tuple[int, ...], ceil_mode: bool
) -> None:
    (kernel, stride, padding, sides) = zip(high, wide, strict=True)
    for operation, real in ((MaxPool, nn.MaxPool2d), (AveragePool, nn.AvgPool2d)):
        ours = operation(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
        theirs = real(kernel, stride, padding, ceil_mode=ceil_mode)
        try:
            shape = tuple(theirs(torch.zeros(1, 2, *sides))[0].shape)
        except RuntimeError:
            with pytest.raises(InvalidNetwork):
                ours.infer_shape(((2, *sides),))
            continue
        assert ours.infer_shape(((2, *sides),)) == shape


_SHAPE = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@given(first=_SHAPE, second=_SHAPE)
def test_what_is_joined_fits_as_it_does_for_tensors(first: list[int], second: list[int]) -> None:
    shapes = (tuple(first), tuple(second))
    for operation in (Add(), Multiply(), Concatenate()):
        tensors = [torch.zeros(shape) for shape in shapes]
        try:
            shape = operation.infer_shape(shapes)
        except InvalidNetwork:
            continue
        real = torch.cat(tensors) if isinstance(operation, Concatenate) else tensors[0] * tensors[1]
        assert shape == tuple(real.shape)
