from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from storage.errors import InvalidModel
from tests.variants import SEED
from worker.catalog import Architecture
from worker.core.checkpoint import copy_model, describe_checkpoint, load_checkpoint, save_checkpoint
from worker.core.datasets import Dataset
from worker.core.models import build_model


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_checkpoint_gives_the_same_network_back(architecture: Architecture, digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    model = build_model(architecture)
    x = digits.normalize(digits.test.images[:20])
    model(x)
    info = describe_checkpoint(model, architecture, digits)
    path = tmp_path / "model.safetensors"
    assert save_checkpoint(path, model, info) == path.stat().st_size
    loaded, loaded_info = load_checkpoint(path)
    assert loaded_info == info
    kept, given = loaded.state_dict(), model.state_dict()
    assert kept.keys() == given.keys()
    assert all(torch.equal(kept[name], given[name]) for name in given)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model.eval()(x))


def test_a_checkpoint_is_float32_and_a_short_header(digits: Dataset, tmp_path: Path) -> None:
    model = build_model("lenet5")
    num_bytes = save_checkpoint(tmp_path / "a", model, describe_checkpoint(model, "lenet5", digits))
    assert 4 * 61_706 < num_bytes < 4 * 61_706 + 2048


def test_a_copy_lives_on_its_own(digits: Dataset) -> None:
    model = build_model("mlp", (4,))
    twin = copy_model(model, describe_checkpoint(model, "mlp", digits))
    torch.nn.init.zeros_(twin.get_parameter("layers.0.weight"))
    assert model.get_parameter("layers.0.weight").any()


def test_what_is_no_checkpoint_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InvalidModel):
        load_checkpoint(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(InvalidModel, match="not one of Tonok's"):
        load_checkpoint(path)


def test_tensors_of_another_architecture_are_refused(digits: Dataset, tmp_path: Path) -> None:
    model = build_model("mlp", (4,))
    info = describe_checkpoint(model, "mlp", digits)
    for wrong in (replace(info, widths=(5,)), replace(info, architecture="lenet5", widths=(6, 16, 120, 84))):
        save_checkpoint(tmp_path / "a", model, wrong)
        with pytest.raises(InvalidModel):
            load_checkpoint(tmp_path / "a")


def test_a_file_cut_short_is_refused(digits: Dataset, tmp_path: Path) -> None:
    model, path = build_model("mlp", (4,)), tmp_path / "a"
    save_checkpoint(path, model, describe_checkpoint(model, "mlp", digits))
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidModel):
            load_checkpoint(path)
