"""The weights of a file that somebody brought, whatever its format, in the modules of its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from storage.errors import InvalidModel
from worker.brought_files import ModelFormat
from worker.checkpoint_facts import CheckpointInfo, describe_facts
from worker.importing.checks import Array
from worker.importing.onnx_weights import load_onnx
from worker.importing.state_dicts import load_state_dict
from worker.model_heads import COUNTER
from worker.network.operations.base import InvalidNetwork


@dataclass(frozen=True)
class LoadedArrays:
    """values: float32, by the names of the record's tensors. dtypes: of a state dict, as safetensors calls them.

    notes: what a person should know, one sentence each.
    """

    values: dict[str, Array]
    dtypes: tuple[str, ...]
    notes: tuple[str, ...]


def load_arrays(path: Path, file_format: ModelFormat, info: CheckpointInfo) -> LoadedArrays:
    """Reads the weights of an ONNX file or a plain state dict, whose facts were read before. Raises InvalidModel."""
    try:
        if file_format is ModelFormat.ONNX:
            found, values = load_onnx(path)
            return LoadedArrays(values, (), found.notes)
        network = describe_facts(info)
        state = load_state_dict(path, lambda _: network)
    except InvalidNetwork as error:
        raise InvalidModel(str(error), field="tensors") from None
    others = [dtype for dtype in state.dtypes if dtype != "F32"]
    converted = f"weights of the file are {' and '.join(others)}: they are stored as 32-bit floats"
    return LoadedArrays(state.arrays, state.dtypes, (converted,) if others else ())


def place_arrays_(model: nn.Module, arrays: Mapping[str, Array]) -> None:
    """Puts the weights into the modules, which have counters of batches besides and nothing else."""
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    missing = model.load_state_dict(state, strict=False).missing_keys
    if not all(name.endswith(COUNTER) for name in missing):
        raise InvalidModel("the file lacks weights of its network", field="tensors")
