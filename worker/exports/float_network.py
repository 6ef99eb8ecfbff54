"""A float network as plain arrays, as exports read it; `IntegerNetwork` is its like for integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.network.record import Network

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FloatNetwork:
    """weights: the record's tensors by their names. A pixel p enters as (p / 255 - mean) / std."""

    network: Network
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: Mapping[str, Floats]


def to_floats(values: Any) -> Floats:
    """An array of float32."""
    return np.asarray(values, dtype=np.float32)
