from __future__ import annotations

import pytest
import torch
from torch import nn

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.core.graph import ModuleOutline, find_batch_norms, list_layers, outline_modules
from worker.core.models import build_model, get_widths, has_batch_norm, shrink_widths


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


def test_layers_come_in_forward_order() -> None:
    assert list(list_layers(build_model("fashion_cnn"))) == ["conv1", "conv2", "fc1", "fc2"]


def test_each_convolution_knows_the_batch_norm_behind_it() -> None:
    assert find_batch_norms(build_model("fashion_cnn")) == {"conv1": "bn1", "conv2": "bn2"}
    assert find_batch_norms(build_model("lenet5")) == {}
    assert find_batch_norms(build_model("resnet_small")) == {
        "stem": "stem_bn",
        "conv1a": "bn1a",
        "conv1b": "bn1b",
        "conv2a": "bn2a",
        "conv2b": "bn2b",
        "shortcut2": "shortcut2_bn",
    }


def test_networks_with_batch_norm_are_told_from_those_without() -> None:
    with_batch_norm = {one for one in Architecture if has_batch_norm(one)}
    assert set(Architecture) - with_batch_norm == {Architecture.LENET5, Architecture.MLP}


def test_a_shrunk_network_is_the_widest_of_its_proportions_that_fits() -> None:
    def count(widths: tuple[int, ...]) -> int:
        return sum(parameter.numel() for parameter in build_model("fashion_cnn", widths).parameters())

    widths = shrink_widths(
        "fashion_cnn", (32, 64, 128), max_parameters=3000, input_shape=(1, 28, 28), num_classes=10
    )  # fmt: skip
    wider = tuple(width + 1 for width in widths)
    assert count(widths) <= 3000 < count(wider)
    assert widths[0] < widths[1] < widths[2]
    nothing = shrink_widths("fashion_cnn", (32, 64, 128), max_parameters=1, input_shape=(1, 28, 28), num_classes=10)
    assert nothing == (1, 1, 1)


def test_an_outline_lists_what_has_parameters_of_its_own_and_counts_each_once() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2, bias=False)))
    assert outline_modules(model) == [
        ModuleOutline("0", "Conv2d", (4, 1, 3, 3), 40),
        ModuleOutline("1", "BatchNorm2d", (4,), 8),
        ModuleOutline("3.0", "Linear", (2, 4), 8),
    ]
