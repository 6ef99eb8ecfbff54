"""What a training picture of each class weighs in the loss: one module each. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worker.catalog import ClassWeighting
from worker.registry import Registry

CLASS_WEIGHTINGS = Registry[Callable[[Sequence[int]], list[float] | None]](ClassWeighting, __name__, "compute_weights")
"""training pictures of each class → the weight of each of them, whose mean over the pictures is 1; None where all
pictures weigh the same."""
