"""What weights must be before a network is made of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from worker.network.operations.base import InvalidNetwork
from worker.network.operations.layers import BatchNorm
from worker.network.record import Network

Array = npt.NDArray[np.float32]


def check_arrays(network: Network, arrays: Mapping[str, Array]) -> None:
    """arrays: of the network's tensors, by name. Raises InvalidNetwork that names the first that computes nothing."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InvalidNetwork(f"tensor {name}: a weight is no finite number as a 32-bit float")
    for node in network.nodes:
        if isinstance(node.operation, BatchNorm) and (arrays[f"{node.name}.running_var"] < 0).any():
            raise InvalidNetwork(f"tensor {node.name}.running_var: a variance is negative")
