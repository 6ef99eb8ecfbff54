"""Quantization: from a float network to one that trains on integers, and from there to the integers themselves."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.core.graph import list_layers, replace_module
from worker.core.models.build import get_record
from worker.core.quantization.layers import QuantizedConv2d, QuantizedLayer, QuantizedLinear, build_quantized_layer
from worker.core.quantization.linear import (
    compute_squared_error,
    compute_symmetric_scale,
    linear_dequantize,
    linear_quantize,
    search_affine_parameters,
    search_scale,
)
from worker.network.layers import find_batch_norms, find_picture_layers
from worker.normalization import merge_channels

__all__ = [
    "Calibration",
    "QuantizedConv2d",
    "QuantizedLinear",
    "calibrate",
    "linear_dequantize",
    "linear_quantize",
    "list_quantized_layers",
    "quantize_model",
]

IMAGE_BIT_WIDTH = 8
"""The input picture is 8-bit by nature: its pixels enter the layers that read it as they are."""
LARGEST_SAMPLE = 200_000
"""Values of one layer's input that are kept for calibration."""


@dataclass(frozen=True)
class Calibration:
    """What calibration saw at a layer's input. sample: float32 (n,), drawn evenly; low: the smallest value."""

    sample: torch.Tensor
    low: float


def calibrate(model: nn.Module, x: torch.Tensor) -> dict[str, Calibration]:
    """Layer name → what it reads, for a batch x of normalised pictures (B, C, H, W). No gradients."""
    seen: dict[str, Calibration] = {}

    def watch(name: str, layer: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            values = inputs[0].detach().float().flatten()
            stride = max(1, values.numel() // LARGEST_SAMPLE)
            seen[name] = Calibration(values[::stride].clone(), float(values.min()))

        return layer.register_forward_pre_hook(hook)

    handles = [watch(name, layer) for name, layer in list_layers(model).items()]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return seen


def quantize_model(
    model: nn.Module,
    bit_width: int | Mapping[str, int],
    calibration: Mapping[str, Calibration],
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    activation_bit_width: int | Mapping[str, int] | None = None,
    per_channel: bool = True,
) -> nn.Module:
    """A copy of a float network whose convolution and linear layers compute on quantized values.

    bit_width: 2 to 8, for all layers or by layer name; the first and the last layer are no exception.
    activation_bit_width: of each layer's input; by default the same as its weights'. What reads the picture takes
        its pixels as they are (pixel p enters as (p / 255 - mean) / std).
    per_channel: one weight scale per output channel, else one per layer.

    As returned it is quantized after training (calibrated scales); trained further by `fit`, its values and
    scales adapt. Shapes and forward are those of the model given. A batch norm that alone follows a convolution is to
    be folded into it; others stay, and become a gain and a shift for each channel. Raises InvalidModel where the
    channels of the picture have several deviations.
    """
    quantized = copy.deepcopy(model)
    record = get_record(model)
    batch_norms, pictures = find_batch_norms(record), find_picture_layers(record)
    for name, layer in list_layers(quantized).items():
        weight_bits = bit_width if isinstance(bit_width, int) else bit_width[name]
        given = weight_bits if activation_bit_width is None else activation_bit_width
        input_bits = given if isinstance(given, int) else given[name]
        replacement = build_quantized_layer(layer)
        weight_scale = (
            compute_symmetric_scale(layer.weight.detach(), 8, per_channel=per_channel)
            if weight_bits == 8
            else search_scale(layer.weight.detach(), weight_bits, True, per_channel=per_channel)
        )
        inputs = describe_pixels(mean, std) if name in pictures else describe_inputs(calibration[name], input_bits)
        replacement.configure(bit_width=weight_bits, weight_scale=weight_scale, **inputs)
        replacement.batch_norm_name = batch_norms.get(name)
        replace_module(quantized, name, replacement.to(layer.weight.device))
    return quantized


def describe_pixels(mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Any]:
    """How a layer that reads the picture takes its pixels: as whole numbers, the mean's taken off.

    With one mean the zero point is that mean, and a pixel keeps its 8 bits. Channels of several means have no common
    zero point: their differences from it are the numbers, which take 9 bits and a sign. Raises InvalidModel where the
    channels have several deviations: one scale cannot hold them.
    """
    mean, std = merge_channels(mean), merge_channels(std)
    if len(std) > 1:
        raise InvalidModel("the deviations of the channels differ: a quantized layer has one scale", field="std")
    is_single = len(mean) == 1
    return {
        "input_scale": 1 / (255 * std[0]),
        "learn_input_scale": False,
        "input_bit_width": IMAGE_BIT_WIDTH if is_single else IMAGE_BIT_WIDTH + 1,
        "input_signed": not is_single,
        "input_zero_point": round(255 * mean[0]) if is_single else 0,
    }


def describe_inputs(calibration: Calibration, bit_width: int) -> dict[str, Any]:
    """How a layer takes what calibration saw.

    Above zero unsigned. Where some of it lies below: around zero, or with a zero point, whichever is nearer to what was
    seen. Behind a hard-swish, whose values reach from -0.375 far up, nearly half of the levels would else be idle.
    """
    signed = calibration.low < 0
    scale = float(search_scale(calibration.sample, bit_width, signed))
    described = {"input_bit_width": bit_width, "input_scale": scale, "input_signed": signed}
    if signed:
        lifted, zero_point = search_affine_parameters(calibration.sample, bit_width)
        around_zero = compute_squared_error(calibration.sample, scale, 0, bit_width, signed=True)
        if compute_squared_error(calibration.sample, lifted, zero_point, bit_width, signed=False) < around_zero:
            described |= {"input_scale": lifted, "input_signed": False, "input_zero_point": zero_point}
    return described


def list_quantized_layers(model: nn.Module) -> dict[str, QuantizedLayer]:
    """Name → module of every quantized layer, in the order of the network's record."""
    layers = list_layers(model)
    return {name: layer for name, layer in layers.items() if isinstance(layer, QuantizedConv2d | QuantizedLinear)}
