"""Which of the pictures are trained on and which are only tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def draw_test(labels: NDArray[np.int64], names: Sequence[str], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Draws `fraction` of each class. labels: (N,). Returns bool, (N,).

    Of a class of two pictures or more at least one is drawn, and one is left. The same seed draws the same pictures.
    """
    drawn = np.zeros(len(labels), bool)
    for label in range(len(names)):
        rows = np.flatnonzero(labels == label)
        if len(rows) > 1:
            num_drawn = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
            generator = np.random.default_rng((seed, label))
            drawn[generator.permutation(rows)[:num_drawn]] = True
    return drawn
