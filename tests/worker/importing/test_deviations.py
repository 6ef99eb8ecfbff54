"""A network trained with a deviation for each channel computes the same with one for all."""

from __future__ import annotations

import pytest
import torch

from storage.errors import InvalidModel
from worker.core.models.build import NetworkModule, build_module
from worker.importing.deviations import unify_deviations
from worker.network.operations.base import Operation
from worker.network.operations.elementwise import Add, Concatenate, Flatten, HardSwish, Relu, Sigmoid
from worker.network.operations.layers import BatchNorm, ChannelAffine, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool, Mean, build_square_max_pool
from worker.network.record import PICTURE, NetworkBuilder
from worker.pixels import normalize_pixels

MEAN, STD = (0.485, 0.456, 0.406), (0.2, 0.1, 0.4)


def build_reader(kind: str) -> NetworkModule:
    """A network whose picture is read in another way by each kind."""
    torch.manual_seed(0)
    builder = NetworkBuilder((3, 6, 6))
    if kind == "flat":
        builder.add("flat", Flatten())
    elif kind == "grouped":
        builder.add("conv", build_square_convolution(6, 3, padding=1, groups=3))
        builder.add("mean", Mean())
    elif kind == "normalised":
        relu = builder.add("relu", Relu())
        norm = builder.add("norm", BatchNorm())
        builder.add("average", AdaptiveAveragePool(output=(3, 3)), relu)
        builder.add("affine", ChannelAffine())
        builder.add("small", build_square_convolution(4, 3, padding=1))
        small = builder.add("small_mean", Mean())
        builder.add("mean", Mean(), norm)
        large = builder.add("large", Linear(out_features=4))
        builder.add("brightness", Mean(), PICTURE)
        bright = builder.add("bright", Linear(out_features=4))
        builder.add("sum", Add(), builder.add("first", Add(), small, large), bright)
    else:
        pool = builder.add("pool", build_square_max_pool(2))
        again = builder.add("again", build_square_max_pool(2), PICTURE)
        builder.add("cat", Concatenate(), pool, again)
        joined = builder.add("conv", build_square_convolution(4, 3))
        other = builder.add("other", build_square_convolution(4, 3), pool)
        builder.add("sum", Add(), joined, other)
        builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    return build_module(builder.build()).eval()


@pytest.mark.parametrize("kind", ["flat", "grouped", "normalised", "pooled, joined and read twice"])
def test_what_a_network_computes_of_a_picture_stays(kind: str) -> None:
    model = build_reader(kind)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith(("running_mean", "running_var", "norm.weight", "affine.weight")):
                value.copy_(torch.rand(value.shape, generator=torch.Generator().manual_seed(2)) + 0.01)
    unified, std = unify_deviations(model, MEAN, STD)
    pictures = torch.randint(0, 256, (8, 3, 6, 6), generator=torch.Generator().manual_seed(1))
    assert len(std) == 1
    with torch.no_grad():
        wanted = model(normalize_pixels(pictures, MEAN, STD))
        torch.testing.assert_close(unified(normalize_pixels(pictures, MEAN, std)), wanted, rtol=1e-4, atol=1e-5)
        # The network given is left as it was.
        assert not torch.allclose(model(normalize_pixels(pictures, MEAN, std)), wanted, atol=1e-2)


def test_a_single_deviation_changes_nothing() -> None:
    model = build_reader("flat")
    assert unify_deviations(model, MEAN, (0.25, 0.25, 0.25)) == (model, (0.25,))


@pytest.mark.parametrize("operation", [Sigmoid(), HardSwish()])
def test_what_has_no_weights_for_it_is_named(operation: Operation) -> None:
    builder = NetworkBuilder((3, 6, 6))
    builder.add("conv", build_square_convolution(3, 1))
    builder.add("reads_it_too", operation, PICTURE)
    builder.add("sum", Add(), 0, 1)
    builder.add("mean", Mean())
    model = build_module(builder.build())
    with pytest.raises(InvalidModel) as caught:
        unify_deviations(model, MEAN, STD)
    assert caught.value.field == "std"
    assert "reads_it_too" in caught.value.detail


@pytest.mark.parametrize(("mean", "std", "field"), [(MEAN[:2], STD, "mean"), ((0.5,), STD[:2], "std")])
def test_numbers_of_other_channels_are_refused(mean: tuple[float, ...], std: tuple[float, ...], field: str) -> None:
    with pytest.raises(InvalidModel) as caught:
        unify_deviations(build_reader("flat"), mean, std)
    assert caught.value.field == field
