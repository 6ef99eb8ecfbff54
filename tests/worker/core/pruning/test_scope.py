from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.catalog import PruningSchedule, PruningScope
from worker.core.pruning.masks import keep_largest
from worker.core.pruning.schedules import compute_sparsities
from worker.core.pruning.scopes import choose_masks
from worker.core.pruning.scopes.erk import allocate_erk
from worker.core.pruning.scopes.lamp import compute_lamp


def count_kept(masks: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in masks.items()}


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=50), st.data())
def test_tied_scores_still_give_exactly_the_count_asked_for(scores: list[float], data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(scores)))
    mask = keep_largest(torch.tensor(scores), kept)
    assert int(mask.sum()) == kept
    chosen = sorted(torch.tensor(scores)[mask].tolist(), reverse=True)
    assert chosen == sorted(scores, reverse=True)[:kept]


def test_seven_of_ten_equal_weights_are_kept_when_seven_are_wanted() -> None:
    masks = choose_masks({"a": torch.ones(2, 5)}, 0.3, PruningScope.GLOBAL)
    assert count_kept(masks) == {"a": 7}
    assert masks["a"].shape == (2, 5)


SCORES = {"small": torch.arange(1.0, 11).view(2, 5), "large": torch.arange(101.0, 191).view(9, 10)}


def test_uniform_takes_the_same_fraction_of_each_layer() -> None:
    assert count_kept(choose_masks(SCORES, 0.5, PruningScope.UNIFORM)) == {"small": 5, "large": 45}


def test_global_lets_all_weights_compete() -> None:
    assert count_kept(choose_masks(SCORES, 0.5, PruningScope.GLOBAL)) == {"small": 0, "large": 50}


def test_lamp_leaves_every_layer_its_largest_weight() -> None:
    masks = choose_masks(SCORES, 0.98, PruningScope.LAMP)
    assert count_kept(masks) == {"small": 1, "large": 1}
    assert masks["small"].flatten().tolist() == [False] * 9 + [True]


def test_lamp_scores_by_hand() -> None:
    # Squares 9 1 4: each over the sum of those at least as large.
    assert compute_lamp(torch.tensor([[3.0, -1.0, 2.0]])).tolist() == [pytest.approx([9 / 9, 1 / 14, 4 / 13])]


def test_lamp_does_not_depend_on_a_layers_scale() -> None:
    scores = torch.rand(40, generator=torch.Generator().manual_seed(0))
    assert compute_lamp(scores * 1000).tolist() == pytest.approx(compute_lamp(scores).tolist(), rel=1e-5)


def test_lamp_of_a_layer_that_is_all_zero_is_zero() -> None:
    assert compute_lamp(torch.zeros(3)).tolist() == [0, 0, 0]


def test_erk_by_hand() -> None:
    # Densities in the ratio (10+10)/100 : (100+10)/1000, so kept weights as 20 : 110. Of 110 that is 16.9 : 93.1.
    assert allocate_erk({"a": (10, 10), "b": (100, 10)}, 0.9) == {"a": 17, "b": 93}


def test_erk_keeps_a_layer_whole_before_it_exceeds_density_one() -> None:
    # Of 770 kept weights `a` would get 118 of its 100: it stays dense, `b` keeps the rest.
    assert allocate_erk({"a": (10, 10), "b": (100, 10)}, 0.3) == {"a": 100, "b": 670}


@given(
    st.lists(st.lists(st.integers(1, 12), min_size=2, max_size=4), min_size=1, max_size=5),
    st.floats(0, 1),
    st.sampled_from(list(PruningScope)),
)
def test_each_scope_drops_exactly_the_count(shapes: list[list[int]], sparsity: float, scope: PruningScope) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = {str(position): torch.rand(shape, generator=generator) for position, shape in enumerate(shapes)}
    kept = count_kept(choose_masks(scores, sparsity, scope))
    sizes = {name: score.numel() for name, score in scores.items()}
    if scope is PruningScope.UNIFORM:
        assert kept == {name: max(1, size - round(size * sparsity)) for name, size in sizes.items()}
    else:
        assert sum(kept.values()) == max(1, sum(sizes.values()) - round(sum(sizes.values()) * sparsity))
    assert all(kept[name] <= sizes[name] for name in sizes)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (PruningSchedule.ONE_SHOT, [0.96]),
        (PruningSchedule.LINEAR, [0.48, 0.96]),
        (PruningSchedule.CUBIC, [0.84, 0.96]),
        (PruningSchedule.GEOMETRIC, [0.8, 0.96]),
    ],
)
def test_schedules_by_hand(schedule: PruningSchedule, expected: list[float]) -> None:
    assert compute_sparsities(schedule, 0.96, 2) == pytest.approx(expected)


@given(st.sampled_from(list(PruningSchedule)), st.floats(0.01, 0.99), st.integers(1, 30))
def test_a_schedule_rises_and_ends_at_what_was_asked(schedule: PruningSchedule, final: float, steps: int) -> None:
    sparsities = compute_sparsities(schedule, final, steps)
    assert sparsities == sorted(sparsities)
    assert sparsities[-1] == final
    assert len(sparsities) == (1 if schedule is PruningSchedule.ONE_SHOT else steps)
