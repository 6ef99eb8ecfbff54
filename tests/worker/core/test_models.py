from __future__ import annotations

import pytest
import torch
from torch import nn

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.core.graph import ModuleOutline, outline_modules
from worker.core.models import build_model, get_architecture, get_widths
from worker.core.models.build import build_module
from worker.network.operations.elementwise import Flatten, Sigmoid
from worker.network.operations.layers import Linear
from worker.network.record import NetworkBuilder


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [("fashion_cnn", 421_834), ("lenet5", 61_706), ("mlp", 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10)],
)
def test_parameters_are_those_of_the_literature(architecture: str, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in build_model(architecture).parameters()) == parameters


WIDTHS = {
    Architecture.FASHION_CNN: (3, 5, 7),
    Architecture.LENET5: (2, 3, 5, 7),
    Architecture.MLP: (5, 4, 3, 2),
    Architecture.RESNET_SMALL: (3, 5, 7, 2),
    Architecture.DEPTHWISE_CNN: (3, 5, 7),
}


@pytest.mark.parametrize("architecture", list(Architecture))
def test_widths_rebuild_a_network_of_any_shape(architecture: Architecture) -> None:
    model = build_model(architecture, WIDTHS[architecture], input_shape=(3, 32, 32), num_classes=4).eval()
    assert get_widths(architecture, model) == WIDTHS[architecture]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("architecture", "widths"),
    [("fashion_cnn", (32, 64)), ("lenet5", (1, 2, 3, 4, 5)), ("mlp", (0,)), ("mlp", (16_385,)), ("mlp", (-1,))],
)
def test_widths_that_do_not_fit_are_refused(architecture: str, widths: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModel) as error:
        build_model(architecture, widths)
    assert error.value.field == "widths"


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(InvalidModel):
        build_model("../../etc/passwd")


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_network_knows_its_architecture(architecture: Architecture) -> None:
    assert get_architecture(build_model(architecture, WIDTHS[architecture])) == architecture


def test_a_network_of_no_architecture_is_refused() -> None:
    builder = NetworkBuilder((1, 4, 4))
    builder.add("flatten", Flatten())
    builder.add("layers.0", Linear(out_features=3))
    builder.add("sigmoid", Sigmoid())
    with pytest.raises(InvalidModel):
        get_architecture(build_module(builder.build()))


def test_pictures_that_are_too_small_are_refused() -> None:
    with pytest.raises(InvalidModel) as error:
        build_model("lenet5", input_shape=(1, 8, 8))
    assert error.value.field == "architecture"


def test_an_outline_lists_what_has_parameters_of_its_own_and_counts_each_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2, bias=False)))
    assert outline_modules(model) == [
        ModuleOutline("0", "Conv2d", (4, 1, 3, 3), 40),
        ModuleOutline("1", "BatchNorm2d", (4,), 8),
        ModuleOutline("3.0", "Linear", (2, 4), 8),
    ]
