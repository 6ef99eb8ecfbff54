"""Whole channels: the network really gets narrower. torch-pruning follows the dependencies (Fang et al. 2023)."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
import torch_pruning
from torch import nn
from torch_pruning.dependency import index_mapping

from worker.catalog import PruningMethod, PruningScope
from worker.core.device import device_of
from worker.core.graph import list_layers
from worker.core.models.build import ChannelAffine, build_module, get_record
from worker.core.pruning.allocation import ChannelGroup, allocate_evenly, allocate_together, count_least
from worker.core.pruning.methods import IMPORTANCES
from worker.core.pruning.scopes import RANKS_TOGETHER
from worker.network.layers import find_fixed_layers, shrink_network

LARGEST_GLOBAL_RATIO = 0.9
"""What one layer may lose where all are ranked together, so that none is cut through."""


class _AffinePruner(torch_pruning.pruner.function.BasePruningFunc):  # type: ignore[misc]
    """Tells torch-pruning which tensors of a per-channel affine go with a channel."""

    def prune_out_channels(self, layer: ChannelAffine, idxs: Sequence[int]) -> ChannelAffine:
        kept = sorted(set(range(len(layer.weight))) - set(idxs))
        layer.weight = self._prune_parameter_and_grad(layer.weight, kept, 0)
        layer.bias = self._prune_parameter_and_grad(layer.bias, kept, 0)
        return layer

    prune_in_channels = prune_out_channels  # by which the library knows that both sides are one

    def get_out_channels(self, layer: ChannelAffine) -> int:
        return len(layer.weight)

    get_in_channels = get_out_channels


CUSTOM_PRUNERS = {ChannelAffine: _AffinePruner()}


def prune_channels(
    model: nn.Module,
    sparsity: float,
    input_shape: tuple[int, int, int],
    *,
    method: PruningMethod = PruningMethod.MAGNITUDE,
    scope: PruningScope = PruningScope.UNIFORM,
    gradients: Mapping[str, torch.Tensor] | None = None,
    multiple_of: int = 1,
) -> nn.Module:
    """A narrower copy of `model`: as near to `sparsity` of all prunable channels and neurons as can be are gone.

    The logits keep their number. `uniform` takes the fraction from each layer and leaves it at least one channel;
    any other scope ranks the channels of all layers together and takes at most nine tenths of a layer: what such a
    layer does not give is taken elsewhere. gradients: by layer name, for `taylor` alone. multiple_of: what is left of
    a layer of at least twice so many channels is rounded to a multiple of it (`uniform` only): 16 fills the vector
    registers of a processor.
    """
    narrow = copy.deepcopy(model)
    layers = list_layers(narrow)
    for name, gradient in (gradients or {}).items():
        layers[name].weight.grad = gradient.clone()
    prunable, fixed = _split_layers(narrow)
    logging.getLogger("torch_pruning").setLevel(logging.WARNING)
    example = torch.zeros(1, *input_shape, device=device_of(narrow))
    options = {"importance": IMPORTANCES[method](), "ignored_layers": fixed, "pruning_ratio": sparsity}
    is_ranked_together = RANKS_TOGETHER[scope]
    with _keep_index_mappings():
        finder = _build_pruner(narrow, example, **options)
        found = [_describe_group(finder, prunable, group, is_ranked_together) for group in _list_groups(finder)]
    groups = [group for group, _ in found]
    if is_ranked_together:
        kept = allocate_together(groups, sparsity * sum(group.width * group.cost for group in groups))
    elif multiple_of == 1:
        kept = allocate_evenly(groups, sparsity)
    else:
        kept = [_round_width(group.width, sparsity, multiple_of) for group in groups]
    ratios: dict[nn.Module, float] = {}
    for (group, members), units in zip(found, kept, strict=True):
        # The library cuts width * (1 - ratio) off to a whole number: stay above it.
        ratios |= dict.fromkeys(members, max(0.0, 1 - (units + 0.01) / group.width))
    with _keep_index_mappings():
        pruner = _build_pruner(narrow, example, pruning_ratio_dict=ratios, max_pruning_ratio=1.0, **options)
    pruner.step()
    return _rebuild(narrow)


def _build_pruner(model: nn.Module, example: torch.Tensor, **options: Any) -> Any:
    # Without these two, the library keeps the grouped convolutions of every model that a process has pruned.
    groups: dict[str, Any] = {"in_channel_groups": {}, "out_channel_groups": {}}
    return torch_pruning.pruner.BasePruner(model, example, customized_pruners=CUSTOM_PRUNERS, **groups, **options)


@contextmanager
def _keep_index_mappings() -> Iterator[None]:
    """Has torch-pruning work out once for each graph which channels of a concatenation come from where.

    It does so anew for every group that it lists, though nothing is pruned in between: of densenet121, whose layers
    are all concatenated, listing its groups took three quarters of the time of pruning it.
    """
    update = index_mapping.update_index_mapping
    known = WeakSet[Any]()

    def update_once(graph: Any) -> None:
        if graph not in known:
            update(graph)
            known.add(graph)

    index_mapping.update_index_mapping = update_once
    try:
        yield
    finally:
        index_mapping.update_index_mapping = update


def _split_layers(model: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers that can lose channels, and those that cannot."""
    fixed = find_fixed_layers(get_record(model))
    layers = list_layers(model).items()
    return [layer for name, layer in layers if name not in fixed], [layer for name, layer in layers if name in fixed]


