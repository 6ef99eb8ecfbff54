"""Curvatures against plain autograd, estimated bits against real files, and what rounding does to both."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from tests.worker.coding.networks import build_layer, build_network, build_weight
from tests.worker.core.quantization.test_integer_model import build_settled, extract, quantize
from worker.coding import encode_network
from worker.core.quantization import list_quantized_layers
from worker.core.quantization.integer_model import build_integer_model
from worker.core.quantization.rate_distortion import (
    compute_fisher_diagonal,
    estimate_bits,
    refit_channels_,
    round_for_rate,
)
from worker.datasets import Dataset, Split


def count_weight_bits(weight: NDArray[np.int8], bit_width: int) -> int:
    """Of a file with that one layer, less the same file with all weights zero."""
    layers = [build_layer("layer", kept, bit_width) for kept in (weight, np.zeros_like(weight))]
    full, empty = (len(encode_network(build_network(layer))) for layer in layers)
    return 8 * (full - empty)


@pytest.mark.parametrize("architecture", ["resnet_small", "depthwise_cnn", "mlp"])
def test_curvature_is_the_mean_of_each_pictures_squared_gradient(architecture: str, digits: Dataset) -> None:
    model = quantize(build_settled(architecture, digits), digits, 4)
    split = Split(digits.train.images[:12], digits.train.labels[:12])
    found = compute_fisher_diagonal(model, digits, split, seed=3)

    layers = list_quantized_layers(model)
    with torch.no_grad():
        for layer in layers.values():
            layer.weight.copy_(layer.quantize_weight(layer.weight))
    x = digits.normalize(split.images)
    labels = torch.multinomial(model(x).softmax(1), 1, generator=torch.Generator().manual_seed(3))[:, 0]
    weights = [layer.weight for layer in layers.values()]
    expected = [torch.zeros_like(weight) for weight in weights]
    for picture, label in zip(x, labels, strict=True):
        loss = F.cross_entropy(model(picture[None]), label[None])
        for total, gradient in zip(expected, torch.autograd.grad(loss, weights), strict=True):
            total.add_(gradient.square() / len(split))
    for name, reference in zip(layers, expected, strict=True):
        torch.testing.assert_close(found[name], reference, rtol=1e-3, atol=1e-4 * float(reference.max()))


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "sparsity"), [((32, 16, 3, 3), 0.7), ((32, 392), 0.93)], ids=str)
def test_estimated_bits_are_about_those_of_a_file(shape: tuple[int, ...], sparsity: float) -> None:
    weight = build_weight(shape, sparsity, 4, seed=1)
    integers = torch.from_numpy(weight).int()
    estimated = float(estimate_bits(integers, 4).of(integers).sum())
    assert estimated == pytest.approx(count_weight_bits(weight, 4), rel=0.08)


def test_a_non_zero_is_cheaper_where_its_row_is_full() -> None:
    integers = torch.zeros(8, 40, dtype=torch.int32)
    integers[2] = 3
    costs = estimate_bits(integers, 4)
    assert (costs.nonzero[2] < costs.nonzero[[0, 1, 3, 4, 5, 6, 7]]).all()
    assert (costs.zero[2] > costs.zero[[0, 1, 3, 4, 5, 6, 7]]).all()
    # What is never seen costs more than what every non-zero is; zero has no sign.
    assert costs.magnitude[0] == 0
    assert costs.magnitude[3] < costs.magnitude[[1, 2, 4, 5, 6, 7, 8]].min()


@pytest.fixture(scope="module")
def rounding(digits: Dataset) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A quantized network and its fisher_diagonal."""
    model = quantize(build_settled("depthwise_cnn", digits), digits, 4)
    return model, compute_fisher_diagonal(model, digits, Split(digits.train.images[:200], digits.train.labels[:200]))


def test_rounding_for_nothing_changes_no_integer(
    rounding: tuple[nn.Module, dict[str, torch.Tensor]], digits: Dataset
) -> None:
    model, fisher_diagonal = rounding
    before, after = (
        extract(one, "depthwise_cnn", digits) for one in (model, round_for_rate(model, fisher_diagonal, 0.0))
    )
    for old, new in zip(before.layers, after.layers, strict=True):
        assert np.array_equal(old.weight, new.weight)
        assert np.array_equal(old.scale, new.scale)


@pytest.mark.slow
def test_the_more_a_bit_is_worth_the_smaller_the_file_and_only_towards_zero(
    rounding: tuple[nn.Module, dict[str, torch.Tensor]], digits: Dataset
) -> None:
    model, fisher_diagonal = rounding
    before = extract(model, "depthwise_cnn", digits)
    sizes = [len(encode_network(before))]
    for rd_lambda in (1e-6, 1e-5, 1e-4):
        network = extract(round_for_rate(model, fisher_diagonal, rd_lambda), "depthwise_cnn", digits)
        sizes.append(len(encode_network(network)))
        for old, new in zip(before.layers, network.layers, strict=True):
            shrunk = np.sign(old.weight) * new.weight  # In the direction of the old value.
            assert (shrunk >= 0).all()
            assert (shrunk <= np.abs(old.weight)).all()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.8 * sizes[0]


def test_the_weights_that_the_loss_does_not_mind_go_first(
    rounding: tuple[nn.Module, dict[str, torch.Tensor]], digits: Dataset
) -> None:
    model, fisher_diagonal = rounding
    spared = {name: torch.full_like(value, 1e6) for name, value in fisher_diagonal.items()}
    spared["fc"] = torch.zeros_like(fisher_diagonal["fc"])
    before, after = (extract(one, "depthwise_cnn", digits) for one in (model, round_for_rate(model, spared, 1e-6)))
    for old, new in zip(before.layers, after.layers, strict=True):
        if old.name == "fc":
            # Costs nothing, and nothing is cheaper than zeros only.
            assert not new.weight.any()
        else:
            assert np.array_equal(old.weight, new.weight)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["depthwise_cnn", "lenet5"])
def test_refitting_brings_each_channel_back_to_its_mean(architecture: str, digits: Dataset) -> None:
    model = quantize(build_settled(architecture, digits), digits, 4)
    split = Split(digits.train.images[:200], digits.train.labels[:200])
    rounded = round_for_rate(model, compute_fisher_diagonal(model, digits, split), 1e-5)
    x = digits.normalize(digits.train.images[200:600])

    def observe(network: nn.Module) -> torch.Tensor:
        """Logits, whose mean is what all the refitting is for."""
        with torch.no_grad():
            logits: torch.Tensor = network(x)
        return logits

    wanted, plain = observe(model), observe(rounded)
    refit_channels_(rounded, model, x)
    refitted = observe(rounded)
    assert (refitted.mean(0) - wanted.mean(0)).abs().max() < 1e-3 * wanted.abs().max()
    assert (refitted - wanted).square().mean() < 0.7 * (plain - wanted).square().mean()
    # And so do the integers, for which only scales and biases have moved.
    integer = build_integer_model(extract(rounded, architecture, digits))
    assert (observe(integer).argmax(1) == refitted.argmax(1)).float().mean() > 0.97
