"""From a network trained on quantized values to its integers, and back to a network that computes on them.

The integer forward pass accumulates exactly: sums of products of integers, in float32 where no sum can reach 2^24
and in float64 otherwise (exact to 2^53). What follows a sum is elementwise, so that predictions depend neither on the
number of threads nor on the order of additions; the averages over a picture in resnet_small and depthwise_cnn are the
one exception.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from storage.errors import InvalidModel
from worker.checkpoint_facts import describe_facts
from worker.core.graph import compute_batch_norm_affine, get_batch_norm, list_layers, replace_module
from worker.core.models import get_widths, rebuild_model
from worker.core.quantization import list_quantized_layers
from worker.core.quantization.linear import SMALLEST_SCALE, compute_integer_range, linear_quantize
from worker.integer_network import IntegerLayer, IntegerNetwork
from worker.network.layers import count_outputs

EXACT_IN_FLOAT32 = 2**24


@torch.no_grad()
def extract_integers(
    model: nn.Module,
    architecture: str,
    *,
    input_shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> IntegerNetwork:
    """The integers, scales and biases of a network made by `quantize_model`, batch norm folded."""
    layers = []
    for name, layer in list_quantized_layers(model).items():
        scale = layer.weight_scale.detach().abs().clamp_min(SMALLEST_SCALE)
        integers = linear_quantize(layer.weight.detach(), scale, 0, layer.bit_width)
        out_channels = integers.shape[0]
        multiplier = scale.flatten().double()
        bias = (
            layer.bias.detach().double()
            if layer.bias is not None
            else torch.zeros(out_channels, dtype=torch.float64, device=integers.device)
        )
        if layer.batch_norm_name is not None:
            gain, shift = compute_batch_norm_affine(get_batch_norm(model, layer.batch_norm_name))
            multiplier, bias = multiplier * gain, bias * gain + shift
        layers.append(
            IntegerLayer(
                name=name,
                weight=integers.to(torch.int8).cpu().contiguous().numpy(),
                scale=multiplier.float().cpu().numpy(),
                bias=bias.float().cpu().numpy(),
                bit_width=layer.bit_width,
                input_scale=float(np.float32(layer.input_scale.detach().abs().clamp_min(SMALLEST_SCALE).item())),
                input_zero_point=layer.input_zero_point,
                input_bit_width=layer.input_bit_width,
                input_signed=layer.input_signed,
            )
        )
    return IntegerNetwork(
        architecture=architecture,
        widths=get_widths(architecture, model),
        input_shape=input_shape,
        class_names=class_names,
        mean=mean,
        std=std,
        layers=tuple(layers),
    )


class _IntegerMixin(nn.Module):
    """Holds a layer's integers as buffers and computes on them."""

    weight: torch.Tensor
    multiplier: torch.Tensor
    offset: torch.Tensor

    def load(self, layer: IntegerLayer) -> None:
        """Takes the stored values over."""
        self.input_scale = layer.input_scale
        self.zero_point, self.signed = layer.input_zero_point, layer.input_signed
        self.low, self.high = compute_integer_range(layer.input_bit_width, layer.input_signed)
        weight = torch.from_numpy(layer.weight.copy())
        largest_input = max(abs(self.low - self.zero_point), abs(self.high - self.zero_point))
        largest_sum = int(weight.abs().int().flatten(1).sum(1).max()) * largest_input
        exact = torch.float32 if largest_sum < EXACT_IN_FLOAT32 and not torch.cuda.is_available() else torch.float64
        self.register_buffer("weight", weight.to(exact))
        multiplier = torch.from_numpy(layer.scale.copy()) * torch.tensor(layer.input_scale, dtype=torch.float32)
        shape = (1, -1) + (1,) * (layer.weight.ndim - 2)
        self.register_buffer("multiplier", multiplier.reshape(shape))
        self.register_buffer("offset", torch.from_numpy(layer.bias.copy()).reshape(shape))

    def integers_of(self, x: torch.Tensor) -> torch.Tensor:
        """Real values to integers with the zero point taken off, in the exact type. x: any shape."""
        q = (x.float() / self.input_scale).round_().clamp_(self.low - self.zero_point, self.high - self.zero_point)
        return q.to(self.weight.dtype)

    def real_of(self, sums: torch.Tensor) -> torch.Tensor:
        """Exact sums to real values."""
        return sums.to(torch.float32) * self.multiplier + self.offset


class IntegerConv2d(_IntegerMixin):
    """A convolution over stored integers. (B, in, H, W) real values to (B, out, H', W') real values."""

    def __init__(self, template: nn.Conv2d, layer: IntegerLayer) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            "stride": template.stride,
            "padding": template.padding,
            "dilation": template.dilation,
            "groups": template.groups,
        }
        self.load(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.real_of(F.conv2d(self.integers_of(x), self.weight, **self.options))


class IntegerLinear(_IntegerMixin):
    """A linear layer over stored integers. (B, in) real values to (B, out) real values."""

    def __init__(self, layer: IntegerLayer) -> None:
        super().__init__()
        self.load(layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.real_of(F.linear(self.integers_of(x), self.weight))


def build_integer_model(network: IntegerNetwork) -> nn.Module:
    """A network that computes on the stored integers alone, in evaluation mode, on the processor.

    Raises InvalidModel when the layers do not fit the architecture.
    """
    # First without memory: a file may declare widths that its weights have nothing to do with.
    _check_layers(network)
    model = rebuild_model(network)
    for (name, template), layer in zip(list_layers(model).items(), network.layers, strict=True):
        replacement = IntegerConv2d(template, layer) if isinstance(template, nn.Conv2d) else IntegerLinear(layer)
        replace_module(model, name, replacement)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            replace_module(model, name, nn.Identity())
    return model.eval()


def _check_layers(network: IntegerNetwork) -> None:
    record = describe_facts(network)
    names = list(count_outputs(record))
    if len(names) != len(network.layers):
        raise InvalidModel(f"{network.architecture} has {len(names)} layers, the file holds {len(network.layers)}")
    for name, layer in zip(names, network.layers, strict=True):
        shape = record.tensors[f"{name}.weight"]
        if shape != layer.weight.shape:
            raise InvalidModel(f"layer {name} must have the shape {shape}, the file holds {layer.weight.shape}")
