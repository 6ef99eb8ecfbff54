"""Modules that are built from a record: what the record says of them is so, and those written by hand are no other."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from torch import nn

from storage.errors import InvalidModel
from tests.worker.network.handwritten import HANDWRITTEN
from tests.worker.network.records import records
from worker.catalog import Architecture
from worker.core.graph import list_layers, replace_module
from worker.core.models import build_model
from worker.core.models.build import BUILDERS, build_module, get_record
from worker.model_heads import COUNTER
from worker.network.architectures import DEFAULT_WIDTHS
from worker.network.names import OWN, is_reserved
from worker.network.operations import OPERATIONS
from worker.network.operations.elementwise import Relu
from worker.network.operations.layers import BatchNorm, ChannelAffine, Linear, build_square_convolution
from worker.network.operations.pooling import Mean
from worker.network.record import Network, NetworkBuilder

SEED = 3
SHAPES = [(1, 28, 28), (3, 32, 32), (2, 17, 23)]


def build_both(
    architecture: Architecture, widths: tuple[int, ...], shape: tuple[int, int, int]
) -> tuple[nn.Module, nn.Module]:
    """The network as it is written by hand and as it is built, of the same draws."""
    torch.manual_seed(SEED)
    written = HANDWRITTEN[architecture](widths, shape, 7).to(memory_format=torch.channels_last)
    torch.manual_seed(SEED)
    return written, build_model(architecture, widths, input_shape=shape, num_classes=7)


def are_equal(first: nn.Module, second: nn.Module) -> bool:
    """Whether two state dicts hold the same values under the same names, in the same order."""
    one, other = first.state_dict(), second.state_dict()
    return list(one) == list(other) and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("architecture", list(Architecture))
@pytest.mark.parametrize("shape", SHAPES)
def test_a_seed_draws_the_weights_that_it_drew_when_networks_were_classes(
    architecture: Architecture, shape: tuple[int, int, int]
) -> None:
    written, built = build_both(architecture, DEFAULT_WIDTHS[architecture], shape)
    assert are_equal(written, built)
    assert [value.stride() for value in built.state_dict().values()] == [
        value.stride() for value in written.state_dict().values()
    ]
    x = torch.randn(4, *shape)
    assert torch.equal(built.eval()(x), written.eval()(x))


@pytest.mark.parametrize("architecture", list(Architecture))
def test_training_changes_the_weights_as_it_did(architecture: Architecture) -> None:
    # Narrower ones are computed by other steps, which round otherwise: see worker/core/models/convolution.py.
    written, built = build_both(architecture, DEFAULT_WIDTHS[architecture], (1, 28, 28))
    x, labels = torch.randn(8, 1, 28, 28), torch.arange(8) % 7
    for model in (written, built):
        optimizer = torch.optim.SGD(model.train().parameters(), lr=0.05, momentum=0.9, nesterov=True)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(F.cross_entropy(model(x), labels))
            optimizer.step()
    assert are_equal(written, built)


def count_macs(model: nn.Module, x: torch.Tensor) -> dict[str, int]:
    """Counted while one picture goes through. x: (1, C, H, W)."""
    macs = {}
    for name, layer in list_layers(model).items():

        def hook(module: Any, _inputs: Any, output: torch.Tensor, name: str = name) -> None:
            macs[name] = module.weight[0].numel() * output[0].numel()

        layer.register_forward_hook(hook)
    model(x)
    return macs


@pytest.mark.slow
@given(network=records())
def test_any_record_is_what_it_says_of_itself(network: Network) -> None:
    model = build_module(network).eval()
    state = {name: tuple(value.shape) for name, value in model.state_dict().items() if not name.endswith(COUNTER)}
    assert state == network.tensors
    assert sum(parameter.numel() for parameter in model.parameters()) == network.num_parameters
    sizes: dict[str, tuple[int, ...]] = {}
    for node in network.nodes:

        def hook(_module: Any, _inputs: Any, output: torch.Tensor, name: str = node.name) -> None:
            sizes[name] = tuple(output.shape[1:])

        model.get_submodule(node.name).register_forward_hook(hook)
    x = torch.randn(2, *network.input_shape)
    assert model(x).shape == (2, *network.shapes[network.output])
    assert sizes == {node.name: shape for node, shape in zip(network.nodes, network.shapes, strict=True)}
    assert count_macs(model, x[:1]) == network.macs


@pytest.mark.slow
@given(network=records())
def test_a_picture_is_answered_alike_alone_and_among_others(network: Network) -> None:
    # Nothing mixes pictures, whatever dimensions an operation works along.
    model = build_module(network).eval().double()
    x = torch.randn(3, *network.input_shape, dtype=torch.float64)
    together = model(x)
    alone = torch.cat([model(picture[None]) for picture in x])
    assert torch.allclose(together, alone, rtol=1e-9, atol=1e-12, equal_nan=True)


def test_every_operation_can_be_built() -> None:
    assert set(BUILDERS) == set(OPERATIONS.values())


def test_operations_of_our_own_are_computed_as_by_hand() -> None:
    builder = NetworkBuilder((2, 1, 2))
    builder.add("affine", ChannelAffine())
    builder.add("mean", Mean())
    model = build_module(builder.build())
    model.load_state_dict({"affine.weight": torch.tensor([2.0, -1.0]), "affine.bias": torch.tensor([0.5, 1.0])})
    assert model(torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])).tolist() == [[3.5, -3.0]]


def test_a_batch_norm_has_the_attributes_of_its_record() -> None:
    builder = NetworkBuilder((2, 3, 3))
    builder.add("norm", BatchNorm(eps=0.25, momentum=0.5))
    norm = build_module(builder.build()).get_submodule("norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert (norm.eps, norm.momentum) == (0.25, 0.5)


def test_no_node_can_be_called_what_the_module_of_a_network_has_itself() -> None:
    builder = NetworkBuilder((1, 2, 2))
    builder.add("block.relu", Relu())
    module = build_module(builder.build())
    assert [name for name in dir(module) if not is_reserved(name)] == ["block"]
    for name in OWN:
        with pytest.raises(KeyError):
            module.add_module(name, nn.Identity())


def test_a_copy_computes_by_itself_and_a_replaced_module_is_what_runs() -> None:
    model = build_model("resnet_small", (2, 3, 4, 5)).eval()
    x = torch.randn(2, 1, 28, 28)
    before = model(x)
    twin = copy.deepcopy(model)
    replace_module(twin, "fc", nn.Linear(4, 3))
    with torch.no_grad():
        twin.get_parameter("stem.weight").zero_()
    assert twin(x).shape == (2, 3)
    assert torch.equal(model(x), before)
    assert get_record(twin) == get_record(model)


def test_layers_come_in_the_order_of_the_record_whatever_they_are_called() -> None:
    builder = NetworkBuilder((1, 4, 4))
    builder.add("block.first", build_square_convolution(2, 3))
    builder.add("second", build_square_convolution(2, 1))
    builder.add("block.third", build_square_convolution(2, 1))
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    names = ["block.first", "second", "block.third", "fc"]
    network = builder.build()
    assert list(list_layers(build_module(network))) == list(network.macs) == names


def test_what_was_built_from_no_record_is_refused() -> None:
    with pytest.raises(InvalidModel):
        list_layers(nn.Sequential(nn.Linear(2, 2)))


def test_a_value_is_let_go_once_nobody_reads_it_any_more() -> None:
    # Or all values of a deep network would be there at once, where two are enough.
    builder = NetworkBuilder((1, 8, 8))
    for number in range(50):
        builder.add(f"relu{number}", Relu())
    model = build_module(builder.build()).eval()
    alive: list[int] = []
    values: set[int] = set()

    def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
        values.add(id(output))
        weakref.finalize(output, values.discard, id(output))
        alive.append(len(values))

    for number in range(50):
        model.get_submodule(f"relu{number}").register_forward_hook(hook)
    with torch.no_grad():
        model(torch.zeros(1, 1, 8, 8))
    assert max(alive) <= 2
