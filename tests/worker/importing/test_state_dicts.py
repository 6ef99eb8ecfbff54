"""State dicts of torchvision's networks, as people save them: read by name, whatever floats they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.worker.importing.test_torchvision import build
from worker.importing.state_dicts import StateDict, load_state_dict
from worker.network.operations.base import InvalidNetwork
from worker.network.torchvision_records import match_torchvision

NAME = "squeezenet1_1"
SIDE = 40
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}


def load(path: Path, name: str) -> StateDict:
    return load_state_dict(path, lambda shapes: match_torchvision(name, shapes, SIDE))


def save(path: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """A state dict of five classes, with some tensors changed."""
    state = build("mnasnet0_5", 5).state_dict() | {key.replace("__", "."): value for key, value in changes.items()}
    save_file(state, path)
    return state


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.module."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_a_state_dict_is_read_by_name(prefix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    state = {prefix + name: value.to(dtype) for name, value in build(NAME, 5).state_dict().items()}
    save_file(state, path)
    found = load(path, NAME)
    network, arrays = found.network, found.arrays
    assert found.dtypes == (DTYPES[dtype],)
    assert (network.input_shape, network.num_classes) == ((3, SIDE, SIDE), 5)
    assert list(arrays) == list(network.tensors)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[prefix + name].float().numpy())


def test_counters_of_batches_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    state = save(path)
    arrays = load(path, "mnasnet0_5").arrays
    assert arrays.keys() == {name for name in state if "num_batches_tracked" not in name}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layers__0__weight": torch.full((16, 3, 3, 3), torch.nan)}, "layers.0.weight"),
        ({"layers__0__weight": torch.full((16, 3, 3, 3), 1e300, dtype=torch.float64)}, "layers.0.weight"),
        ({"layers__0__weight": torch.ones(16, 3, 3, 3, dtype=torch.int8)}, "layers.0.weight"),
        ({"layers__1__running_var": -torch.ones(16)}, "layers.1.running_var"),
        ({"layers__1__running_var": torch.ones(17)}, "layers.1.running_var"),
    ],
)
def test_a_tensor_that_computes_nothing_is_refused_and_named(
    changes: dict[str, torch.Tensor], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.safetensors"
    save(path, **changes)
    with pytest.raises(InvalidNetwork) as raised:
        load(path, "mnasnet0_5")
    assert named in str(raised.value)


@pytest.mark.parametrize("length", [0, 7, 100, 20_000])
def test_a_file_that_is_cut_short_is_refused(length: int, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InvalidNetwork):
        load(path, "mnasnet0_5")
