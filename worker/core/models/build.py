"""From a record of a network to the modules that compute it: a module a node, under the node's name.

Nothing but what stands here runs: a record holds data, and an operation is looked up by its type.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.core.models.convolution import Conv2d
from worker.network.operations import elementwise, layers, pooling
from worker.network.operations.base import Operation, Shape
from worker.network.record import Network


class ChannelAffine(nn.Module):
    """(B, C) or (B, C, H, W) to the same shape: each channel times a number of its own, plus another."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        along = (1, -1) + (1,) * (x.ndim - 2)
        return x * self.weight.view(along) + self.bias.view(along)


class Mean(nn.Module):
    """(B, C, H, W) to the means (B, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


class Add(nn.Module):
    """The sum of two of the same shape."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first + second


class Multiply(nn.Module):
    """The product of two of the same shape, or of (B, C, H, W) and (B, C, 1, 1)."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return first * second


class Concatenate(nn.Module):
    """Any number of (B, ..., H, W) to one, channel after channel."""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, 1)


def _build_convolution(operation: layers.Convolution, shape: Shape) -> nn.Module:
    return Conv2d(
        shape[0],
        operation.out_channels,
        operation.kernel,
        operation.stride,
        operation.padding,
        operation.dilation,
        operation.groups,
        operation.bias,
    )


def _build_average_pool(operation: pooling.AveragePool, _shape: Shape) -> nn.Module:
    return nn.AvgPool2d(
        operation.kernel, operation.stride, operation.padding, operation.ceil_mode, operation.count_include_pad
    )


BUILDERS: dict[type[Operation], Callable[[Any, Shape], nn.Module]] = {
    layers.Convolution: _build_convolution,
    layers.Linear: lambda operation, shape: nn.Linear(shape[0], operation.out_features, operation.bias),
    layers.BatchNorm: lambda operation, shape: nn.BatchNorm2d(shape[0], operation.eps, operation.momentum),
    layers.ChannelAffine: lambda _, shape: ChannelAffine(shape[0]),
    elementwise.Relu: lambda *_: nn.ReLU(),
    elementwise.Relu6: lambda *_: nn.ReLU6(),
    elementwise.LeakyRelu: lambda operation, _: nn.LeakyReLU(operation.negative_slope),
    elementwise.HardSwish: lambda *_: nn.Hardswish(),
    elementwise.HardSigmoid: lambda *_: nn.Hardsigmoid(),
    elementwise.Sigmoid: lambda *_: nn.Sigmoid(),
    elementwise.Silu: lambda *_: nn.SiLU(),
    elementwise.Gelu: lambda *_: nn.GELU(),
    pooling.MaxPool: lambda operation, _: nn.MaxPool2d(
        operation.kernel, operation.stride, operation.padding, ceil_mode=operation.ceil_mode
    ),
    pooling.AveragePool: _build_average_pool,
    pooling.AdaptiveAveragePool: lambda operation, _: nn.AdaptiveAvgPool2d(operation.output),
    pooling.Mean: lambda *_: Mean(),
    elementwise.Add: lambda *_: Add(),
    elementwise.Multiply: lambda *_: Multiply(),
    elementwise.Concatenate: lambda *_: Concatenate(),
    elementwise.Flatten: lambda *_: nn.Flatten(),
}
"""Operation → its module, of the operation and the shape of what it reads first."""


class NetworkModule(nn.Module):
    """A network built from its record, with fresh weights of torch's global generator, drawn in the nodes' order."""

    def __init__(self, record: Network) -> None:
        super().__init__()
        self.record = record
        last_readers = {index: number for number, node in enumerate(record.nodes) for index in node.inputs}
        self._steps: list[_Step] = []
        for number, node in enumerate(record.nodes):
            self._place(node.name, BUILDERS[type(node.operation)](node.operation, record.list_inputs(node)[0]))
            done = tuple(index for index in set(node.inputs) if last_readers[index] == number)
            self._steps.append(_Step(operator.attrgetter(node.name), node.inputs, done))

    def _place(self, name: str, module: nn.Module) -> None:
        """Puts a module where its dotted name says; what is on the way there only holds others."""
        place: nn.Module = self
        *holders, last = name.split(".")
        for holder in holders:
            if holder not in dict(place.named_children()):
                place.add_module(holder, nn.Module())
            place = place.get_submodule(holder)
        place.add_module(last, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, C, H, W). Returns the output (B, ...), logits (B, num_classes) of a network that classifies."""
        values: list[Any] = [*[None] * len(self._steps), x]  # PICTURE is the last one's index
        for number, step in enumerate(self._steps):
            values[number] = step.find_module(self)(*[values[index] for index in step.inputs])
            # What nobody reads any more is let go, so that its memory is there for the next.
            for index in step.done:
                values[index] = None
        output: torch.Tensor = values[self.record.output]
        return output


class _Step(NamedTuple):
    """One node's turn. done: indices of the values that it reads as the last."""

    find_module: operator.attrgetter[Any]
    inputs: tuple[int, ...]
    done: tuple[int, ...]


def build_module(record: Network) -> NetworkModule:
    """A module with fresh weights, channels last."""
    return NetworkModule(record).to(memory_format=torch.channels_last)


def get_record(model: nn.Module) -> Network:
    """The record that a network was built from. Raises InvalidModel where it was built from none."""
    if not isinstance(model, NetworkModule):
        raise InvalidModel(f"a {type(model).__name__} was built from no record of a network")
    return model.record
