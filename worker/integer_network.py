"""A quantized network as plain arrays: what `quantization` produces and `coding` stores.

Batch norm is already folded into `scale` and `bias`, so that a layer computes, for its real-valued input x,

    q = clamp(round(x / input_scale) + input_zero_point, lowest, highest)     # stored width, signed or not
    y[c] = (sum over the receptive field of (q - input_zero_point) * weight[c]) * (input_scale * scale[c]) + bias[c]

with the sum exact in integers. A batch norm that cannot be folded is a number of each channel to multiply by and one to
add, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.network.layers import find_picture_layers
from worker.network.record import Network
from worker.picture_policy import ResizePolicy


@dataclass(frozen=True)
class IntegerLayer:
    """One convolution or linear layer.

    weight: int8, (out, in / groups, kernel_h, kernel_w) or (out, in), each value representable in
        `bit_width` bits as a signed integer (a channel whose batch-norm gain is negative keeps its
        integers: the sign is in `scale`).
    scale: float32, (out,) or (1,); may be negative. bias: float32, (out,).
    """

    name: str
    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32]
    bit_width: int
    input_scale: float
    input_zero_point: int
    input_bit_width: int
    input_signed: bool

    @property
    def input_range(self) -> tuple[int, int]:
        """The lowest and the highest integer that it computes on, its zero point taken off."""
        lowest = (-(1 << self.input_bit_width - 1) if self.input_signed else 0) - self.input_zero_point
        return lowest, lowest + (1 << self.input_bit_width) - 1


@dataclass(frozen=True)
class IntegerAffine:
    """Each channel times its gain, plus its shift. gain, shift: float32, (channels,)."""

    name: str
    gain: NDArray[np.float32]
    shift: NDArray[np.float32]


@dataclass(frozen=True)
class IntegerNetwork:
    """Everything needed to rebuild and run a quantized network.

    `architecture` and `widths` name a network of worker/network/architectures; `layers` are in the order of its
    convolution and linear nodes. The input picture p (uint8, `input_shape` = (channels, height, width))
    enters as (p / 255 - mean) / std, each one number for all channels or one for each.
    """

    architecture: str
    widths: tuple[int, ...]
    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: tuple[IntegerLayer, ...]
    network: Network | None = None
    """The network's record, where its architecture is none of ours; `widths` then are empty."""
    affines: tuple[IntegerAffine, ...] = ()
    """What stands in the record's own channel affines and in the batch norms that no layer took in, in their order."""
    resize: ResizePolicy | None = None
    """How pictures of another size become its input, where that is known."""


def round_floats(network: IntegerNetwork, mantissa_bits: int) -> IntegerNetwork:
    """The same network with every scale and bias rounded to `mantissa_bits` bits behind the leading one.

    A file holds each of them in as few bits as represent it exactly; the relative error is at most
    2^-(mantissa_bits + 1). The input scale of a layer that reads the picture belongs to that and is left alone.
    """
    # Of the built-in networks, it is the first that does.
    pictures = find_picture_layers(network.network) if network.network else {network.layers[0].name}
    layers = [_round_layer(layer, mantissa_bits) for layer in network.layers]
    layers = [
        layer if layer.name in pictures else replace(layer, input_scale=float(_round(layer.input_scale, mantissa_bits)))
        for layer in layers
    ]
    affines = [
        replace(affine, gain=_round(affine.gain, mantissa_bits), shift=_round(affine.shift, mantissa_bits))
        for affine in network.affines
    ]
    return replace(network, layers=tuple(layers), affines=tuple(affines))


def _round_layer(layer: IntegerLayer, mantissa_bits: int) -> IntegerLayer:
    # A channel without a weight has no use for its scale: zero costs least.
    is_alive = layer.weight.reshape(len(layer.weight), -1).any(axis=1)
    scale = layer.scale if layer.scale.size == 1 else np.where(is_alive, layer.scale, 0)
    return replace(layer, scale=_round(scale, mantissa_bits), bias=_round(layer.bias, mantissa_bits))


def _round(values: NDArray[np.float32] | float, mantissa_bits: int) -> NDArray[np.float32]:
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    steps = 2.0 ** (mantissa_bits + 1)
    return np.ldexp(np.round(mantissa * steps) / steps, exponent).astype(np.float32)
