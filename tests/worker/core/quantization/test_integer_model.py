"""From a network that trains on quantized values to its integers, their file, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import nn

from storage.errors import InvalidModel
from tests.variants import SEED
from worker.catalog import Architecture
from worker.coding import decode_network, encode_network
from worker.core.graph import get_batch_norm
from worker.core.models import build_model
from worker.core.models.build import Mean as PictureMean
from worker.core.models.build import build_module
from worker.core.quantization import Calibration, calibrate, describe_inputs, list_quantized_layers, quantize_model
from worker.core.quantization.integer_model import ExactAverage, IntegerConv2d, build_integer_model, extract_integers
from worker.core.quantization.layers import _LearnedStep
from worker.core.quantization.linear import compute_squared_error, search_scale
from worker.datasets import Dataset
from worker.integer_network import IntegerLayer, IntegerNetwork, round_floats
from worker.network.operations.elementwise import Add, Relu
from worker.network.operations.layers import BatchNorm, ChannelAffine, Linear, build_square_convolution
from worker.network.operations.pooling import Mean, build_square_max_pool
from worker.network.record import NetworkBuilder

BIT_WIDTHS = [8, 6, 4, 2]


def build_settled(architecture: str, digits: Dataset) -> nn.Module:
    """Random weights, batch-norm statistics of real pictures, and a negative gain in every other channel."""
    torch.manual_seed(SEED)
    model = build_model(architecture)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            with torch.no_grad():
                module.weight[::2] *= -1
            module.momentum = None
    with torch.no_grad():
        model.train()(digits.normalize(digits.train.images[:200]))
    return model.eval()


def quantize(model: nn.Module, digits: Dataset, bit_width: int) -> nn.Module:
    seen = calibrate(model, digits.normalize(digits.train.images[:100]))
    return quantize_model(model, bit_width, seen, mean=digits.mean, std=digits.std).eval()


def extract(model: nn.Module, architecture: str, digits: Dataset) -> IntegerNetwork:
    return extract_integers(
        model,
        architecture,
        input_shape=digits.input_shape,
        class_names=digits.class_names,
        mean=digits.mean,
        std=digits.std,
    )


@pytest.mark.parametrize("bit_width", BIT_WIDTHS)
@pytest.mark.parametrize("architecture", list(Architecture))
def test_the_integers_compute_what_training_saw(architecture: Architecture, bit_width: int, digits: Dataset) -> None:
    # With a mean that is a whole pixel; any other is rounded to one on the way to integers.
    digits = replace(digits, mean=(78 / 255,))
    quantized = quantize(build_settled(architecture, digits), digits, bit_width)
    integer = build_integer_model(extract(quantized, architecture, digits))
    x = digits.normalize(digits.validation.images)
    with torch.no_grad():
        shadow, exact = quantized(x), integer(x)
    # Folding rounds once more in float32, so that a value on the edge of a step may fall to its other side.
    assert (shadow.argmax(1) == exact.argmax(1)).float().mean() >= 0.98
    assert (shadow - exact).abs().median() <= 1e-5 * shadow.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", list(Architecture))
def test_decoding_the_file_gives_bit_identical_logits(architecture: Architecture, digits: Dataset) -> None:
    network = extract(quantize(build_settled(architecture, digits), digits, 4), architecture, digits)
    decoded = decode_network(encode_network(network))
    x = digits.normalize(digits.validation.images)
    with torch.no_grad():
        assert torch.equal(build_integer_model(network)(x), build_integer_model(decoded)(x))


@pytest.mark.parametrize("bit_width", BIT_WIDTHS)
def test_weights_are_integers_within_their_width(bit_width: int, digits: Dataset) -> None:
    network = extract(quantize(build_settled("fashion_cnn", digits), digits, bit_width), "fashion_cnn", digits)
    for layer in network.layers:
        assert layer.weight.dtype == np.int8
        assert layer.weight.min() >= -(2 ** (bit_width - 1))
        assert layer.weight.max() <= 2 ** (bit_width - 1) - 1
        assert np.unique(layer.weight).size > 1
    assert [layer.input_bit_width for layer in network.layers] == [8] + [bit_width] * 3


def compute_reference(network: IntegerNetwork, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A perceptron's logits as the IntegerLayer docstring states them, the sums in int64. x: (B, n)."""
    for position, layer in enumerate(network.layers):
        low, high = (-(2 ** (layer.input_bit_width - 1)), 2 ** (layer.input_bit_width - 1) - 1)
        if not layer.input_signed:
            low, high = 0, 2**layer.input_bit_width - 1
        q = np.clip(np.round(x / np.float32(layer.input_scale)) + layer.input_zero_point, low, high)
        sums = (q.astype(np.int64) - layer.input_zero_point) @ layer.weight.astype(np.int64).T
        x = sums.astype(np.float32) * (np.float32(layer.input_scale) * layer.scale) + layer.bias
        if position < len(network.layers) - 1:
            x = np.maximum(x, 0)
    return x


