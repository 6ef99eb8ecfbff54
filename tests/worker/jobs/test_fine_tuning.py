"""A training begins with a stored network, or with one of torchvision's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from storage.errors import InvalidModel
from tests.variants import SEED
from tests.worker.jobs.brought_networks import Joined, Residual, export
from tests.worker.jobs.conftest import Shop
from tests.worker.jobs.test_brought_networks import run_import
from worker.catalog import DatasetName, ResizeMode
from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import describe_checkpoint, load_checkpoint, save_checkpoint
from worker.core.models import build_model
from worker.core.models.build import NetworkModule, build_module
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.fine_tuning import start_fine_tuning
from worker.jobs.train import DEFAULT_RATE, FINE_TUNING_RATE, GENTLE_RATE, TrainSpec
from worker.network.torchvision_records import describe_torchvision
from worker.picture_policy import ResizePolicy

FOREIGN_NAMES = tuple(f"garment {number}" for number in range(7))


def build_stored() -> tuple[NetworkModule, CheckpointInfo]:
    """A network of a record, and its facts as if it had been trained on digits."""
    torch.manual_seed(SEED)
    model = build_module(describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10))
    return model, describe_checkpoint(
        model, "onnx", load_dataset("digits", DatasetLocation(Path("unused")), split_seed=5)
    )


def test_on_its_own_data_set_nothing_but_the_weights_is_new_and_the_split_is_the_networks() -> None:
    model, info = build_stored()
    info = replace(info, mean=(0.25,), num_train_examples=700)
    padded = ResizePolicy(height=28, width=28, mode=ResizeMode.PAD)
    for dataset, resize in ((None, padded), ("digits", None)):
        said = replace(info, resize=resize)
        start = start_fine_tuning(model, said, dataset, DatasetLocation(Path("unused")))
        assert (start.model, start.replaced_layer) == (model, None)
        assert (start.data.split_seed, start.data.mean, len(start.data.train)) == (5, (0.25,), 700)
        assert start.data.resize == resize


@pytest.mark.parametrize("class_names", [tuple("abcdefghij"), tuple("0123456789")], ids=["other", "the same"])
def test_on_another_data_set_pictures_are_made_to_fit_as_those_that_it_learns_from(
    class_names: tuple[str, ...],
) -> None:
    model, info = build_stored()
    padded = ResizePolicy(height=28, width=28, mode=ResizeMode.PAD)
    info = replace(info, dataset="fashion_mnist", class_names=class_names, resize=padded)
    assert start_fine_tuning(model, info, "digits", DatasetLocation(Path("unused"))).data.resize is None


def test_for_other_classes_the_last_layer_alone_is_replaced() -> None:
    model, info = build_stored()
    info = replace(info, dataset="fashion_mnist", class_names=tuple("abcdefghij"), mean=(0.25,), std=(0.5,))
    start = start_fine_tuning(model, info, "digits", DatasetLocation(Path("unused")))
    assert start.replaced_layer == "classifier.1"
    before, after = model.state_dict(), start.model.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"classifier.1.weight", "classifier.1.bias"}
    assert (start.data.class_names, start.data.mean, start.data.std) == (tuple("0123456789"), (0.25,), (0.5,))
    assert start.data.split_seed == 5


def test_classes_of_the_same_names_keep_their_layer_and_their_order() -> None:
    model, info = build_stored()
    info = replace(info, dataset="fashion_mnist", class_names=tuple("9876543210"))
    start = start_fine_tuning(model, info, "digits", DatasetLocation(Path("unused")))
    assert (start.replaced_layer, start.data.class_names) == (None, tuple("9876543210"))
    plain = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=5)
    assert torch.equal(start.data.test.labels, 9 - plain.test.labels)


def test_back_at_a_data_set_of_an_ancestor_nothing_is_validated_on_what_that_has_seen() -> None:
    model, info = build_stored()
    first = load_dataset("digits", DatasetLocation(Path("unused")), info.split_seed)
    elsewhere = replace(info, dataset="fashion_mnist", class_names=tuple("abcdefghij"))
    back = start_fine_tuning(model, elsewhere, "digits", DatasetLocation(Path("unused"))).data
    assert torch.equal(back.validation.images, first.validation.images)


def test_another_number_of_classes_is_another_last_layer() -> None:
    _, info = build_stored()
    network = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=7)
    model = build_module(network)
    info = replace(info, dataset="fashion_mnist", class_names=FOREIGN_NAMES, network=network)
    start = start_fine_tuning(model, info, "digits", DatasetLocation(Path("unused")))
    assert start.replaced_layer == "classifier.1"
    assert start.model.get_parameter("classifier.1.weight").shape[0] == 10


def test_pictures_of_other_channels_are_refused_by_the_field() -> None:
    model = build_module(describe_torchvision("squeezenet1_1", input_shape=(3, 28, 28), num_classes=10))
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=5)
    info = replace(describe_checkpoint(model, "onnx", data), dataset="fashion_mnist", input_shape=(3, 28, 28))
    with pytest.raises(InvalidModel) as caught:
        start_fine_tuning(model, info, "digits", DatasetLocation(Path("unused")))
    assert caught.value.field == "dataset"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"initial_model_id": "mdl_1", "architecture": "mlp"}, "architecture"),
        ({"initial_model_id": "mdl_1", "widths": [4]}, "widths"),
        ({"architecture": "torchvision:resnet18", "widths": [4]}, "widths"),
        ({"architecture": "torchvision:resnet152"}, "architecture"),
        ({"architecture": "resnet18"}, "architecture"),
        ({"architecture": "torchvision:inception_v3"}, "architecture"),  # reads no pictures of 28×28
    ],
)
def test_what_does_not_go_together_is_refused_by_the_field(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainSpec(**spec)
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("architecture", "rate"),
    [
        (None, DEFAULT_RATE),
        ("resnet_small", DEFAULT_RATE),
        ("lenet5", GENTLE_RATE),
        ("mlp", GENTLE_RATE),
        ("torchvision:resnet18", DEFAULT_RATE),
        ("torchvision:squeezenet1_1", GENTLE_RATE),
    ],
)
def test_without_batch_norm_the_rate_is_gentler(architecture: str | None, rate: float) -> None:
    spec = TrainSpec(architecture=architecture)
    assert spec.learning_rate == rate
    assert spec.dataset == DatasetName.FASHION_MNIST
    assert TrainSpec(**spec.model_dump()) == spec  # what is stored is read back the same


@pytest.mark.parametrize("kind", [Residual, Joined])
@pytest.mark.slow
def test_an_imported_network_is_trained_on(kind: type[torch.nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    file = tmp_path / "theirs.onnx"
    export(kind(), file)
    shop = Shop(tmp_path)
    imported, _ = run_import(shop, file)
    outcome, _ = shop.run(
        "tuned", kind="train", initial_model_id=imported.output_model_id, epochs=1, precision="float32"
    )
    result = outcome.result
    assert (result["initial_model_id"], result["replaced_layer"]) == (imported.output_model_id, None)
    assert (result["architecture"], result["size"]["entries"][0]["ratio"]) == ("onnx", 1.0)
    (training,) = result["trainings"]
    assert training["attempts"][0]["learning_rate"] == FINE_TUNING_RATE
    _, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    _, before = load_checkpoint(shop.models[str(imported.output_model_id)][0])
    assert info.network == before.network


@pytest.mark.slow
def test_a_network_of_torchvision_is_trained_from_scratch(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    outcome, _ = shop.run(
        "train", kind="train", dataset="digits", architecture="torchvision:squeezenet1_1", epochs=1,
        max_train_examples=100, precision="float32",
    )  # fmt: skip
    model, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    assert info.architecture == "torchvision:squeezenet1_1"
    expected = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10)
    assert info.network == expected
    assert {name for name, _ in model.named_parameters()} == expected.tensors.keys()
    assert outcome.result["parameters"] == expected.num_parameters
    narrowed, _ = shop.run("narrow", kind="prune", model_id=outcome.output_model_id, pattern="channels", sparsity=0.5)
    _, narrow = load_checkpoint(shop.models[str(narrowed.output_model_id)][0])
    assert narrow.network is not None
    # Half of the inputs and half of the outputs of nearly every layer: a quarter of the weights.
    assert narrow.network.num_parameters / expected.num_parameters == pytest.approx(0.25, abs=0.1)


@pytest.mark.slow
def test_one_of_ours_is_fine_tuned_to_other_classes(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    torch.manual_seed(SEED)
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)
    clothes = DatasetName.FASHION_MNIST.facts.class_names
    model = build_model("mlp", (6,))
    path = tmp_path / "clothes.safetensors"
    save_checkpoint(
        path, model, replace(describe_checkpoint(model, "mlp", data), dataset="fashion_mnist", class_names=clothes)
    )
    shop.models["mdl_9"] = (path, {})
    outcome, context = shop.run(
        "tuned", kind="train", initial_model_id="mdl_9", dataset="digits", epochs=1, precision="float32"
    )
    _, info = load_checkpoint(shop.models[str(outcome.output_model_id)][0])
    assert (info.architecture, info.widths, info.class_names, info.network) == ("mlp", (6,), data.class_names, None)
    assert outcome.result["replaced_layer"] == "layers.1"
    assert any("layers.1" in warning for warning in context.warnings)
