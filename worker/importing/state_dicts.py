"""A state dict that torchvision's network of some name would load, from a safetensors file without any metadata."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from worker.importing.checks import Array, check_arrays
from worker.network.operations.base import InvalidNetwork
from worker.network.record import Network
from worker.network.torchvision_records import map_state, match_torchvision

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


def load_torchvision(path: Path, name: str, side: int | tuple[int, int] = 224) -> tuple[Network, dict[str, Array]]:
    """The record for pictures of that side, or height and width; and name → float32 array. Raises InvalidNetwork."""
    try:
        with safe_open(path, "pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no dictionary
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            network, places = match_torchvision(name, shapes, side), map_state(shapes)
            for tensor, place in places.items():
                if slices[place].get_dtype() not in _FLOATS:
                    raise InvalidNetwork(f"tensor {tensor}: it is {slices[place].get_dtype()}, not of floats")
            arrays = {tensor: file.get_tensor(places[tensor]).float().numpy() for tensor in network.tensors}
    except SafetensorError:
        raise InvalidNetwork("the file is no safetensors file, or it is damaged") from None
    check_arrays(network, arrays)
    return network, arrays
