"""How many channels each layer gives up, decided on plain numbers and then on networks that were never trained."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from worker.catalog import Architecture, PruningMethod, PruningScope
from worker.core.graph import list_layers
from worker.core.models import build_model, get_widths
from worker.core.pruning import apply_pruning, check_sparsity
from worker.core.pruning.allocation import ChannelGroup, allocate_evenly, allocate_together, count_least
from worker.core.pruning.channels import LARGEST_GLOBAL_RATIO, count_channels, count_largest_group, prune_channels
from worker.core.pruning.difference import find_difference
from worker.core.pruning.gradual import GradualPruner

SHAPE = (1, 28, 28)
SPARSITIES = (0.0, 0.07, 0.3, 0.5, 0.8, 0.9)


@st.composite
def channel_groups(draw: st.DrawFn) -> ChannelGroup:
    width = draw(st.integers(1, 40))
    scores = draw(st.lists(st.floats(0, 1), min_size=width, max_size=width))
    return ChannelGroup(width, draw(st.integers(1, 3)), count_least(width, LARGEST_GLOBAL_RATIO), tuple(scores))


def count_removed(groups: list[ChannelGroup], kept: list[int]) -> int:
    return sum((group.width - units) * group.cost for group, units in zip(groups, kept, strict=True))


@given(st.lists(channel_groups(), min_size=1, max_size=6), st.floats(0, 0.9))
def test_ranked_together_the_sum_is_as_asked_or_every_group_is_at_its_least(
    groups: list[ChannelGroup], share: float
) -> None:
    asked = share * sum(group.width * group.cost for group in groups)
    kept = allocate_together(groups, asked)
    assert all(group.least <= units <= group.width for group, units in zip(groups, kept, strict=True))
    largest = max(group.cost for group in groups)
    is_exhausted = kept == [group.least for group in groups]
    assert abs(count_removed(groups, kept) - asked) <= largest or (is_exhausted and count_removed(groups, kept) < asked)


@given(st.lists(channel_groups(), min_size=1, max_size=6), st.floats(0, 0.9))
def test_taken_evenly_no_group_is_off_by_a_unit_and_the_sum_by_more_than_a_group(
    groups: list[ChannelGroup], share: float
) -> None:
    groups = [ChannelGroup(group.width, group.cost) for group in groups]
    kept = allocate_evenly(groups, share)
    for group, units in zip(groups, kept, strict=True):
        assert 1 <= units <= group.width
        assert units == 1 or abs(units - group.width * (1 - share)) < 1
    asked = share * sum(group.width * group.cost for group in groups)
    largest = max(group.cost for group in groups)
    assert abs(count_removed(groups, kept) - asked) <= largest or count_removed(groups, kept) < asked


def test_a_layer_of_the_lowest_scores_is_capped_and_the_rest_is_taken_elsewhere() -> None:
    weak = ChannelGroup(20, 1, count_least(20, 0.9), tuple(0.001 * place for place in range(20)))
    strong = ChannelGroup(20, 1, count_least(20, 0.9), tuple(1.0 + place for place in range(20)))
    assert allocate_together([weak, strong], 19) == [2, 19]
    assert allocate_together([weak, strong], 30) == [2, 8]


def build(architecture: Architecture) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(architecture)
    with torch.no_grad():
        # One layer far below the others: where all are ranked together, all of it would go first.
        next(iter(list_layers(model).values())).weight.mul_(1e-3)
    return model


def build_gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.randn_like(layer.weight) for name, layer in list_layers(model).items()}


@pytest.mark.slow
@pytest.mark.parametrize("method", list(PruningMethod))
@pytest.mark.parametrize("scope", [PruningScope.UNIFORM, PruningScope.GLOBAL])
@pytest.mark.parametrize("architecture", list(Architecture))
def test_channels_reach_what_is_asked_to_one_group(
    architecture: Architecture, scope: PruningScope, method: PruningMethod
) -> None:
    model = build(architecture)
    gradients = build_gradients(model) if method is PruningMethod.TAYLOR else None
    total = count_channels(model)
    granularity = count_largest_group(model, SHAPE) / total
    for sparsity in SPARSITIES:
        narrow = prune_channels(model, sparsity, SHAPE, method=method, scope=scope, gradients=gradients)
        reached = 1 - count_channels(narrow) / total
        assert find_difference(sparsity, reached, granularity=granularity, before=0.0) is None, (sparsity, reached)


@pytest.mark.parametrize("method", list(PruningMethod))
@pytest.mark.parametrize("scope", list(PruningScope))
@pytest.mark.parametrize("architecture", list(Architecture))
def test_weights_reach_what_is_asked_to_one_of_each_layer(
    architecture: Architecture, scope: PruningScope, method: PruningMethod
) -> None:
    model = build(architecture)
    gradients = build_gradients(model) if method is PruningMethod.TAYLOR else None
    layers = check_sparsity(model).layers
    granularity = len(layers) / sum(layer.num_weights for layer in layers)
    for sparsity in SPARSITIES:
        apply_pruning(model, method, sparsity, scope=scope, gradients=gradients)
        assert abs(check_sparsity(model).sparsity - sparsity) <= granularity


@pytest.mark.parametrize("scope", [PruningScope.UNIFORM, PruningScope.GLOBAL])
@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_network_of_single_channels_stays_and_is_flagged(architecture: Architecture, scope: PruningScope) -> None:
    widths = tuple(1 for _ in get_widths(architecture, build_model(architecture)))
    model = build_model(architecture, widths)
    narrow = prune_channels(model, 0.5, SHAPE, scope=scope)
    assert get_widths(architecture, narrow) == widths


@pytest.mark.parametrize("scope", list(PruningScope))
def test_a_sparser_model_is_never_pruned_back(scope: PruningScope) -> None:
    model = build(Architecture.LENET5)
    apply_pruning(model, "magnitude", 0.8)
    zeros = {name: layer.weight == 0 for name, layer in list_layers(model).items()}
    apply_pruning(model, "magnitude", 0.5, scope=scope)
    assert check_sparsity(model).sparsity >= 0.8 - 1e-4
    for name, layer in list_layers(model).items():
        assert bool((layer.weight[zeros[name]] == 0).all())


def test_gradual_pruning_of_a_sparser_model_keeps_it_as_sparse() -> None:
    model = build_model("mlp", (50,))
    apply_pruning(model, "magnitude", 0.8)
    pruner = GradualPruner(model, 0.5, ramp_steps=4, scope=PruningScope.GLOBAL, interval=1)
    for _ in range(6):
        with torch.no_grad():
            # An optimizer's step: nothing is exactly zero before the masks.
            for layer in list_layers(model).values():
                layer.weight.add_(0.001)
        pruner(model)
    assert check_sparsity(model).sparsity == pytest.approx(0.8, abs=1e-4)
