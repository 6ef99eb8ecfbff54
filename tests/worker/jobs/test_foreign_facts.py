"""A network that says other things of itself than its data set does: no job forgets what it said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save

from storage.errors import InvalidModel
from tests.worker.jobs.conftest import FakeContext, Shop
from worker.catalog import Background, DatasetName, ResizeMode
from worker.checkpoint_facts import CheckpointInfo, write_facts
from worker.coding import encode_network
from worker.core.checkpoint import load_checkpoint, load_compressed, load_network
from worker.dataset_facts import is_same_class
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, load_dataset
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.picture_policy import ResizePolicy

DIGITS = tuple("0123456789")
TURNED = tuple("7301984625")
RAW: dict[str, Any] = {"mean": (0.0,), "std": (1 / 255,)}
"""As a network has them that reads pixels as they are, from 0 to 255."""
PADDED: dict[str, Any] = {"resize": ResizePolicy(height=28, width=28, mode=ResizeMode.PAD, background=Background.BLACK)}
STRANGERS: dict[str, dict[str, Any]] = {
    "raw pixels": RAW | PADDED,
    "classes in another order": {"class_names": TURNED},
    "both": RAW | PADDED | {"class_names": TURNED},
}
SLACK = 2
"""Pictures that another processor may round to another class."""
FEW_BITS_SLACK = 12
"""Pictures, of 360, that a scale searched a little differently may cost."""


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", DatasetLocation(Path("unused")), split_seed=3)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a perceptron trained on part of another split, as `mdl_0`."""
    shop = Shop(tmp_path_factory.mktemp("house"))
    shop.run(
        "train", kind="train", dataset="digits", architecture="mlp", widths=[16], epochs=6, batch_size=32, flip=False,
        learning_rate=0.05, precision="float32", seed=3, max_train_examples=1000,
    )  # fmt: skip
    return shop


