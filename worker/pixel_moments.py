"""Mean and deviation of pixels, from whole sums: every machine finds the same. Torch-free."""

from __future__ import annotations

import math


def compute_moments(total: int, squares: int, num_samples: int) -> tuple[float, float]:
    """(mean, standard deviation), a pixel being 0 to 1.

    total, squares: sums of the samples, each 0 to 255, and of their squares.
    """
    deviation = math.sqrt(num_samples * squares - total * total) / num_samples / 255
    return total / num_samples / 255, deviation
