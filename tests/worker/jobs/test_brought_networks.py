"""Networks of other people go through the float jobs: read as they were, pruned, asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model

from storage.errors import InvalidModel
from tests.variants import SEED
from tests.worker.jobs.brought_networks import NETWORKS, export, train
from tests.worker.jobs.conftest import Shop, check_result
from worker.controls import CONTROLS
from worker.core.checkpoint import load_checkpoint
from worker.core.models import build_model
from worker.core.models.build import get_record
from worker.core.training import compute_logits
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, load_dataset
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.memory_estimate import read_layers
from worker.network.layers import find_fixed_layers

CHANNEL_SHARE = 0.4


@pytest.fixture(scope="session")
def data() -> Dataset:
    return load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)


@pytest.fixture(scope="session")
def onnx_files(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a network → its ONNX file, made once."""
    folder = tmp_path_factory.mktemp("onnx")

    def find(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.exists():
            export(train(name, data), path)
        return path

    return find


def run_import(shop: Shop, file: Path, **spec: Any) -> tuple[JobOutcome, list[str]]:
    context = shop.open(f"import-{len(shop.models)}")
    shutil.copy(file, context.upload_file())
    outcome = run_spec(parse_spec({"kind": "import", "dataset": "digits", **spec}), context)
    check_result("import", outcome)
    return outcome, context.warnings


def count_macs(result: Mapping[str, Any]) -> int:
    return sum(layer["macs"] for layer in result["layers"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_an_onnx_file_goes_through_the_float_jobs(
    name: str, onnx_files: Callable[[str], Path], data: Dataset, tmp_path: Path
) -> None:
    shop, path = Shop(tmp_path), onnx_files(name)
    outcome, _ = run_import(shop, path)
    imported = str(outcome.output_model_id)
    assert outcome.result["imported_from"]["format"] == "onnx"
    assert outcome.result["architecture"] == "onnx"

    # The same answers as ONNX Runtime's, picture by picture; where two classes are level, rounding decides.
    model, info = load_checkpoint(shop.models[imported][0])
    assert (info.mean, info.std, info.class_names) == (data.mean, data.std, data.class_names)
    computed = compute_logits(model, data, data.test).numpy()
    session = onnxruntime.InferenceSession(path)
    feed = data.normalize(data.test.images).contiguous().numpy()
    # A file whose batch is fixed takes one picture at a time.
    expected = np.concatenate([session.run(None, {session.get_inputs()[0].name: one[None]})[0] for one in feed])
    np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4)
    ordered = np.sort(expected, 1)
    unclear = int((ordered[:, -1] - ordered[:, -2] < 1e-3).sum())
    num_right = int((expected.argmax(1) == data.test.labels.numpy()).sum())
    assert abs(outcome.result["evaluation"]["test"]["num_correct"] - num_right) <= unclear
    layers = read_layers(shop.models[imported][1])
    assert layers is not None
    assert sum(layer.weights for layer in layers) == outcome.result["size"]["entries"][1]["bytes"] // 4

    pruned, _ = shop.run("weights", kind="prune", model_id=imported, sparsity=0.5, fine_tune_epochs=1)
    assert pruned.result["sparsity"]["total"] == pytest.approx(0.5, abs=1e-3)
    assert count_macs(pruned.result) == count_macs(outcome.result)

    narrowed, _ = shop.run(
        "channels", kind="prune", model_id=imported, pattern="channels", sparsity=CHANNEL_SHARE, fine_tune_epochs=1
    )
    narrow, narrow_info = load_checkpoint(shop.models[str(narrowed.output_model_id)][0])
    record, whole = get_record(narrow), get_record(model)
    assert narrow_info.network == record
    assert record.num_classes == 10
    free = [node.name for node in whole.nodes if node.name in whole.macs and node.name not in find_fixed_layers(whole)]
    before, after = (
        sum(len(network.get_submodule(layer).get_parameter("weight")) for layer in free) for network in (model, narrow)
    )
    assert after / before == pytest.approx(1 - CHANNEL_SHARE, abs=0.1)
    assert count_macs(narrowed.result) < count_macs(outcome.result)

    picture = tmp_path / "picture.png"
    Image.fromarray(data.test.images[0, 0].numpy()).save(picture)
    context = shop.open("predict")
    shutil.copy(picture, context.upload_file())
    spec = {"kind": "predict", "model_id": imported, "compare_to": narrowed.output_model_id}
    said = run_spec(parse_spec(spec), context).result["predictions"]
    assert said[0]["top"][0]["class_index"] == int(expected[0].argmax())
    assert said[1]["model_id"] == narrowed.output_model_id


@pytest.mark.slow
def test_a_compressed_network_of_others_has_all_controls_a_narrower_twin_among_them(
    onnx_files: Callable[[str], Path], tmp_path: Path
) -> None:
    shop = Shop(tmp_path)
    imported, _ = run_import(shop, onnx_files("residual"))
    outcome, _ = shop.run("compress", kind="compress", model_id=imported.output_model_id, effort="quick", controls=True)
    path, summary = shop.models[str(outcome.output_model_id)]
    assert path.suffix == ".tonok"
    sizes = {entry["measure"]: entry["bytes"] for entry in summary["size"]["entries"]}
    assert sizes["file"] == path.stat().st_size < sizes["float32"]
    controls = {control["kind"]: control for control in outcome.result["controls"]}
    assert list(controls) == list(CONTROLS)
    # Of about the same bytes as the file; the network is so small that what is not weights is much of it.
    assert 0.5 < controls["small_dense"]["num_bytes"] / sizes["file"] < 2


@pytest.mark.slow
def test_a_state_dict_of_torchvision_is_measured_like_any_other_model(data: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    model = get_model("squeezenet1_1", weights=None, num_classes=10)
    model.features[0] = torch.nn.Conv2d(1, 64, 3, 2)  # grey pictures
    file = tmp_path / "state.safetensors"
    save_file({f"module.{name}": value.half() for name, value in model.state_dict().items()}, file)
    shop = Shop(tmp_path)
    outcome, warnings = run_import(
        shop, file, architecture="torchvision:squeezenet1_1", class_names=list("abcdefghij"), mean=[0.4], std=[0.2]
    )
    stored, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    assert (info.architecture, info.class_names, info.mean, info.std) == (
        "torchvision:squeezenet1_1", tuple("abcdefghij"), (0.4,), (0.2,),
    )  # fmt: skip
    assert outcome.result["imported_from"]["format"] == "state_dict"
    assert outcome.result["imported_from"]["weight_types"] == ["F16"]
    assert any("F16" in warning for warning in warnings)
    x = (data.test.images[:8].float() / 255 - 0.4) / 0.2
    with torch.no_grad():
        torch.testing.assert_close(stored(x), model.half().float().eval()(x), rtol=1e-4, atol=1e-5)


def test_a_state_dict_of_ours_brings_its_widths(data: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    model = build_model("mlp", (6, *[5] * 10))
    file = tmp_path / "state.safetensors"
    save_file(dict(model.state_dict()), file)
    shop = Shop(tmp_path)
    outcome, _ = run_import(shop, file, architecture="mlp")
    stored, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    assert (info.architecture, info.widths, info.network) == ("mlp", (6, *[5] * 10), None)
    x = data.normalize(data.test.images[:8])
    with torch.no_grad():
        torch.testing.assert_close(stored(x), model.eval()(x))


def test_weights_that_are_no_numbers_end_as_the_jobs_error(tmp_path: Path) -> None:
    state = build_model("mlp", (4,)).state_dict()
    state["layers.0.bias"][1] = float("nan")
    file = tmp_path / "state.safetensors"
    save_file(dict(state), file)
    with pytest.raises(InvalidModel) as caught:
        run_import(Shop(tmp_path), file, architecture="mlp")
    assert "layers.0.bias" in caught.value.detail
