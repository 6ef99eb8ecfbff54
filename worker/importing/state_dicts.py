"""A state dict of a network whose record is known, from a safetensors file without any metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from worker.importing.checks import Array, check_arrays
from worker.network.operations.base import InvalidNetwork, Shape
from worker.network.record import Network
from worker.network.torchvision_records import map_state

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True)
class StateDict:
    """What a file holds. arrays: float32, by the names of the record's tensors; dtypes: what they were in the file."""

    network: Network
    arrays: dict[str, Array]
    dtypes: tuple[str, ...]


def load_state_dict(path: Path, describe: Callable[[Mapping[str, Shape]], Network]) -> StateDict:
    """Reads the weights. describe: name → shape of all tensors in the file to the network that they are of.

    Raises InvalidNetwork.
    """
    try:
        with safe_open(path, "pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            network, places = describe(shapes), map_state(shapes)
            dtypes = set()
            for tensor, place in places.items():
                dtype = slices[place].get_dtype()
                if dtype not in _FLOATS:
                    raise InvalidNetwork(f"tensor {tensor}: it is {dtype}, not of floats")
                dtypes.add(dtype)
            arrays = {tensor: file.get_tensor(places[tensor]).float().numpy() for tensor in network.tensors}
    except SafetensorError:
        raise InvalidNetwork("the file is no safetensors file, or it is damaged") from None
    check_arrays(network, arrays)
    return StateDict(network, arrays, tuple(sorted(dtypes)))
