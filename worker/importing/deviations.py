"""One deviation for all channels of a picture, where a network was trained with one for each."""

from __future__ import annotations

import copy

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.core.models.build import get_record
from worker.network.operations import NAMES
from worker.network.operations.elementwise import Concatenate, Flatten
from worker.network.operations.pooling import MaxPool
from worker.network.record import PICTURE
from worker.normalization import merge_channels


@torch.no_grad()
def unify_deviations(
    model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[nn.Module, tuple[float, ...]]:
    """A float network that computes the same of (p / 255 - mean) / std with a single std; and that std.

    mean: stays as it is. std: one number, or one for each channel. What a channel's deviation differs by goes into the
    weights of the layers that read it, exactly but for float32. Raises InvalidModel where something other than a
    convolution or a linear layer reads the picture, which has no weights to take it.
    """
    if len(single := merge_channels(std)) == 1:
        return model, single
    if len(mean) not in (1, len(std)):
        raise InvalidModel("mean has another number of channels than std", field="mean")
    common = float(f"{sum(std) / len(std):.4g}")
    record = get_record(model)
    if len(std) != record.input_shape[0]:
        raise InvalidModel("std has another number of channels than the network reads", field="std")
    unified = copy.deepcopy(model)
    # Of every value that holds nothing but pixels: which factor each of its channels takes.
    factors = {PICTURE: torch.tensor([common / each for each in std], dtype=torch.float64)}
    for place, node in enumerate(record.nodes):
        if factors.keys().isdisjoint(node.inputs):
            continue
        operation, layer = node.operation, unified.get_submodule(node.name)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _scale_inputs_(layer, factors[node.inputs[0]])
        elif isinstance(operation, MaxPool):
            factors[place] = factors[node.inputs[0]]
        elif isinstance(operation, Flatten):
            given = factors[node.inputs[0]]
            factors[place] = given.repeat_interleave(record.shapes[place][0] // len(given))
        elif isinstance(operation, Concatenate) and factors.keys() >= set(node.inputs):
            factors[place] = torch.cat([factors[index] for index in node.inputs])
        else:
            raise InvalidModel(
                f"{node.name} ({NAMES[type(operation)]}) reads the picture: deviations that differ by channel go into "
                "the weights of a convolution or linear layer alone",
                field="std",
            )
    return unified, (common,)


def _scale_inputs_(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    """factors: (in,), of each channel or feature that the layer reads."""
    weight = layer.weight
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    by_row = factors.to(weight.device).view(groups, -1).repeat_interleave(len(weight) // groups, 0)
    weight.copy_((weight.double() * by_row.view(*by_row.shape, *[1] * (weight.ndim - 2))).to(weight.dtype))