def _rebuild(narrow: nn.Module) -> nn.Module:
    """The pruned modules as a network of its own record, whose tensors must be theirs."""
    shapes = {name: tuple(layer.weight.shape) for name, layer in list_layers(narrow).items()}
    with torch.device("meta"):  # no weights are drawn
        rebuilt = build_module(shrink_network(get_record(narrow), shapes))
    rebuilt.load_state_dict(narrow.state_dict(), assign=True)
    return rebuilt.to(memory_format=torch.channels_last).train(narrow.training)


def _list_groups(pruner: Any) -> list[Any]:
    return list(
        pruner.DG.get_all_groups(ignored_layers=pruner.ignored_layers, root_module_types=pruner.root_module_types)
    )


def _describe_group(
    pruner: Any, prunable: list[nn.Module], group: Any, with_scores: bool
) -> tuple[ChannelGroup, list[nn.Module]]:
    """The group in numbers, and its layers among `prunable`."""
    shrinking = [dep.target.module for dep, _ in group if pruner.DG.is_out_channel_pruning_fn(dep.handler)]
    members: list[nn.Module] = [layer for layer in prunable if any(layer is module for module in shrinking)]
    width = len(group[0].idxs)
    if not with_scores:
        return ChannelGroup(width, len(members)), members
    scores: torch.Tensor | None = pruner.estimate_importance(group)
    listed = () if scores is None else tuple(scores.tolist())
    return ChannelGroup(width, len(members), count_least(width, LARGEST_GLOBAL_RATIO), listed), members


def _round_width(width: int, sparsity: float, multiple_of: int) -> int:
    """The library would leave a layer whole rather than empty; here it keeps at least one unit."""
    unit = multiple_of if width >= 2 * multiple_of else 1
    return max(1, round(width * (1 - sparsity) / unit)) * unit


def count_largest_group(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Channels that can only go together at most: the steps in which channel pruning counts."""
    prunable, fixed = _split_layers(model)
    example = torch.zeros(1, *input_shape, device=device_of(model))
    importance = torch_pruning.importance.RandomImportance()
    with _keep_index_mappings():
        finder = _build_pruner(model, example, importance=importance, pruning_ratio=0.0, ignored_layers=fixed)
        costs = [_describe_group(finder, prunable, group, False)[0].cost for group in _list_groups(finder)]
    return max(costs, default=1)


def count_channels(model: nn.Module) -> int:
    """Output channels and neurons of all layers that can lose some."""
    prunable, _ = _split_layers(model)
    return sum(len(layer.get_parameter("weight")) for layer in prunable)
