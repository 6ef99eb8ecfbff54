"""One deviation for all channels of a picture, where a network was trained with one for each."""

from __future__ import annotations

import copy

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.core.models.build import get_record
from worker.network.operations.base import InvalidNetwork
from worker.network.picture_readers import follow_picture
from worker.normalization import merge_channels


@torch.no_grad()
def unify_deviations(
    model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[nn.Module, tuple[float, ...]]:
    """A float network that computes the same of (p / 255 - mean) / std with a single std; and that std.

    mean: stays as it is. std: one number, or one for each channel. What a channel's deviation differs by goes into the
    weights of the layers that read it, exactly but for float32. Raises InvalidModel where something reads the picture
    that has no weights to take it.
    """
    if len(single := merge_channels(std)) == 1:
        return model, single
    if len(mean) not in (1, len(std)):
        raise InvalidModel("mean has another number of channels than std", field="mean")
    common = float(f"{sum(std) / len(std):.4g}")
    record = get_record(model)
    if len(std) != record.input_shape[0]:
        raise InvalidModel("std has another number of channels than the network reads", field="std")
    try:
        held = follow_picture(record)
    except InvalidNetwork as error:
        raise InvalidModel(str(error), field="std") from None
    unified = copy.deepcopy(model)
    multiples = torch.tensor([common / each for each in std], dtype=torch.float64)
    for node in record.nodes:
        layer = unified.get_submodule(node.name)
        if held.keys().isdisjoint(node.inputs) or not list(layer.parameters(recurse=False)):
            continue
        factors = multiples[list(held[node.inputs[0]])]
        if isinstance(layer, nn.Conv2d | nn.Linear):
            _scale_inputs_(layer, factors)
        else:
            _scale_channels_(layer, factors)
    return unified, (common,)


def _scale_inputs_(layer: nn.Conv2d | nn.Linear, factors: torch.Tensor) -> None:
    """factors: (in,), of each channel or feature that the layer reads."""
    weight = layer.weight
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    by_row = factors.to(weight.device).view(groups, -1).repeat_interleave(len(weight) // groups, 0)
    weight.copy_((weight.double() * by_row.view(*by_row.shape, *[1] * (weight.ndim - 2))).to(weight.dtype))


def _scale_channels_(layer: nn.Module, factors: torch.Tensor) -> None:
    """layer: a batch norm, or what multiplies each channel. factors: (C,), of each that it reads."""
    weight = layer.get_parameter("weight")
    factors = factors.to(weight.device)
    if isinstance(layer, nn.BatchNorm2d):
        mean, variance = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
        narrowed = variance.double() / factors**2
        mean.copy_(mean.double() / factors)
        factors = factors * ((narrowed + layer.eps) / (variance.double() + layer.eps)).sqrt()
        variance.copy_(narrowed)
    weight.copy_((weight.double() * factors).to(weight.dtype))
