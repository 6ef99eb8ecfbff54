"""Operations with weights of their own."""

from __future__ import annotations

import math

from worker.network.operations.base import (
    Flag,
    InvalidNetwork,
    Operation,
    Padding,
    PositiveFraction,
    Shape,
    Size,
    check_sides,
    read_picture,
)


class Convolution(Operation):
    """A two-dimensional convolution; the picture is padded with zeros, on both sides alike."""

    out_channels: Size
    kernel: tuple[Size, Size]
    stride: tuple[Size, Size] = (1, 1)
    padding: tuple[Padding, Padding] = (0, 0)
    dilation: tuple[Size, Size] = (1, 1)
    groups: Size = 1
    bias: Flag = True

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        channels, *sides = read_picture(inputs[0])
        if channels % self.groups or self.out_channels % self.groups:
            raise InvalidNetwork(f"{channels} and {self.out_channels} channels cannot be split in {self.groups} groups")
        windows = zip(sides, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        out = (
            (side + 2 * pad - dilation * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, dilation in windows
        )
        return check_sides((self.out_channels, *out))

    def list_tensors(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        weight = (self.out_channels, inputs[0][0] // self.groups, *self.kernel)
        return {"weight": weight} | ({"bias": (self.out_channels,)} if self.bias else {})

    def count_macs(self, inputs: tuple[Shape, ...]) -> int:
        return math.prod(self.list_tensors(inputs)["weight"][1:]) * math.prod(self.infer_shape(inputs))


def build_square_convolution(
    out_channels: int, side: int, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Convolution:
    """A convolution that is the same in height and width, with a bias."""
    return Convolution(
        out_channels=out_channels,
        kernel=(side, side),
        stride=(stride, stride),
        padding=(padding, padding),
        groups=groups,
    )


class Linear(Operation):
    """A linear layer, of what is flat already."""

    out_features: Size
    bias: Flag = True

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs[0]) != 1:
            raise InvalidNetwork("it reads what is flat, and is given a picture")
        return (self.out_features,)

    def list_tensors(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        return {"weight": (self.out_features, inputs[0][0])} | ({"bias": (self.out_features,)} if self.bias else {})

    def count_macs(self, inputs: tuple[Shape, ...]) -> int:
        return self.out_features * inputs[0][0]


class BatchNorm(Operation):
    """Batch normalisation of each channel (Ioffe and Szegedy 2015), with gain and shift."""

    buffers = frozenset({"running_mean", "running_var"})

    eps: PositiveFraction = 1e-5
    momentum: PositiveFraction = 0.1

    def infer_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return read_picture(inputs[0])

    def list_tensors(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), inputs[0][:1])


class ChannelAffine(Operation):
    """Multiplies each channel by a number of its own and adds another."""

    def list_tensors(self, inputs: tuple[Shape, ...]) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias"), inputs[0][:1])