@pytest.fixture
def shop(house: Shop, tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.models["mdl_0"] = house.models["mdl_0"]
    return shop


def disguise(path: Path, said: dict[str, Any]) -> bytes:
    """The perceptron's file as it would be for another normalisation and another order of the classes.

    (p/255 - m) / s = x' * s'/s + (m' - m) / s, which goes into the weights and biases of the first layer.
    """
    _, info = load_checkpoint(path)
    told = replace(info, **said)
    state = {name: value.double() for name, value in load_file(path).items()}
    weight = state["layers.0.weight"]
    state["layers.0.bias"] = state["layers.0.bias"] + weight.sum(1) * ((told.mean[0] - info.mean[0]) / info.std[0])
    state["layers.0.weight"] = weight * (told.std[0] / info.std[0])
    rows = [info.class_names.index(name) for name in told.class_names]
    for name in ("layers.1.weight", "layers.1.bias"):
        state[name] = state[name][rows]
    return write({name: value.float().contiguous() for name, value in state.items()}, told)


def write(state: dict[str, torch.Tensor], info: CheckpointInfo, **more: Any) -> bytes:
    return save(state, metadata={"tonok": json.dumps(json.loads(write_facts(info)) | more)})


def bring(shop: Shop, content: bytes, **spec: Any) -> tuple[JobOutcome, FakeContext]:
    context = shop.open(f"import-{len(shop.models)}")
    context.upload_file().write_bytes(content)
    return run_spec(parse_spec({"kind": "import", **spec}), context), context


def count_correct(path: Path, data: Dataset) -> int:
    """Test pictures whose class a model's file names rightly, by what the file alone says of itself."""
    network = load_network(path)
    with torch.no_grad():
        logits = network.model((data.test.images.float() / 255 - network.mean[0]) / network.std[0])
    named = [network.class_names[index] for index in logits.argmax(1).tolist()]
    return sum(name == DIGITS[label] for name, label in zip(named, data.test.labels.tolist(), strict=True))


def check_facts(shop: Shop, model_id: str, parent: CheckpointInfo, data: Dataset) -> int:
    """That a model's file says what its parent's says, and that what was measured is true of it."""
    path, summary = shop.models[model_id]
    if path.suffix == ".tonok":
        _, network = load_compressed(path)
        said = (network.class_names, network.mean, network.std, network.input_shape, network.resize)
        assert path.read_bytes()[2] == (1 if parent.resize is None else 2)  # what has nothing to say takes no byte more
    else:
        _, info = load_checkpoint(path)
        said = (info.class_names, info.mean, info.std, info.input_shape, info.resize)
        assert (info.dataset, info.split_seed, info.num_train_examples) == (
            parent.dataset, parent.split_seed, parent.num_train_examples,
        )  # fmt: skip
    assert said == (parent.class_names, parent.mean, parent.std, parent.input_shape, parent.resize)
    assert tuple(summary["class_names"]) == parent.class_names
    assert summary["resize"] == (None if parent.resize is None else parent.resize.model_dump(mode="json"))
    measured = int(summary["evaluation"]["test"]["num_correct"])
    assert abs(count_correct(path, data) - measured) <= SLACK
    return measured


JOBS: dict[str, dict[str, Any]] = {
    "nothing pruned": {"kind": "prune", "sparsity": 0.0},
    "weights": {"kind": "prune", "sparsity": 0.5, "scope": "uniform"},
    "channels": {"kind": "prune", "sparsity": 0.25, "pattern": "channels", "scope": "uniform"},
    "8 bits": {"kind": "quantize", "bit_widths": [8], "mode": "post_training"},
    "4 bits": {"kind": "quantize", "bit_widths": [4], "mode": "post_training"},
}
"""Without training: what comes out of a network and of its disguise is the same but for rounding."""

TRAINED: dict[str, dict[str, Any]] = {
    "searched": {"kind": "prune", "max_accuracy_drop": 5.0},
    "retrained": {
        "kind": "prune", "sparsity": 0.5, "schedule": "linear", "steps": 2, "epochs_per_step": 1, "learning_rate": 1e-4,
    },
    "4 bits trained": {"kind": "quantize", "bit_widths": [4], "epochs": 1, "learning_rate": 1e-4},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("stranger", ["raw pixels", "classes in another order"])
def test_what_a_file_says_holds_for_all_that_descends_from_it(stranger: str, shop: Shop, digits: Dataset) -> None:
    path, summary = shop.models["mdl_0"]
    content = disguise(path, STRANGERS[stranger])
    outcome, _ = bring(shop, content)
    brought = str(outcome.output_model_id)
    _, parent = load_checkpoint(shop.models[brought][0])
    assert replace(load_checkpoint(path)[1], **STRANGERS[stranger]) == parent
    baseline = check_facts(shop, brought, parent, digits)
    assert abs(baseline - summary["evaluation"]["test"]["num_correct"]) <= SLACK
    assert baseline > 0.8 * 360  # or nothing below would say anything

    for name, spec in JOBS.items():
        plain = shop.run(f"plain {name}", model_id="mdl_0", **spec)[0].output_model_id
        made = shop.run(name, model_id=brought, **spec)[0].output_model_id
        expected = shop.models[str(plain)][1]
        correct = check_facts(shop, str(made), parent, digits)
        slack = FEW_BITS_SLACK if spec.get("bit_widths") == [4] else SLACK
        assert abs(correct - expected["evaluation"]["test"]["num_correct"]) <= slack, name
        sizes, others = (
            {entry["measure"]: entry["bytes"] for entry in model["size"]["entries"]}
            for model in (shop.models[str(made)][1], expected)
        )
        assert sizes["formula"] == others["formula"], name
        assert sizes["file"] == pytest.approx(others["file"], rel=0.05), name
    for name, spec in TRAINED.items():
        made = shop.run(name, model_id=brought, **spec)[0].output_model_id
        check_facts(shop, str(made), parent, digits)
    tuned, _ = shop.run("tuned", kind="train", initial_model_id=brought, epochs=1, learning_rate=1e-4, flip=False)
    check_facts(shop, str(tuned.output_model_id), parent, digits)


@pytest.mark.slow
def test_what_a_file_says_holds_in_the_file_that_compress_makes(shop: Shop, digits: Dataset) -> None:
    outcome, _ = bring(shop, disguise(shop.models["mdl_0"][0], STRANGERS["both"]))
    brought = str(outcome.output_model_id)
    _, parent = load_checkpoint(shop.models[brought][0])
    made, _ = shop.run("compress", kind="compress", model_id=brought, max_accuracy_drop=20.0)
    check_facts(shop, str(made.output_model_id), parent, digits)


@pytest.mark.slow
def test_a_convolution_for_another_deviation_is_the_same_network(trained: Any, tmp_path: Path) -> None:
    # A border of zeros stands for the mean: only the deviation can change without changing what the network says.
    shop = Shop(tmp_path)
    shop.models["mdl_0"] = trained[0].models["mdl_0"]
    path, summary = shop.models["mdl_0"]
    _, info = load_checkpoint(path)
    state = load_file(path)
    # By the batch norm behind it, which takes out whatever factor the layer has.
    state |= {"conv1.weight": 8 * state["conv1.weight"]}
    outcome, _ = bring(shop, write(state, replace(info, std=(8 * info.std[0],))))
    for spec in ({"kind": "prune", "sparsity": 0.0}, {"kind": "quantize", "bit_widths": [8], "mode": "post_training"}):
        made, _ = shop.run(str(spec["kind"]), model_id=outcome.output_model_id, **spec)
        expected, _ = shop.run(f"plain {spec['kind']}", model_id="mdl_0", **spec)
        counts = [
            shop.models[str(ended.output_model_id)][1]["evaluation"]["test"]["num_correct"]
            for ended in (made, expected)
        ]
        assert abs(counts[0] - counts[1]) <= SLACK
    assert summary["evaluation"]["test"]["num_correct"] > 0.8 * 360


@pytest.mark.slow
def test_a_compressed_file_with_its_classes_in_another_order_is_measured_by_their_names(
    shop: Shop, digits: Dataset
) -> None:
    outcome, _ = bring(shop, disguise(shop.models["mdl_0"][0], STRANGERS["both"]))
    made, _ = shop.run("8", kind="quantize", bit_widths=[8], mode="post_training", model_id=outcome.output_model_id)
    path, summary = shop.models[str(made.output_model_id)]
    again, _ = bring(shop, path.read_bytes())
    assert load_compressed(shop.models[str(again.output_model_id)][0])[1].resize == PADDED["resize"]
    assert again.result["imported_from"]["class_match"] == "permuted"
    assert again.result["class_names"] == list(TURNED)
    test = again.result["evaluation"]["test"]
    assert test["num_correct"] == summary["evaluation"]["test"]["num_correct"]
    assert abs(count_correct(path, digits) - test["num_correct"]) <= SLACK


def test_a_prediction_calls_classes_as_the_file_does(shop: Shop, digits: Dataset, tmp_path: Path) -> None:
    outcome, _ = bring(shop, disguise(shop.models["mdl_0"][0], STRANGERS["both"]))
    picture = tmp_path / "picture.png"
    network = load_network(shop.models["mdl_0"][0])
    with torch.no_grad():
        logits = network.model((digits.test.images.float() / 255 - network.mean[0]) / network.std[0])
    surest = int(logits.softmax(1).amax(1).argmax())
    Image.fromarray(digits.test.images[surest, 0].numpy()).save(picture)
    shutil.copy(picture, shop.open("predict").upload_file())
    said, _ = shop.run("predict", kind="predict", model_id=outcome.output_model_id, compare_to="mdl_0")
    names = [prediction["top"][0]["class_name"] for prediction in said.result["predictions"]]
    assert names == [DIGITS[int(logits[surest].argmax())]] * 2
    assert said.result["agree"] is True  # by name: as numbers the two differ


def test_models_that_name_other_classes_neither_agree_nor_disagree() -> None:
    assert is_same_class(["a", "b"], 0, ["b", "A "], 1) is True
    assert is_same_class(["a", "b"], 0, ["b", "a"], 0) is False
    assert is_same_class(["a", "b"], 0, ["a", "c"], 0) is None
    assert is_same_class(["a"], 0, ["a", "b"], 0) is None


def test_names_that_are_not_the_data_sets_are_kept_and_told(shop: Shop) -> None:
    names = ("zero", "یک", "نیم\u200cفاصله", *"cdefghi")
    path, summary = shop.models["mdl_0"]
    _, info = load_checkpoint(path)
    outcome, context = bring(shop, write(load_file(path), replace(info, class_names=names)))
    assert outcome.result["class_names"] == list(names)
    assert outcome.result["imported_from"]["class_match"] == "by_position"
    assert len(context.warnings) == 1
    assert outcome.result["evaluation"]["test"]["num_correct"] == summary["evaluation"]["test"]["num_correct"]
    stored = load_checkpoint(shop.models[str(outcome.output_model_id)][0])[1]
    assert stored.class_names == names


@pytest.mark.slow
def test_names_of_which_some_stand_at_other_places_are_refused(shop: Shop) -> None:
    path, _ = shop.models["mdl_0"]
    _, info = load_checkpoint(path)
    names = ("1", "zero", *info.class_names[2:])
    with pytest.raises(InvalidModel) as error:
        bring(shop, write(load_file(path), replace(info, class_names=names)))
    assert error.value.field == "class_names"
    made, _ = shop.run("8", kind="quantize", bit_widths=[8], mode="post_training", model_id="mdl_0")
    _, network = load_compressed(shop.models[str(made.output_model_id)][0])
    with pytest.raises(InvalidModel) as error:
        bring(shop, encode_network(replace(network, class_names=names)), dataset="digits")
    assert error.value.field == "class_names"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_and_counters_of_batches_are_taken(dtype: torch.dtype, trained: Any, tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.models["mdl_0"] = trained[0].models["mdl_0"]
    path, summary = shop.models["mdl_0"]
    _, info = load_checkpoint(path)
    state = {name: value.to(dtype) for name, value in load_file(path).items()}
    state |= {f"bn{number}.num_batches_tracked": torch.tensor(99) for number in (1, 2)}
    outcome, context = bring(shop, write(state, info))
    assert outcome.result["imported_from"]["weight_types"] == [{torch.float16: "F16", torch.bfloat16: "BF16"}[dtype]]
    assert len(context.warnings) == 1
    stored, wanted = (load_file(file) for file in (shop.models[str(outcome.output_model_id)][0], path))
    assert {name: value.dtype for name, value in stored.items()} == dict.fromkeys(wanted, torch.float32)
    assert all(torch.equal(value, wanted[name].to(dtype).float()) for name, value in stored.items())
    assert abs(outcome.result["evaluation"]["test"]["accuracy"] - summary["evaluation"]["test"]["accuracy"]) < 0.05


@pytest.mark.slow
def test_what_else_a_file_says_is_told_and_not_kept(shop: Shop) -> None:
    path, _ = shop.models["mdl_0"]
    _, info = load_checkpoint(path)
    many = replace(info, num_train_examples=50_000)
    outcome, context = bring(shop, write(load_file(path), many, author="somebody", licence="MIT"))
    origin = outcome.result["imported_from"]
    assert (origin["num_unknown_facts"], origin["num_train_examples"]) == (2, 50_000)
    assert len(context.warnings) == 2
    outcome, context = bring(shop, write(load_file(path), replace(info, dataset="svhn")), dataset=DatasetName.DIGITS)
    origin = outcome.result["imported_from"]
    assert (origin["dataset"], origin["class_match"]) == ("svhn", "same")
    assert len(context.warnings) == 1
    stored = load_checkpoint(shop.models[str(outcome.output_model_id)][0])[1]
    assert (stored.dataset, stored.split_seed, stored.num_train_examples) == ("digits", 3, 1287)


def test_what_computes_on_integers_takes_a_mean_that_is_a_pixel(shop: Shop) -> None:
    context = shop.open("import")
    context.upload_file().write_bytes(disguise(shop.models["mdl_0"][0], {"mean": (0.5,), "std": (0.5,)}))
    imported = run_spec(parse_spec({"kind": "import"}), context).output_model_id
    assert load_checkpoint(shop.models[str(imported)][0])[1].mean == (0.5,)  # as its file says
    outcome, _ = shop.run(
        "quantize", kind="quantize", model_id=imported, bit_widths=[8], mode="post_training", activation_bit_width=8
    )
    _, network = load_compressed(shop.models[str(outcome.output_model_id)][0])
    assert network.mean == (0.50196,)  # 128
