"""Linear quantization: real = scale * (q - zero_point) (Jacob et al. 2018, arXiv:1712.05877)."""

from __future__ import annotations

import torch

SMALLEST_SCALE = 1e-12


def compute_integer_range(bit_width: int, signed: bool = True) -> tuple[int, int]:
    """(qmin, qmax) of an integer of `bit_width` bits: two's complement when signed."""
    if signed:
        return -(1 << (bit_width - 1)), (1 << (bit_width - 1)) - 1
    return 0, (1 << bit_width) - 1


def linear_quantize(
    x: torch.Tensor,
    scale: torch.Tensor | float,
    zero_point: torch.Tensor | int,
    bit_width: int,
    signed: bool = True,
) -> torch.Tensor:
    """Real values to integers, rounded half to even and clamped.

    x: any shape; scale, zero_point: scalars or shapes that broadcast with x. Returns int32, shape of x.
    """
    qmin, qmax = compute_integer_range(bit_width, signed)
    return (torch.round(x / scale) + zero_point).clamp_(qmin, qmax).to(torch.int32)


def linear_dequantize(q: torch.Tensor, scale: torch.Tensor | float, zero_point: torch.Tensor | int) -> torch.Tensor:
    """Integers back to real values, float32: scale * (q - zero_point)."""
    return scale * (q - zero_point).to(torch.float32)


def compute_symmetric_scale(x: torch.Tensor, bit_width: int, *, per_channel: bool = False) -> torch.Tensor:
    """max|x| / qmax, with zero_point 0: 127 steps to each side at 8 bits, not 127.5.

    Returns a scalar, or with `per_channel` the shape (dim 0, 1, 1 …) that broadcasts with x.
    """
    _, qmax = compute_integer_range(bit_width)
    largest = x.abs().amax(dim=tuple(range(1, x.ndim)), keepdim=True) if per_channel else x.abs().max()
    return (largest / qmax).clamp_min(SMALLEST_SCALE)


def compute_affine_parameters(x: torch.Tensor, bit_width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(scale, zero_point) that map the range of x, widened to hold zero, onto the unsigned integers.

    Zero is exactly representable. Use with `signed=False`.
    """
    qmin, qmax = compute_integer_range(bit_width, signed=False)
    low, high = x.min().clamp_max(0), x.max().clamp_min(0)
    scale = ((high - low) / (qmax - qmin)).clamp_min(SMALLEST_SCALE)
    zero_point = (qmin - torch.round(low / scale)).clamp_(qmin, qmax).to(torch.int32)
    return scale, zero_point


def search_affine_parameters(x: torch.Tensor, bit_width: int, *, num_candidates: int = 40) -> tuple[float, int]:
    """(scale, zero_point) with the least squared error, among clipped fractions of the range. Use with `signed=False`.

    x: any shape, float. At few bits it may be worth more to hold the values above zero well than the lowest ones.
    """
    full, _ = compute_affine_parameters(x, bit_width)
    _, qmax = compute_integer_range(bit_width, signed=False)
    low = float(x.min().clamp_max(0))
    best = (float("inf"), float(full), 0)
    memory = torch.empty_like(x)
    for step in range(num_candidates):
        scale = float(full) * (1.2 - 1.1 * step / num_candidates)
        lowest = min(qmax, round(-low / scale))
        for zero_point in {lowest, max(0, lowest - 1)}:
            error = float(_compute_squares(x, scale, zero_point, bit_width, False, memory).sum())
            best = min(best, (error, scale, zero_point))
    return best[1:]


def compute_squared_error(
    x: torch.Tensor, scale: torch.Tensor | float, zero_point: int, bit_width: int, signed: bool
) -> float:
    """The sum over all values of the squared distance to what their integers stand for."""
    return float(_compute_squares(x, scale, zero_point, bit_width, signed, torch.empty_like(x)).sum())


def _compute_squares(
    x: torch.Tensor, scale: torch.Tensor | float, zero_point: int, bit_width: int, signed: bool, memory: torch.Tensor
) -> torch.Tensor:
    """The squared distance of each value to what its integer stands for, written over `memory`.

    In place and in floating point, which holds such integers exactly: a network of a hundred layers asks for it ten
    thousand times, and a quarter of the time is then enough.
    """
    qmin, qmax = compute_integer_range(bit_width, signed)
    steps = torch.div(x, scale, out=memory).round_().clamp_(qmin - zero_point, qmax - zero_point)
    return steps.mul_(scale).sub_(x).square_()


def search_scale(
    x: torch.Tensor, bit_width: int, signed: bool, *, per_channel: bool = False, num_candidates: int = 60
) -> torch.Tensor:
    """The scale with the least squared quantization error, among clipped fractions of the full range.

    At 8 bits the full range is nearly always best; at 2 bits clipping is what makes a network work at all.
    Shape as `compute_symmetric_scale`.
    """
    _, qmax = compute_integer_range(bit_width, signed)
    dims = tuple(range(1, x.ndim))
    largest = x.abs().amax(dim=dims, keepdim=True) if per_channel else x.abs().max()
    # Two bits signed have levels -2 -1 0 1: the useful scales reach beyond max|x| / 1.
    full = (largest / max(qmax, 1.5)).clamp_min(SMALLEST_SCALE)
    best_scale, best_error = full.clone(), torch.full_like(full, torch.inf)
    memory = torch.empty_like(x)
    for step in range(num_candidates):
        scale = full * (1.2 - 1.1 * step / num_candidates)
        squared = _compute_squares(x, scale, 0, bit_width, signed, memory)
        error = squared.sum(dim=dims, keepdim=True) if per_channel else squared.sum()
        better = error < best_error
        best_error = torch.where(better, error, best_error)
        best_scale = torch.where(better, scale, best_scale)
    return best_scale
