"""Optimizers: one module each, `build(groups, learning_rate)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from worker.catalog import Optimizer
from worker.registry import Registry

OPTIMIZERS = Registry[Callable[[list[dict[str, Any]], float], torch.optim.Optimizer]](Optimizer, __name__, "build")
"""groups: torch's parameter groups, each with its weight decay."""
