"""Pictures that somebody brought become a data set, and jobs work on it as on those of the catalogue."""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from storage.errors import InvalidDataset
from tests.worker.jobs.conftest import Shop
from worker.core.checkpoint import describe_checkpoint, load_checkpoint, save_checkpoint
from worker.core.datasets import load_dataset
from worker.core.models.build import build_module
from worker.jobs import parse_spec, run_spec
from worker.network_names import describe_named

COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
PER_CLASS = {"train": 40, "test": 10}


def write_pictures(path: Path, splits: dict[str, int], seed: int = 0) -> None:
    """Noise around a colour for each class, 16 by 16 pixels, as PNG."""
    rng = np.random.default_rng(seed)
    with ZipFile(path, "w") as file:
        for split, count in splits.items():
            for name, colour in COLOURS.items():
                for number in range(count):
                    pixels = np.clip(np.array(colour) + rng.normal(0, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
                    content = io.BytesIO()
                    Image.fromarray(pixels).save(content, "PNG")
                    file.writestr(f"{split}/{name}/{number}.png", content.getvalue())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def bring(shop: Shop, splits: dict[str, int], **options: object) -> str:
    """The id of the data set; every job that is opened later finds it."""
    context = shop.open("bring")
    write_pictures(context.upload_file(), splits)
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


def test_a_class_of_one_picture_cannot_be_split(shop: Shop) -> None:
    dataset_id = bring(shop, {"train": 1, "test": 1})
    with pytest.raises(InvalidDataset) as raised:
        load_dataset(dataset_id, shop.open("load").datasets, 0)
    assert raised.value.field == "classes"


def test_whether_pictures_may_be_mirrored_is_their_owners_to_say(shop: Shop) -> None:
    dataset_id = bring(shop, PER_CLASS, mirrorable=False)
    assert not load_dataset(dataset_id, shop.open("load").datasets, 0).is_mirrorable


def import_untrained(shop: Shop, dataset_id: str) -> str:
    """The id of a network that reads the pictures of a data set and has learned nothing."""
    context = shop.open("import")
    data = load_dataset(dataset_id, context.datasets, 0)
    record = describe_named("resnet_small", (4, 4, 8, 8), data.input_shape, len(data.class_names))
    torch.manual_seed(0)
    model = build_module(record)
    save_checkpoint(context.upload_file(), model, describe_checkpoint(model, "resnet_small", data))
    return str(run_spec(parse_spec({"kind": "import"}), context).output_model_id)


@pytest.mark.parametrize("mode", ["shorter_side_centre_crop", "pad", "stretch"])
def test_a_prediction_sees_a_picture_as_those_that_were_trained_on(shop: Shop, mode: str) -> None:
    model_id = import_untrained(shop, bring(shop, PER_CLASS, size=16, mode=mode))
    pixels = np.random.default_rng(1).integers(0, 256, (16, 32, 3), np.uint8)
    wide = Image.fromarray(pixels)
    padded = Image.new("RGB", (16, 16), "white")
    padded.paste(wide.resize((16, 8), Image.Resampling.BOX), (0, 4))
    made_to_fit = {
        "shorter_side_centre_crop": Image.fromarray(pixels[:, 8:24]),
        "pad": padded,
        "stretch": wide.resize((16, 16), Image.Resampling.BOX),
    }
    found = []
    for picture in (wide, made_to_fit[mode]):
        context = shop.open("predict")
        picture.save(context.upload_file(), "PNG")
        (said,) = run_spec(parse_spec({"kind": "predict", "model_id": model_id}), context).result["predictions"]
        found.append({one["class_name"]: one["probability"] for one in said["top"]})
    assert found[0] == pytest.approx(found[1], abs=1e-6)


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
