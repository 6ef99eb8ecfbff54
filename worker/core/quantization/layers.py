"""Layers that train on quantized values: straight-through rounding with learned step sizes.

LSQ (Esser et al. 2020, arXiv:1902.08153). Batch norm stays in the network while it trains and is folded into
scale and bias afterwards, so that the integers which training saw are the integers that are stored.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from worker.core.models.convolution import Conv2d
from worker.core.quantization.linear import SMALLEST_SCALE, compute_integer_range

FEW_BITS = 4


class _LearnedStep(torch.autograd.Function):
    """Quantize then dequantize; gradients to the values (straight-through) and to the step size."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero_point: int, qmin: int, qmax: int, gradient_factor: float
    ) -> torch.Tensor:
        low, high = qmin - zero_point, qmax - zero_point
        scaled = x / scale
        q = scaled.round().clamp_(low, high)
        # d(dequantized)/d(scale) is q where it was clamped, q - x/scale where it was rounded; every pass over a large
        # tensor counts, so it takes the place of x/scale.
        inside = (scaled < high + 0.5).logical_and_(scaled > low - 0.5)
        to_scale = scaled.mul_(inside).neg_().add_(q)
        ctx.save_for_backward(inside, to_scale)
        ctx.scale_shape, ctx.gradient_factor = scale.shape, gradient_factor
        return q.mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        (gradient,) = gradients
        inside, to_scale = ctx.saved_tensors
        scale_gradient = None
        if ctx.needs_input_grad[1]:
            product = to_scale.mul_(gradient)
            if ctx.scale_shape.numel() == 1:
                scale_gradient = product.sum(dtype=torch.float32).reshape(ctx.scale_shape)
            else:
                scale_gradient = product.sum(dim=tuple(range(1, product.ndim)), keepdim=True)
            scale_gradient = scale_gradient * ctx.gradient_factor
        return gradient * inside, scale_gradient, None, None, None, None


class _QuantizedMixin(nn.Module):
    """What a quantized convolution and a quantized linear layer share."""

    bit_width: int
    input_bit_width: int
    input_signed: bool
    input_zero_point: int
    weight_scale: nn.Parameter
    input_scale: nn.Parameter
    batch_norm_name: str | None = None
    """The batch norm to fold into this layer once trained."""

    def configure(
        self,
        *,
        bit_width: int,
        weight_scale: torch.Tensor,
        input_bit_width: int,
        input_scale: float,
        input_signed: bool,
        input_zero_point: int = 0,
        learn_input_scale: bool = True,
    ) -> None:
        """weight_scale: scalar, or (out, 1, …) per channel."""
        self.bit_width, self.input_bit_width = bit_width, input_bit_width
        self.input_signed, self.input_zero_point = input_signed, input_zero_point
        self.weight_scale = nn.Parameter(weight_scale.clone())
        self.input_scale = nn.Parameter(torch.tensor(float(input_scale)), requires_grad=learn_input_scale)

    def quantize_weight(self, weight: torch.Tensor) -> torch.Tensor:
        """Weights as the integers say, as real values, with gradients. Any shape with the channels first."""
        qmin, qmax = compute_integer_range(self.bit_width)
        factor = 1 / math.sqrt(weight.numel() / self.weight_scale.numel() * max(qmax, 1))
        scale = self.weight_scale.abs().clamp_min(SMALLEST_SCALE)
        result: torch.Tensor = _LearnedStep.apply(weight, scale, 0, qmin, qmax, factor)
        return result

    def quantize_input(self, x: torch.Tensor) -> torch.Tensor:
        """The input as the next integers say, as real values, with gradients. x: any shape."""
        if not self.input_scale.requires_grad:
            return x  # The picture: its pixels are the integers already.
        qmin, qmax = compute_integer_range(self.input_bit_width, self.input_signed)
        factor = 1 / math.sqrt(x[0].numel() * qmax)
        scale = self.input_scale.abs().clamp_min(SMALLEST_SCALE)
        # Up to 4 bits bfloat16 tells the levels apart well enough to train on, at half the memory traffic. What is
        # reported is measured on the integers, from float32.
        x = x if self.input_bit_width <= FEW_BITS else x.float()
        result: torch.Tensor = _LearnedStep.apply(x, scale, self.input_zero_point, qmin, qmax, factor)
        return result


class QuantizedConv2d(_QuantizedMixin, Conv2d):
    """A convolution over quantized inputs and weights."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the parent names it so
        """input: (B, in, H, W), real values. Returns (B, out, H', W')."""
        output: torch.Tensor = self._conv_forward(
            self.quantize_input(input), self.quantize_weight(self.weight), self.bias
        )
        return output


class QuantizedLinear(_QuantizedMixin, nn.Linear):
    """A linear layer over quantized inputs and weights."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - the parent names it so
        """input: (B, in), real values. Returns (B, out)."""
        return F.linear(self.quantize_input(input), self.quantize_weight(self.weight), self.bias)


QuantizedLayer = QuantizedConv2d | QuantizedLinear


def build_quantized_layer(layer: nn.Module) -> QuantizedLayer:
    """A layer of the same shape that shares the parameters of `layer`; still to be configured."""
    quantized: QuantizedLayer
    if isinstance(layer, nn.Conv2d):
        quantized = QuantizedConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            bias=layer.bias is not None,
            device="meta",
        )
    elif isinstance(layer, nn.Linear):
        quantized = QuantizedLinear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    else:
        raise TypeError(f"no quantized form of {type(layer).__name__}")
    quantized.weight = layer.weight
    quantized.bias = layer.bias
    return quantized
