"""From a network trained on quantized values to its integers, and back to a network that computes on them.

The integer forward pass accumulates exactly: sums of products of integers, in float32 where no sum can reach 2^24
and in float64 otherwise (exact to 2^53). Averages over a picture sum whole numbers too: of steps of 2^-24, to which
their values are rounded. All else is elementwise, in operations that IEEE 754 defines, so that predictions depend
neither on the machine nor on the number of threads nor on the order of additions.
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
from worker.core.models import describe_shape, rebuild_model
from worker.core.models.build import ChannelAffine, Mean, get_record
from worker.core.quantization import list_quantized_layers
from worker.core.quantization.linear import SMALLEST_SCALE, compute_integer_range, linear_quantize
from worker.elementary_functions import FUNCTIONS, ElementaryFunction
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.network.layers import count_outputs, find_affines, find_batch_norms
from worker.network.record import Network
from worker.picture_policy import ResizePolicy

EXACT_IN_FLOAT32 = 2**24
AVERAGE_STEPS = 2.0**24
"""Of which one is what averages round their values to."""


@torch.no_grad()
def extract_integers(
    model: nn.Module,
    architecture: str,
    *,
    input_shape: tuple[int, int, int],
    class_names: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    resize: ResizePolicy | None = None,
) -> IntegerNetwork:
    """The integers, scales and biases of a network made by `quantize_model`, batch norm folded.

    architecture: one of ours, or where the network of a record came from.
    """
    layers = []
    for name, layer in list_quantized_layers(model).items():
        scale = layer.weight_scale.detach().abs().clamp_min(SMALLEST_SCALE)
        integers = linear_quantize(layer.weight.detach(), scale, 0, layer.bit_width)
        multiplier = scale.flatten().double()
        bias = integers.new_zeros(len(integers), dtype=torch.float64)
        if layer.bias is not None:
            bias += layer.bias.detach()
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
    widths, network = describe_shape(architecture, model)
    return IntegerNetwork(
        architecture=architecture,
        widths=widths,
        input_shape=input_shape,
        class_names=class_names,
        mean=mean,
        std=std,
        layers=tuple(layers),
        network=network,
        affines=tuple(_extract_affine(model, name) for name in find_affines(get_record(model))),
        resize=resize,
    )


def _extract_affine(model: nn.Module, name: str) -> IntegerAffine:
    module = model.get_submodule(name)
    if isinstance(module, ChannelAffine):
        gain, shift = module.weight.detach(), module.bias.detach()
    else:
        gain, shift = compute_batch_norm_affine(get_batch_norm(model, name))
    return IntegerAffine(name, gain.float().cpu().numpy(), shift.float().cpu().numpy())


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


class ExactAverage(nn.Module):
    """A pooling or mean whose sums are exact: (B, C, H, W) to what the module given makes of them, float32.

    In float64 a sum of steps of 2^-24 is exact, in whatever order, up to 2^29 in all: the mean over 50,000 pixels of
    values up to 10,000.
    """

    def __init__(self, average: nn.Module) -> None:
        super().__init__()
        self.average = average

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Laid channels last, adaptive pooling divides in another order.
        steps = (x.double() * AVERAGE_STEPS).round_().contiguous()
        average: torch.Tensor = self.average(steps) / AVERAGE_STEPS
        return average.float()


def build_integer_model(network: IntegerNetwork) -> nn.Module:
    """A network that computes on the stored integers alone, in evaluation mode, on the processor.

    Raises InvalidModel when the layers do not fit the architecture.
    """
    # First without memory: a file may declare widths that its weights have nothing to do with.
    record = describe_facts(network)
    _check_layers(network, record)
    model = rebuild_model(network)
    for (name, template), layer in zip(list_layers(model).items(), network.layers, strict=True):
        replacement = IntegerConv2d(template, layer) if isinstance(template, nn.Conv2d) else IntegerLinear(layer)
        replace_module(model, name, replacement)
    for name in find_batch_norms(record).values():
        replace_module(model, name, nn.Identity())
    for affine in network.affines:
        by_channel = ChannelAffine(len(affine.gain))
        values = {"weight": affine.gain, "bias": affine.shift}
        by_channel.load_state_dict({name: torch.from_numpy(each.copy()) for name, each in values.items()})
        replace_module(model, affine.name, by_channel)
    for name, module in list(model.named_modules()):
        if isinstance(module, Mean | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            replace_module(model, name, ExactAverage(module))
        elif type(module) in FUNCTIONS:
            replace_module(model, name, ElementaryFunction(module))
    return model.eval()


def _check_layers(network: IntegerNetwork, record: Network) -> None:
    affines = find_affines(record)
    if {affine.name: len(affine.gain) for affine in network.affines} != affines:
        raise InvalidModel(f"the network has affines of the channels {affines}, the file holds others")
    tensors, names = record.tensors, list(count_outputs(record))
    if len(names) != len(network.layers):
        raise InvalidModel(f"{network.architecture} has {len(names)} layers, the file holds {len(network.layers)}")
    for name, layer in zip(names, network.layers, strict=True):
        shape = tensors[f"{name}.weight"]
        if shape != layer.weight.shape:
            raise InvalidModel(f"layer {name} must have the shape {shape}, the file holds {layer.weight.shape}")
