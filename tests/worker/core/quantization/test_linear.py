from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from worker.core.quantization.linear import (
    compute_affine_parameters,
    compute_integer_range,
    compute_symmetric_scale,
    linear_dequantize,
    linear_quantize,
    search_scale,
)

BIT_WIDTHS = st.integers(2, 8)
TENSORS = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=40).map(
    lambda values: torch.tensor(values, dtype=torch.float32)
)


@pytest.mark.parametrize(
    ("bit_width", "signed", "expected"),
    [(8, True, (-128, 127)), (8, False, (0, 255)), (4, True, (-8, 7)), (2, True, (-2, 1)), (2, False, (0, 3))],
)
def test_integer_ranges(bit_width: int, signed: bool, expected: tuple[int, int]) -> None:
    assert compute_integer_range(bit_width, signed) == expected


def test_quantizing_by_hand() -> None:
    x = torch.tensor([-1.0, -0.26, 0.0, 0.1, 0.24, 0.9])
    q = linear_quantize(x, 0.25, 0, 4)
    assert q.dtype == torch.int32
    assert q.tolist() == [-4, -1, 0, 0, 1, 4]
    assert linear_dequantize(q, 0.25, 0).tolist() == [-1.0, -0.25, 0.0, 0.0, 0.25, 1.0]


def test_a_zero_point_shifts_the_integers_and_is_taken_off_again() -> None:
    q = linear_quantize(torch.tensor([-0.5, 0.0, 1.0]), 0.5, 3, 8, signed=False)
    assert q.tolist() == [2, 3, 5]
    assert linear_dequantize(q, 0.5, 3).tolist() == [-0.5, 0.0, 1.0]


@pytest.mark.parametrize(("signed", "expected"), [(True, [-8, 7]), (False, [0, 15])])
def test_values_beyond_the_range_are_clamped(signed: bool, expected: list[int]) -> None:
    assert linear_quantize(torch.tensor([-1e9, 1e9]), 0.1, 0, 4, signed=signed).tolist() == expected


def test_halves_round_to_even() -> None:
    assert linear_quantize(torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]), 1.0, 0, 8).tolist() == [0, 2, 2, 0, -2]


def test_the_symmetric_scale_has_127_steps_and_not_127_and_a_half() -> None:
    weight = torch.tensor([-2.0, 0.5, 1.0])
    assert compute_symmetric_scale(weight, 8).item() == pytest.approx(2 / 127)
    assert linear_quantize(weight, compute_symmetric_scale(weight, 8), 0, 8).tolist() == [-127, 32, 64]


def test_per_channel_scales_are_those_of_each_row_alone() -> None:
    weight = torch.tensor([[[[1.0, -3.0]]], [[[0.5, 0.25]]]])
    scale = compute_symmetric_scale(weight, 4, per_channel=True)
    assert scale.shape == (2, 1, 1, 1)
    assert scale.flatten().tolist() == pytest.approx([3 / 7, 0.5 / 7])


def test_affine_parameters_by_hand() -> None:
    # -1 .. 2 on 0 .. 15: scale 0.2, zero at integer 5.
    scale, zero_point = compute_affine_parameters(torch.tensor([-1.0, 2.0]), 4)
    assert scale.item() == pytest.approx(0.2)
    assert zero_point.item() == 5


@given(x=TENSORS, bit_width=BIT_WIDTHS)
def test_affine_zero_is_exact_and_no_value_is_further_off_than_one_step(x: torch.Tensor, bit_width: int) -> None:
    scale, zero_point = compute_affine_parameters(x, bit_width)
    zero = linear_dequantize(linear_quantize(torch.zeros(1), scale, zero_point, bit_width, False), scale, zero_point)
    assert zero.item() == 0.0
    back = linear_dequantize(linear_quantize(x, scale, zero_point, bit_width, False), scale, zero_point)
    # Half a step of rounding, half a step of the zero point's own rounding.
    assert ((back - x).abs() <= scale * 1.001 + 1e-6).all()


@pytest.mark.slow
@given(x=TENSORS, bit_width=BIT_WIDTHS)
def test_a_round_trip_inside_the_range_is_at_most_half_a_step_off(x: torch.Tensor, bit_width: int) -> None:
    scale = compute_symmetric_scale(x, bit_width)
    back = linear_dequantize(linear_quantize(x, scale, 0, bit_width), scale, 0)
    # The last factor is what float32 loses in the division.
    assert ((back - x).abs() <= scale / 2 * (1 + 1e-4)).all()


@given(x=TENSORS, bit_width=BIT_WIDTHS)
def test_quantizing_what_was_quantized_changes_nothing(x: torch.Tensor, bit_width: int) -> None:
    scale = compute_symmetric_scale(x, bit_width)
    q = linear_quantize(x, scale, 0, bit_width)
    assert torch.equal(linear_quantize(linear_dequantize(q, scale, 0), scale, 0, bit_width), q)


def compute_squared_error(x: torch.Tensor, scale: torch.Tensor, bit_width: int, *, signed: bool = True) -> float:
    low, high = (-(2 ** (bit_width - 1)), 2 ** (bit_width - 1) - 1) if signed else (0, 2**bit_width - 1)
    step = float(scale)
    return math.fsum((min(max(round(v / step), low), high) * step - v) ** 2 for v in x.double().tolist())


@pytest.mark.parametrize("bit_width", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("seed", range(3))
def test_the_scale_found_is_no_worse_than_the_full_range(bit_width: int, seed: int) -> None:
    x = torch.randn(500, generator=torch.Generator().manual_seed(seed))
    found = compute_squared_error(x, search_scale(x, bit_width, True), bit_width)
    # The search walks a grid: at 8 bits the full range itself may lie between two of its points.
    assert found <= compute_squared_error(x, compute_symmetric_scale(x, bit_width), bit_width) * 1.05


def test_at_two_bits_the_scale_found_is_near_the_known_optimum_of_a_half_normal() -> None:
    # Unsigned levels 0 1 2 3 for |x|, x normal: the best step by brute force over a fine grid.
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0)).abs()
    best = min(compute_squared_error(x, torch.tensor(0.01 * k), 2, signed=False) for k in range(20, 200))
    assert compute_squared_error(x, search_scale(x, 2, False), 2, signed=False) <= best * 1.01


def test_per_channel_search_finds_for_each_row_what_it_finds_for_the_row_alone() -> None:
    x = torch.randn(4, 60, generator=torch.Generator().manual_seed(1)) * torch.tensor([[0.1], [1.0], [5.0], [0.0]])
    together = search_scale(x, 3, True, per_channel=True)
    alone = [search_scale(row[None], 3, True).item() for row in x]
    assert together.flatten().tolist() == pytest.approx(alone)
    assert (together > 0).all()
