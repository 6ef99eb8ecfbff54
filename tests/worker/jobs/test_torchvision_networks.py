"""Six networks of torchvision go through every kind of job on colour photographs, each file read back from disk.

A drop of 100 points is allowed everywhere, so that no decision of a job hangs on what a network has learned.
"""

from __future__ import annotations

import math
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models import get_model

from tests.fuzz.readers import are_same, build_network
from tests.needs import NO_CIFAR10, find_cifar10
from tests.variants import SEED
from tests.worker.jobs.conftest import FakeContext, Shop, check_result
from tests.worker.jobs.photographs import CLASSES, SIDE, bring_photographs, cut_photographs
from worker.catalog import ArtifactKind
from worker.coding.reader import read_file
from worker.core.checkpoint import load_checkpoint, load_compressed
from worker.core.device import find_device
from worker.core.lineage import load_lineage_data
from worker.core.quantization.integer_model import build_integer_model
from worker.core.training import compute_logits, evaluate_logits
from worker.datasets import Dataset
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.report.facts import CHANNELS, COMPRESS, ONE_SHOT, QUANTIZE, STEP_BY_STEP, TRAIN
from worker.results.study import StudyResult

NAMES = ("resnet18", "mobilenet_v3_small", "squeezenet1_1", "efficientnet_b0", "densenet121", "googlenet")
NUM_TRAINED = 16
"""Pictures that are trained on."""
ANY_DROP = 100.0
STEPS = {TRAIN, ONE_SHOT, STEP_BY_STEP, QUANTIZE, CHANNELS, COMPRESS}
WIDTHS = (8, 6, 4, 2)
ALL_WIDTHS = "squeezenet1_1"
"""The smallest one, which is quantized to all of them without training too; the others to one of them."""


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = find_cifar10()
    if source is None:
        pytest.skip(NO_CIFAR10)
    target = tmp_path_factory.mktemp("photographs") / "photographs.zip"
    cut_photographs(source, target)
    return target


def count_macs(model: nn.Module) -> int:
    """Multiply-accumulates of one picture, by the shapes that PyTorch's own layers are seen to give."""
    counted: list[int] = []

    def hook(layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        weight = layer.get_parameter("weight")
        counted.append(output[0].numel() * math.prod(weight.shape[1:]))

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(hook) for layer in layers]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIDE, SIDE))
    for handle in handles:
        handle.remove()
    return sum(counted)


