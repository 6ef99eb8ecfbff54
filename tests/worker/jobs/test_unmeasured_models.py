"""Networks that are brought without a data set: kept as they are, asked, fine-tuned; and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import get_model

from storage.errors import InvalidModel
from tests.variants import SEED
from tests.worker.jobs.brought_networks import Residual, export
from tests.worker.jobs.conftest import FakeContext, Shop, check_result
from worker.core.checkpoint import describe_checkpoint, load_checkpoint, load_compressed, save_checkpoint
from worker.core.measured_model import load_baseline
from worker.core.models import build_model
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.fine_tuning import start_fine_tuning
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.model_summary import read_summary

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 64
IMAGENET = {"architecture": "torchvision:squeezenet1_1", "mean": MEAN, "std": STD, "input_size": SIDE}


def bring(shop: Shop, file: Path, **spec: Any) -> tuple[JobOutcome, FakeContext]:
    context = shop.open(f"import-{len(shop.models)}")
    shutil.copy(file, context.upload_file())
    outcome = run_spec(parse_spec({"kind": "import", "measure": False, **spec}), context)
    check_result("import", outcome)
    return outcome, context


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    torch.manual_seed(SEED)
    module: torch.nn.Module = get_model("squeezenet1_1", weights=None)
    return module.eval()


@pytest.fixture
def state(theirs: torch.nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "squeezenet1_1.safetensors"
    save_file(theirs.state_dict(), path)
    return path


@pytest.mark.slow
def test_torchvisions_network_answers_here_as_it_does_there(
    theirs: torch.nn.Module, state: Path, tmp_path: Path
) -> None:
    shop = Shop(tmp_path)
    outcome, context = bring(shop, state, **IMAGENET)
    result, model_id = outcome.result, str(outcome.output_model_id)
    assert (result["not_measured"], result["evaluation"]) == ("no_dataset", None)
    assert result["imported_from"]["class_match"] is None
    assert result["class_names"][:2] + result["class_names"][-1:] == ["class 0", "class 1", "class 999"]
    assert result["parameters"] == sum(parameter.numel() for parameter in theirs.parameters())
    assert len(context.warnings) == 3  # the classes' names, the deviations, that nothing was measured
    summary = shop.models[model_id][1]
    assert (summary["dataset"], summary["not_measured"], summary.get("evaluation")) == (None, "no_dataset", None)

    pixels = np.random.default_rng(SEED).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    asked = shop.open("predict")
    Image.fromarray(pixels).save(asked.upload_file(), "PNG")
    said = run_spec(parse_spec({"kind": "predict", "model_id": model_id, "top_k": 1}), asked).result
    with torch.no_grad():
        picture = torch.tensor(pixels).permute(2, 0, 1) / 255
        expected = theirs(((picture - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])[None])[0]
    (best,) = said["predictions"][0]["top"]
    assert best["probability"] == pytest.approx(float(expected.softmax(0)[best["class_index"]]), rel=1e-3)
    assert expected[best["class_index"]] >= expected.max() - 1e-3


def test_it_is_fine_tuned_to_no_data_set_that_is_not_named() -> None:
    location = DatasetLocation(Path("unused"))
    model = build_model("mlp", (4,))
    info = replace(describe_checkpoint(model, "mlp", load_dataset("digits", location, split_seed=0)), dataset=None)
    with pytest.raises(InvalidModel) as caught:
        start_fine_tuning(model, info, None, location)
    assert caught.value.field == "dataset"


@pytest.mark.slow
def test_a_network_without_a_data_set_is_the_baseline_of_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    export(Residual(), tmp_path / "theirs.onnx")
    outcome, _ = bring(shop, tmp_path / "theirs.onnx", mean=[0.5], std=[0.5])
    path, summary = shop.models[str(outcome.output_model_id)]
    assert outcome.result["class_names"] == [f"class {number}" for number in range(10)]
    with pytest.raises(InvalidModel) as caught:
        load_baseline("mdl_0", path, summary, DatasetLocation(Path("unused")))
    assert caught.value.field == "model_id"


@pytest.mark.slow
def test_ten_classes_that_nobody_named_are_not_taken_for_the_digits(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    export(Residual(), tmp_path / "theirs.onnx")
    outcome, _ = bring(shop, tmp_path / "theirs.onnx", mean=[0.5], std=[0.5])
    tuned, _ = shop.run(
        "tuned", kind="train", initial_model_id=outcome.output_model_id, dataset="digits", epochs=1,
        max_train_examples=50, precision="float32",
    )  # fmt: skip
    assert tuned.result["replaced_layer"] == "fc"
    _, info = load_checkpoint(shop.models[str(tuned.output_model_id)][0])
    # What it is normalised by is the network's own; all else is now the data set's.
    assert (info.dataset, info.class_names, info.mean, info.std) == ("digits", tuple("0123456789"), (0.5,), (0.5,))
    summary = read_summary(shop.models[str(tuned.output_model_id)][1])
    assert summary.not_measured is None
    assert summary.evaluation is not None


def test_a_checkpoint_of_tonoks_keeps_the_seed_of_its_split_and_what_it_says(tmp_path: Path) -> None:
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=5)
    model = build_model("mlp", (4,))
    said = replace(describe_checkpoint(model, "mlp", data), dataset="dst_ELSEWHERE", class_names=tuple("abcdefghij"))
    save_checkpoint(tmp_path / "theirs.safetensors", model, said)
    shop = Shop(tmp_path)
    outcome, _ = bring(shop, tmp_path / "theirs.safetensors")
    assert outcome.result["imported_from"]["dataset"] == "dst_ELSEWHERE"
    again, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    assert info == replace(said, dataset=None, num_train_examples=None)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


@pytest.mark.slow
def test_a_compressed_file_is_kept_to_be_asked(shop: Shop) -> None:
    made, _ = shop.run("narrow", kind="quantize", model_id="mdl_0", bit_widths=[8], mode="post_training")
    file = shop.models[str(made.output_model_id)][0]
    outcome, context = bring(shop, file)
    stored, summary = shop.models[str(outcome.output_model_id)]
    assert (summary["bit_width"], summary["not_measured"], summary["dataset"]) == (8, "no_dataset", None)
    assert len(context.warnings) == 1
    assert stored.read_bytes() == file.read_bytes()
    before, after = (load_compressed(path)[0] for path in (file, stored))
    picture = torch.linspace(-1, 1, 784).reshape(1, 1, 28, 28)
    assert torch.equal(before(picture), after(picture))


def test_weights_that_answer_no_number_are_refused(tmp_path: Path) -> None:
    model = build_model("mlp", (4,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1e38)
    save_file(model.state_dict(), tmp_path / "theirs.safetensors")
    with pytest.raises(InvalidModel):
        bring(Shop(tmp_path), tmp_path / "theirs.safetensors", architecture="mlp", mean=[0.5], std=[0.5], input_size=28)


def test_what_was_imported_before_there_was_a_choice_was_measured() -> None:
    assert parse_spec({"kind": "import", "dataset": "digits"}).given.measure  # type: ignore[union-attr]