@pytest.mark.parametrize("bit_width", BIT_WIDTHS)
def test_the_forward_pass_is_exact_against_int64(bit_width: int, digits: Dataset) -> None:
    network = extract(quantize(build_settled("mlp", digits), digits, bit_width), "mlp", digits)
    x = digits.normalize(digits.validation.images)
    with torch.no_grad():
        logits = build_integer_model(network)(x)
    assert np.array_equal(logits.numpy(), compute_reference(network, x.flatten(1).numpy()))


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 1, 0), (1, 2, 1), (4, 1, 1)])
def test_a_convolution_sums_exactly_as_int64_does(groups: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (4, 4 // groups, 3, 3)).astype(np.int8)
    ones, zeros = np.ones(4, dtype=np.float32), np.zeros(4, dtype=np.float32)
    layer = IntegerLayer("conv", weight, ones, zeros, 8, 1.0, 0, 8, input_signed=True)
    x = rng.integers(-128, 128, (2, 4, 8, 8))
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::stride, ::stride]  # (B, in, H', W', 3, 3)
    per_group = windows.reshape(2, groups, 4 // groups, *windows.shape[2:])
    kernels = weight.astype(np.int64).reshape(groups, 4 // groups, 4 // groups, 3, 3)
    expected = np.einsum("bgihwkl,goikl->bgohw", per_group, kernels).reshape(2, 4, *windows.shape[2:4])
    template = nn.Conv2d(4, 4, 3, stride=stride, padding=padding, groups=groups)
    out = IntegerConv2d(template, layer)(torch.from_numpy(x.astype(np.float32)))
    assert np.array_equal(out.numpy().astype(np.int64), expected)


def test_learned_steps_have_the_gradients_of_the_paper() -> None:
    # LSQ, equation 3, at 3 bits signed: levels -4 .. 3, step 0.5; x / step = 0.6, -3.3, 9, -20.
    x = torch.tensor([0.3, -1.65, 4.5, -10.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    out = _LearnedStep.apply(x, scale, 0, -4, 3, 0.25)
    assert out.tolist() == [0.5, -1.5, 1.5, -2.0]
    out.backward(torch.tensor([1.0, 2.0, 3.0, 5.0]))
    assert x.grad is not None
    assert scale.grad is not None
    # Straight through inside, nothing outside.
    assert x.grad.tolist() == [1, 2, 0, 0]
    # -v/s + round(v/s) inside: 0.4 and 0.3; the level where clamped: 3 and -4; times the gradient factor.
    assert scale.grad.item() == pytest.approx(0.25 * (1 * 0.4 + 2 * 0.3 + 3 * 3 + 5 * -4))


def test_learned_steps_around_a_zero_point_clamp_at_both_their_ends() -> None:
    # 2 bits unsigned, zero point 1: levels -1 .. 2, step 0.5; x / step = -3, -0.6, 1.8, 7.
    x = torch.tensor([-1.5, -0.3, 0.9, 3.5], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    out = _LearnedStep.apply(x, scale, 1, 0, 3, 1.0)
    assert out.tolist() == [-0.5, -0.5, 1.0, 1.0]
    out.sum().backward()
    assert x.grad is not None
    assert scale.grad is not None
    assert x.grad.tolist() == [0, 1, 1, 0]
    assert scale.grad.item() == pytest.approx(-1 + (0.6 - 1) + (2 - 1.8) + 2)


def test_per_channel_steps_get_each_channels_gradient() -> None:
    x = torch.tensor([[0.3, 4.5], [-10.0, -1.65]])
    scale = torch.tensor([[0.5], [0.5]], requires_grad=True)
    _LearnedStep.apply(x, scale, 0, -4, 3, 1.0).sum().backward()
    assert scale.grad is not None
    assert scale.grad.flatten().tolist() == pytest.approx([0.4 + 3, -4 + 0.3])


def test_quantizing_leaves_the_float_model_as_it_was(digits: Dataset) -> None:
    model = build_settled("fashion_cnn", digits)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantized = quantize(model, digits, 2)
    with torch.no_grad():
        for parameter in quantized.parameters():
            parameter.add_(1)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_widths_may_differ_by_layer_and_from_those_of_activations(digits: Dataset) -> None:
    model = build_settled("mlp", digits)
    seen = calibrate(model, digits.normalize(digits.train.images[:50]))
    bits = {"layers.0": 8, "layers.1": 2, "layers.2": 4}
    quantized = quantize_model(model, bits, seen, mean=digits.mean, std=digits.std, activation_bit_width=6)
    layers = list_quantized_layers(quantized)
    assert {name: layer.bit_width for name, layer in layers.items()} == bits
    assert [layer.input_bit_width for layer in layers.values()] == [8, 6, 6]


def test_the_first_layer_reads_the_pictures_own_pixels(digits: Dataset) -> None:
    network = extract(quantize(build_settled("mlp", digits), digits, 4), "mlp", digits)
    first = network.layers[0]
    pixels = torch.arange(256, dtype=torch.uint8)
    x = digits.normalize(pixels.view(1, 1, 16, 16)).flatten()
    q = torch.round(x / first.input_scale) + first.input_zero_point
    # The zero point is the mean rounded to a pixel: each pixel's integer is itself, but for that rounding.
    assert (q - pixels.float()).abs().max() <= 1
    assert (q.diff() >= 0).all()


def test_rounded_floats_are_off_by_at_most_half_a_unit_of_their_last_bit(digits: Dataset) -> None:
    network = extract(quantize(build_settled("fashion_cnn", digits), digits, 4), "fashion_cnn", digits)
    rounded = round_floats(network, 5)
    for before, after in zip(network.layers, rounded.layers, strict=True):
        assert np.all(np.abs(after.bias - before.bias) <= np.abs(before.bias) * 2.0**-6)
        assert np.all(np.abs(after.scale - before.scale) <= np.abs(before.scale) * 2.0**-6)
    assert rounded.layers[0].input_scale == network.layers[0].input_scale


def test_layers_that_do_not_fit_their_architecture_are_refused(digits: Dataset) -> None:
    network = extract(quantize(build_settled("mlp", digits), digits, 4), "mlp", digits)
    with pytest.raises(InvalidModel):
        build_integer_model(IntegerNetwork(**{**vars(network), "layers": network.layers[:2]}))
    with pytest.raises(InvalidModel):
        build_integer_model(IntegerNetwork(**{**vars(network), "layers": network.layers[::-1]}))


def test_a_batch_norm_that_cannot_be_folded_becomes_a_gain_and_a_shift() -> None:
    # Left out, it would make integers of another network.
    builder = NetworkBuilder((1, 6, 6))
    builder.add("conv", build_square_convolution(2, 3))
    builder.add("relu", Relu())
    builder.add("norm_behind_relu", BatchNorm())
    builder.add("own", ChannelAffine())
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    model = build_module(builder.build())
    norm = get_batch_norm(model, "norm_behind_relu")
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.get_buffer("running_mean"), norm.get_buffer("running_var")):
            tensor.copy_(torch.tensor([0.5, 2.0]))
        model.get_parameter("own.weight").copy_(torch.tensor([-1.0, 0.25]))
    x = torch.rand(64, 1, 6, 6)
    quantized = quantize_model(model.eval(), 8, calibrate(model, x), mean=(0.0,), std=(1.0,))
    network = extract_integers(
        quantized, "onnx", input_shape=(1, 6, 6), class_names=("a", "b", "c"), mean=(0.0,), std=(1.0,)
    )
    # gain / sqrt(variance + eps), and what is left of the mean: 0.5 / 0.7071 and 2 / 1.4142.
    gain, shift = network.affines[0].gain, network.affines[0].shift
    np.testing.assert_allclose(gain, [0.7071, 1.4142], rtol=1e-4)
    np.testing.assert_allclose(shift, [0.5 - 0.5 * 0.7071, 2.0 - 2.0 * 1.4142], rtol=1e-4)
    assert [affine.name for affine in network.affines] == ["norm_behind_relu", "own"]
    assert network.affines[1].gain.tolist() == [-1.0, 0.25]
    rounded = round_floats(network, 5)
    for before, after in zip(network.affines, rounded.affines, strict=True):
        assert np.all(np.abs(after.gain - before.gain) <= np.abs(before.gain) * 2.0**-6)
        assert np.all(np.abs(after.shift - before.shift) <= np.abs(before.shift) * 2.0**-6)
    # The picture's own scale stays, those of other layers are rounded.
    assert [r.input_scale == n.input_scale for r, n in zip(rounded.layers, network.layers, strict=True)] == [
        True,
        False,
    ]
    x = (x * 255).round() / 255
    with torch.no_grad():
        wanted, given = model(x), build_integer_model(decode_network(encode_network(network)))(x)
    assert (given - wanted).abs().max() < 0.05 * wanted.std()
    with pytest.raises(InvalidModel):
        build_integer_model(replace(network, affines=network.affines[:1]))


def test_an_average_is_the_same_in_whatever_order_its_pixels_come() -> None:
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 100
    shuffled = x.flatten(2)[:, :, torch.randperm(1024, generator=torch.Generator().manual_seed(1))].view_as(x)
    average = ExactAverage(PictureMean())
    assert torch.equal(average(x), average(shuffled))
    assert torch.allclose(average(x), x.mean((2, 3)), atol=1e-5)


def test_inputs_slightly_below_zero_have_a_zero_point_and_others_stay_as_they_were() -> None:
    behind_hard_swish = nn.functional.hardswish(torch.randn(20_000, generator=torch.Generator().manual_seed(0)) * 3)
    told = describe_inputs(Calibration(behind_hard_swish, float(behind_hard_swish.min())), 4)
    assert not told["input_signed"]
    assert 1 <= told["input_zero_point"] <= 2
    around_zero = float(search_scale(behind_hard_swish, 4, True))
    lifted = compute_squared_error(behind_hard_swish, told["input_scale"], told["input_zero_point"], 4, False)
    assert lifted < compute_squared_error(behind_hard_swish, around_zero, 0, 4, True) / 2
    behind_relu = behind_hard_swish.clamp_min(0)
    told = describe_inputs(Calibration(behind_relu, 0.0), 4)
    assert told["input_scale"] == float(search_scale(behind_relu, 4, False))
    assert "input_zero_point" not in told


def test_every_layer_that_reads_the_picture_takes_its_pixels() -> None:
    builder = NetworkBuilder((1, 6, 6))
    builder.add("pool", build_square_max_pool(2))
    left = builder.add("left", build_square_convolution(2, 1))
    right = builder.add("right", build_square_convolution(2, 1), 0)
    builder.add("sum", Add(), left, right)
    builder.add("mean", Mean())
    builder.add("fc", Linear(out_features=3))
    model = build_module(builder.build())
    quantized = quantize_model(model, 4, calibrate(model, torch.rand(8, 1, 6, 6)), mean=(0.5,), std=(0.25,))
    layers = list_quantized_layers(quantized)
    assert [layer.input_bit_width for layer in layers.values()] == [8, 8, 4]
    assert [layer.input_zero_point for layer in layers.values()][:2] == [128, 128]