def build_original(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that are drawn slowly
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        model: nn.Module = get_model(name, weights=None, num_classes=len(CLASSES), **options)
    return model


class House:
    """The models of one network, and the pictures that all of them are measured on."""

    def __init__(self, shop: Shop, data: Dataset) -> None:
        self.shop, self.data = shop, data

    def compute_logits(self, model: nn.Module, mean: tuple[float, ...], batch_size: int = 500) -> torch.Tensor:
        """Of the test pictures, which the network reads by its own mean."""
        data = replace(self.data, mean=mean)
        return compute_logits(model.to(find_device()), data, data.test, batch_size=batch_size)

    def count_right(self, logits: torch.Tensor) -> int:
        return evaluate_logits(logits, self.data.test).num_correct

    def check_float(self, model_id: str) -> nn.Module:
        """Asserts that what is told of a stored float model is so of its file."""
        path, summary = self.shop.models[model_id]
        model, info = load_checkpoint(path)
        assert info.class_names == CLASSES
        layers = {one["name"]: one for one in summary["sparsity"]["layers"]}
        zeros = {name: int((model.get_parameter(f"{name}.weight") == 0).sum()) for name in layers}
        assert zeros == {name: layer["zeros"] for name, layer in layers.items()}
        assert summary["macs"] == count_macs(model)
        assert summary["size"]["entries"][-1]["bytes"] == path.stat().st_size
        assert summary["evaluation"]["test"]["num_correct"] == self.count_right(self.compute_logits(model, info.mean))
        return model

    def check_compressed(self, model_id: str) -> torch.Tensor:
        """Asserts the same of a `.tonok` file; returns the logits of its integers for the test pictures."""
        path, summary = self.shop.models[model_id]
        assert summary["size"]["entries"][-1]["bytes"] == path.stat().st_size
        model, network = load_compressed(path)
        assert (network.std, network.class_names) == (self.data.std, CLASSES)
        logits = self.compute_logits(model, network.mean)
        assert bool(logits.isfinite().all())
        assert summary["evaluation"]["test"]["num_correct"] == self.count_right(logits)
        weights = {layer.name: layer.weight for layer in network.layers}
        zeros = {one["name"]: one["zeros"] for one in summary["sparsity"]["layers"]}
        assert zeros == {name: int((weight == 0).sum()) for name, weight in weights.items()}
        return logits


def import_again(shop: Shop, path: Path, dataset: str) -> JobOutcome:
    context = shop.open(f"import-{len(shop.models)}")
    shutil.copy(path, context.upload_file())
    outcome = run_spec(parse_spec({"kind": "import", "dataset": dataset}), context)
    check_result("import", outcome)
    return outcome


def predict(house: House, model_id: str, other_id: str, folder: Path) -> dict[str, Any]:
    context = house.shop.open("predict")
    folder.mkdir(exist_ok=True)
    picture = folder / "picture.png"
    Image.fromarray(house.data.test.images[0].permute(1, 2, 0).contiguous().numpy()).save(picture)
    shutil.copy(picture, context.upload_file())
    outcome = run_spec(parse_spec({"kind": "predict", "model_id": model_id, "compare_to": other_id}), context)
    check_result("predict", outcome)
    return dict(outcome.result)


def find_steps(outcome: JobOutcome) -> dict[str, str]:
    """Name of a step → the model that it ended with."""
    result = StudyResult.model_validate(outcome.result)
    assert set(result.steps) == STEPS
    return {name: str(step.model_id) for name, step in result.steps.items()}


def check_documents(context: FakeContext) -> None:
    reports = [name for name, kind in context.artifacts.items() if kind is ArtifactKind.REPORT]
    assert len(reports) == 4
    assert all((context.folder / name).stat().st_size for name in reports)
    assert (context.folder / "report-en.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.slow
@pytest.mark.minutes
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_torchvision_goes_through_every_kind_of_job(name: str, photographs: Path, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    dataset = bring_photographs(shop, photographs)
    study, context = shop.run(
        "study", kind="study", dataset=dataset, architecture=f"torchvision:{name}", epochs=2, controls=False,
        max_train_examples=NUM_TRAINED, max_accuracy_drop=ANY_DROP, seed=SEED,
    )  # fmt: skip
    check_documents(context)
    steps = find_steps(study)

    # Trained: the network that torchvision builds, counted by PyTorch.
    original = build_original(name)
    path, summary = shop.models[steps[TRAIN]]
    assert summary["architecture"] == f"torchvision:{name}"
    assert summary["parameters"] == sum(parameter.numel() for parameter in original.parameters())
    assert summary["macs"] == count_macs(original)
    _, info = load_checkpoint(path)
    house = House(shop, load_lineage_data(info, context.datasets))
    for step in (TRAIN, ONE_SHOT, STEP_BY_STEP):
        house.check_float(steps[step])

    # Narrowed: fewer channels, and what multiplies with one another still fits.
    narrowed = house.check_float(steps[CHANNELS])
    assert count_macs(narrowed) < 0.6 * count_macs(original)

    # Quantized to each width in either way, from the same model.
    few = WIDTHS if name == ALL_WIDTHS else WIDTHS[2:3]
    post_training, _ = shop.run(
        "post_training", kind="quantize", mode="post_training", model_id=steps[TRAIN], max_accuracy_drop=ANY_DROP,
        bit_widths=few,
    )  # fmt: skip
    for result, widths in ((post_training.result, few), (context.steps[QUANTIZE].result, WIDTHS)):
        assert [row["bit_width"] for row in result["widths"]] == list(widths)
        sizes = [row["file_bytes"] for row in result["widths"]]
        assert sizes == sorted(sizes, reverse=True)
        for row in result["widths"]:
            house.check_compressed(row["model_id"])

    # Compressed: both readers read the same network from the file, and it gives the same logits.
    logits = house.check_compressed(steps[COMPRESS])
    path, summary = shop.models[steps[COMPRESS]]
    _, network = load_compressed(path)
    read = build_network(read_file(path.read_bytes()))
    assert read is not None
    assert are_same(network, read)
    # Whole numbers add up to the same in whatever company a picture is.
    alone = house.compute_logits(build_integer_model(read), read.mean, batch_size=1)
    assert torch.equal(alone, logits)

    # Imported again, each file is the model that it was.
    for step in (CHANNELS, COMPRESS):
        path, summary = shop.models[steps[step]]
        assert import_again(shop, path, dataset).result["evaluation"]["test"] == summary["evaluation"]["test"]

    # Asked: what the integers say of the same picture.
    said = predict(house, steps[COMPRESS], steps[TRAIN], tmp_path / "picture")["predictions"]
    assert said[0]["top"][0]["class_index"] == int(logits[0].argmax())
    assert said[1]["model_id"] == steps[TRAIN]
