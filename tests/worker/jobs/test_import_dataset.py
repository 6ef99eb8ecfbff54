"""Pictures that somebody brought become a data set, and jobs work on it as on those of the catalogue."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from storage.errors import InvalidDataset
from tests.worker.jobs.conftest import Shop
from worker.core.checkpoint import describe_checkpoint, load_checkpoint, save_checkpoint
from worker.core.models.build import build_module
from worker.datasets import load_dataset
from worker.jobs import parse_spec, run_spec
from worker.network_names import describe_named

COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
PER_CLASS = {"train": 40, "test": 10}


def write_pictures(path: Path, splits: dict[str, int], seed: int = 0, *, rare: frozenset[str] = frozenset()) -> None:
    """Noise around a colour for each class, 16 by 16 pixels, as PNG. rare: classes of which each split has one."""
    rng = np.random.default_rng(seed)
    with ZipFile(path, "w") as file:
        for split, count in splits.items():
            for name, colour in COLOURS.items():
                for number in range(1 if name in rare else count):
                    pixels = np.clip(np.array(colour) + rng.normal(0, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
                    content = io.BytesIO()
                    Image.fromarray(pixels).save(content, "PNG")
                    file.writestr(f"{split}/{name}/{number}.png", content.getvalue())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def bring(shop: Shop, splits: dict[str, int], *, rare: frozenset[str] = frozenset(), **options: object) -> str:
    """The id of the data set; every job that is opened later finds it."""
    context = shop.open("bring")
    write_pictures(context.upload_file(), splits, rare=rare)
    outcome = run_spec(parse_spec({"kind": "import_dataset", "name": "colours", "options": options}), context)
    assert set(context.artifacts) == {"pictures.safetensors", "contact-sheet.png"}
    return str(outcome.result["dataset_id"])


def test_what_was_brought_is_loaded_as_it_was_counted(shop: Shop) -> None:
    dataset_id = bring(shop, PER_CLASS)
    context = shop.open("load")
    data = load_dataset(dataset_id, context.datasets, 0)
    summary = context.dataset_summary(dataset_id)
    assert data.class_names == tuple(summary["class_names"]) == tuple(sorted(COLOURS))
    assert data.input_shape == (3, 16, 16)
    assert (len(data.train), len(data.validation), len(data.test)) == (108, 12, 30)
    assert torch.bincount(data.validation.labels).tolist() == [4, 4, 4]
    assert all((255 * mean).is_integer() or abs(255 * mean - round(255 * mean)) < 1e-9 for mean in data.mean)
    assert len(data.std) == 1
    pixels = data.normalize(data.train.images)
    assert abs(float(pixels.mean())) < 0.05
    for label, name in enumerate(data.class_names):
        mean = data.test.images[data.test.labels == label].float().mean((0, 2, 3))
        assert torch.allclose(mean, torch.tensor(COLOURS[name]).float(), atol=12)


def test_a_validation_split_that_came_with_it_stays(shop: Shop) -> None:
    dataset_id = bring(shop, PER_CLASS | {"validation": 5})
    first, other = (load_dataset(dataset_id, shop.open(f"load {seed}").datasets, seed) for seed in (0, 1))
    assert len(first.validation) == 15
    assert torch.equal(first.validation.images, other.validation.images)
    assert not torch.equal(first.train.images, other.train.images)
    assert sorted(first.train.labels.tolist()) == sorted(other.train.labels.tolist())


@pytest.mark.parametrize("count", [2, 3, 40])
def test_the_only_picture_of_a_class_is_trained_on(shop: Shop, count: int) -> None:
    dataset_id = bring(shop, {"train": count, "test": 5}, rare=frozenset({"green"}))
    data = load_dataset(dataset_id, shop.open("load").datasets, 0)
    place = data.class_names.index("green")
    validated = data.validation.labels.bincount(minlength=3).tolist()
    trained = data.train.labels.bincount(minlength=3).tolist()
    assert (validated[place], trained[place]) == (0, 1)
    assert sum(validated) + sum(trained) == 2 * count + 1
    others = [counts for name, *counts in zip(data.class_names, validated, trained, strict=True) if name != "green"]
    assert others[0] == others[1]
    assert min(others[0]) >= 1
    assert place in data.limit_train(10).train.labels


def test_room_is_asked_for_before_pictures_are_decoded(shop: Shop) -> None:
    context = shop.open("bring")
    write_pictures(context.upload_file(), {"train": 4, "test": 2})
    run_spec(parse_spec({"kind": "import_dataset", "options": {"channels": 3}}), context)
    assert context.room_asked_for == [2 * 3 * 6 * 3 * 16 * 16]


def test_where_no_class_has_two_pictures_nothing_can_validate(shop: Shop) -> None:
    dataset_id = bring(shop, {"train": 1, "test": 1})
    with pytest.raises(InvalidDataset) as raised:
        load_dataset(dataset_id, shop.open("load").datasets, 0)
    assert raised.value.field == "classes"


def test_whether_pictures_may_be_mirrored_is_their_owners_to_say(shop: Shop) -> None:
    dataset_id = bring(shop, PER_CLASS, mirrorable=False)
    assert not load_dataset(dataset_id, shop.open("load").datasets, 0).is_mirrorable


def import_untrained(shop: Shop, dataset_id: str, *, is_told: bool = True) -> str:
    """The id of a network that reads the pictures of a data set and has learned nothing.

    is_told: whether its file says how they were made to fit, as those of earlier versions do not.
    """
    context = shop.open("import")
    data = load_dataset(dataset_id, context.datasets, 0)
    record = describe_named("resnet_small", (4, 4, 8, 8), data.input_shape, len(data.class_names))
    torch.manual_seed(0)
    model = build_module(record)
    info = describe_checkpoint(model, "resnet_small", data)
    save_checkpoint(context.upload_file(), model, info)
    model_id = str(run_spec(parse_spec({"kind": "import"}), context).output_model_id)
    if not is_told:
        path, summary = shop.models[model_id]
        save_checkpoint(path, model, replace(info, resize=None))
        shop.models[model_id] = path, {name: value for name, value in summary.items() if name != "resize"}
    return model_id


def predict(shop: Shop, model_id: str, picture: Image.Image) -> dict[str, float]:
    """Class → probability."""
    context = shop.open("predict")
    picture.save(context.upload_file(), "PNG")
    (said,) = run_spec(parse_spec({"kind": "predict", "model_id": model_id}), context).result["predictions"]
    return {one["class_name"]: one["probability"] for one in said["top"]}


@pytest.mark.parametrize("is_told", [True, False], ids=["as its file says", "as its data set says"])
@pytest.mark.parametrize("mode", ["shorter_side_centre_crop", "pad", "stretch"])
def test_a_prediction_sees_a_picture_as_those_that_were_trained_on(shop: Shop, mode: str, is_told: bool) -> None:
    model_id = import_untrained(shop, bring(shop, PER_CLASS, size=16, mode=mode), is_told=is_told)
    pixels = np.random.default_rng(1).integers(0, 256, (16, 32, 3), np.uint8)
    wide = Image.fromarray(pixels)
    padded = Image.new("RGB", (16, 16), "white")
    padded.paste(wide.resize((16, 8), Image.Resampling.BOX), (0, 4))
    made_to_fit = {
        "shorter_side_centre_crop": Image.fromarray(pixels[:, 8:24]),
        "pad": padded,
        "stretch": wide.resize((16, 16), Image.Resampling.BOX),
    }
    found = [predict(shop, model_id, picture) for picture in (wide, made_to_fit[mode])]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


@pytest.mark.parametrize("file_format", ["checkpoint", "compressed"])
def test_a_model_that_is_taken_elsewhere_sees_a_picture_as_at_home(tmp_path: Path, file_format: str) -> None:
    home, elsewhere = Shop(tmp_path / "home"), Shop(tmp_path / "elsewhere")
    model_id = import_untrained(home, bring(home, PER_CLASS, size=16, mode="pad", background="black"))
    if file_format == "compressed":
        spec = {"kind": "quantize", "model_id": model_id, "bit_widths": [8], "mode": "post_training"}
        model_id = str(run_spec(parse_spec(spec), home.open("quantize")).output_model_id)
    # Its pictures fit already: what its data set says of others is not what the model's file says.
    there = bring(elsewhere, PER_CLASS, mode="stretch")
    context = elsewhere.open("import")
    context.upload_file().write_bytes(home.models[model_id][0].read_bytes())
    taken = str(run_spec(parse_spec({"kind": "import", "dataset": there}), context).output_model_id)
    expected = {"height": 16, "width": 16, "mode": "pad", "background": "black"}
    assert elsewhere.models[taken][1]["resize"] == home.models[model_id][1]["resize"] == expected
    wide = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 48, 3), np.uint8))
    found = [predict(home, model_id, wide), predict(elsewhere, taken, wide)]
    assert found[0] == found[1]
    del home.stored_datasets["dst_0"]
    assert predict(home, model_id, wide) == found[0]


@pytest.mark.slow
def test_a_network_learns_them_is_pruned_and_its_file_says_where_it_comes_from(shop: Shop) -> None:
    dataset_id = bring(shop, PER_CLASS)
    spec = {"dataset": dataset_id, "architecture": "resnet_small", "widths": [4, 4, 8, 8], "batch_size": 16}
    trained, _ = shop.run("train", kind="train", epochs=4, learning_rate=0.05, precision="float32", **spec)
    model_id = str(trained.output_model_id)
    assert trained.result["evaluation"]["test"]["num_correct"] >= 28
    _, info = load_checkpoint(shop.models[model_id][0])
    assert (info.dataset, info.input_shape, len(info.mean)) == (dataset_id, (3, 16, 16), 3)
    pruned, _ = shop.run("prune", kind="prune", model_id=model_id, sparsity=0.5)
    assert pruned.result["sparsity"]["total"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
def test_pictures_in_colour_are_cropped_and_mirrored_unless_asked_otherwise(shop: Shop) -> None:
    spec = {"kind": "train", "dataset": bring(shop, PER_CLASS), "architecture": "mlp", "widths": [8], "epochs": 1}
    trained, context = shop.run("train", **spec)
    assert (trained.result["is_mirrored"], trained.result["max_shift"]) == (True, 2)
    assert context.typed_warnings == []
    plain, _ = shop.run("plain", flip=False, max_shift=0, **spec)
    assert (plain.result["is_mirrored"], plain.result["max_shift"]) == (False, 0)
    # Retraining crops too: in more ways than a teacher is asked about beforehand.
    quantized, _ = shop.run("quantize", kind="quantize", model_id=trained.output_model_id, bit_widths=[4], epochs=1)
    assert quantized.result["distillation"]
    assert len(quantized.result["widths"][0]["history"]) == 1


@pytest.mark.slow
def test_unbalanced_classes_are_warned_of_until_they_are_weighed(shop: Shop) -> None:
    dataset = bring(shop, PER_CLASS, rare=frozenset({"blue"}))
    spec = {"kind": "train", "dataset": dataset, "architecture": "mlp", "widths": [8], "epochs": 1}
    plain, context = shop.run("train", **spec)
    # Of 40, 40 and 1 a tenth validates, but never the only picture of a class.
    not_validated = {"code": "class_not_validated", "field": "dataset", "count": 1}
    unbalanced = {"code": "unbalanced_classes", "field": "class_weighting", "ratio": 36}
    assert context.typed_warnings == [not_validated, unbalanced]
    assert plain.result["history"][0]["balanced_validation_accuracy"] is None
    weighed, context = shop.run("weighed", class_weighting="balanced", **spec)
    assert context.typed_warnings == [not_validated]
    assert weighed.result["class_weighting"] == "balanced"
    assert 0 <= weighed.result["history"][0]["balanced_validation_accuracy"] <= 1
