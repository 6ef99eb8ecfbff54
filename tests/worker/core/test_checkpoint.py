from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from storage.errors import InvalidModel
from tests.variants import SEED
from worker.catalog import Architecture
from worker.core.checkpoint import copy_model, describe_checkpoint, load_checkpoint, save_checkpoint
from worker.core.graph import list_layers
from worker.core.measure import measure_baseline
from worker.core.measured_model import store_float_model
from worker.core.models import build_model
from worker.core.models.build import build_module, get_record
from worker.core.pruning.channels import prune_channels
from worker.datasets import Dataset
from worker.memory_estimate import read_layers
from worker.network.torchvision_records import describe_torchvision


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
    # How many batches a batch norm has seen is training's business, and not stored.
    stored = [name for name in given if not name.endswith("num_batches_tracked")]
    assert all(torch.equal(kept[name], given[name]) for name in stored)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), model.eval()(x))


def test_a_network_of_a_record_comes_back_also_with_fewer_channels(digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    record = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10)
    for model in (build_module(record), prune_channels(build_module(record), 0.5, (1, 28, 28))):
        info = describe_checkpoint(model, "torchvision:squeezenet1_1", digits)
        path = tmp_path / "model.safetensors"
        save_checkpoint(path, model, info)
        loaded, loaded_info = load_checkpoint(path)
        assert (loaded_info, info.widths, info.network) == (info, (), get_record(model))
        x = digits.normalize(digits.test.images[:20])
        with torch.no_grad():
            torch.testing.assert_close(loaded(x), model.eval()(x))


def test_the_memory_that_a_network_takes_is_told_by_its_record(digits: Dataset, tmp_path: Path) -> None:
    model = build_module(describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10))
    measured = store_float_model(tmp_path / "model.safetensors", model, "torchvision:squeezenet1_1", digits)
    layers = read_layers(json.loads(json.dumps(measured.summary.to_json())))
    assert layers is not None
    assert [layer.weights for layer in layers] == [layer.weight.numel() for layer in list_layers(model).values()]
    assert measured.summary.macs == sum(get_record(model).macs.values())


def test_a_compression_may_start_from_a_network_of_a_record(digits: Dataset) -> None:
    model = build_module(describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10))
    assert measure_baseline(model, digits, "torchvision:squeezenet1_1").info.network == get_record(model)
    with pytest.raises(InvalidModel):
        measure_baseline(model, digits)


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
    with pytest.raises(InvalidModel, match="without the metadata"):
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
