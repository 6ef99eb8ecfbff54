"""Pictures and models from outside: what is made of good ones, and what bad ones cost."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from storage.errors import InvalidModel, InvalidPicture
from tests.variants import SEED
from tests.worker.jobs.conftest import Shop
from worker.coding import encode_network
from worker.core.checkpoint import load_checkpoint, load_compressed
from worker.dataset_classes import DIGITS
from worker.dataset_facts import find_datasets
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.job_spec import JobOutcome
from worker.jobs import parse_spec, run_spec
from worker.pictures import Preparation, load_picture


@pytest.fixture
def quantized(shop: Shop) -> str:
    outcome, _ = shop.run("quantize", kind="quantize", model_id="mdl_0", bit_widths=[4], mode="post_training")
    return str(outcome.output_model_id)


def predict(shop: Shop, picture: Path, **spec: Any) -> tuple[dict[str, Any], list[str]]:
    context = shop.open("predict")
    shutil.copy(picture, context.upload_file())
    outcome, context = shop.run("predict", kind="predict", model_id="mdl_0", **spec)
    return json.loads(json.dumps(outcome.result)), context.warnings


def run_import(shop: Shop, content: bytes, **spec: Any) -> tuple[JobOutcome, list[str]]:
    context = shop.open("import")
    context.upload_file().write_bytes(content)
    return run_spec(parse_spec({"kind": "import", **spec}), context), context.warnings


@pytest.mark.slow
def test_a_test_picture_is_classified_as_the_network_classifies_it(shop: Shop, quantized: str, tmp_path: Path) -> None:
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=SEED)
    model, _ = load_checkpoint(shop.models["mdl_0"][0])
    pixels = data.test.images[7, 0]
    with torch.no_grad():
        logits = model(((pixels.float() / 255 - data.mean[0]) / data.std[0])[None, None])[0]
    picture = tmp_path / "picture.png"
    Image.fromarray(pixels.numpy()).save(picture)
    result, warnings = predict(shop, picture, top_k=3, compare_to=quantized)
    first, second = result["predictions"]
    assert [entry["class_index"] for entry in first["top"]] == logits.argsort(descending=True)[:3].tolist()
    probabilities = np.exp(logits.double().numpy()) / np.exp(logits.double().numpy()).sum()
    assert first["top"][0]["probability"] == pytest.approx(probabilities.max(), abs=1e-6)
    assert first["top"][0]["class_name"] == str(int(logits.argmax()))
    assert first["preprocessing"]["steps"] == []
    assert (first["model_id"], second["model_id"]) == ("mdl_0", quantized)
    assert result["agree"] == (first["top"][0]["class_index"] == second["top"][0]["class_index"])
    assert warnings == []


def draw(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def prepare(path: Path, **options: Any) -> tuple[list[list[int]], Preparation]:
    pixels, preparation = load_picture(path, (1, 2, 2), **options)
    return pixels[0, 0].tolist(), preparation


def test_every_step_on_the_way_to_the_network_is_told(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    gray = Image.fromarray(np.array([[10, 20], [30, 40]], np.uint8))
    assert prepare(draw(path, gray))[1].steps == ()
    pixels, preparation = prepare(draw(path, gray), invert=True)
    assert (pixels, preparation) == (
        [[245, 235], [225, 215]],
        Preparation(2, 2, 8, 1, False, False, True, ("inverted",), preparation.notices),
    )
    # ITU-R 601: 0.299 of red.
    pixels, preparation = prepare(draw(path, Image.new("RGB", (2, 2), (255, 0, 0))))
    assert (pixels, preparation.grayscale, preparation.steps) == ([[76, 76]] * 2, True, ("converted to grayscale",))
    # Each pixel of the small picture is the mean of four.
    large = Image.fromarray(np.repeat(np.repeat(np.array([[0, 100], [200, 40]], np.uint8), 2, 0), 2, 1))
    pixels, preparation = prepare(draw(path, large))
    assert (pixels, preparation.resized) == ([[0, 100], [200, 40]], True)
    assert preparation.steps == ("resized from 4 x 4 to 2 x 2, whatever the proportions",)
    # 16 bits: 0x8000 is the middle there too.
    deep = Image.fromarray(np.full((2, 2), 0x8000, np.uint16))
    assert prepare(draw(path, deep))[0] == [[0x80] * 2] * 2
    clear = Image.new("LA", (2, 2), (255, 0))
    pixels, preparation = prepare(draw(path, clear))
    assert (pixels, preparation.steps[0]) == ([[0, 0]] * 2, "laid on black where it was transparent")


def test_a_phones_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture = Image.fromarray(np.array([[0, 0], [255, 255]], np.uint8))
    pixels, preparation = prepare(draw(tmp_path / "p.png", picture, exif=exif))
    assert pixels == [[255, 255], [0, 0]]
    assert preparation.steps == ("turned as its EXIF data says",)


def test_a_bright_border_is_warned_of(shop: Shop, tmp_path: Path) -> None:
    picture = Image.new("L", (28, 28), 255)
    picture.paste(0, (8, 8, 20, 20))
    result, warnings = predict(shop, draw(tmp_path / "p.png", picture))
    assert [warning["code"] for warning in result["predictions"][0]["warnings"]] == ["bright_border"]
    assert warnings == [result["predictions"][0]["warnings"][0]["detail"]]


def build_png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG of this size; its pixels are missing, and Pillow would say so if it tried to read them."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\0IDAT"


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (6000, 6000), (16_385, 1), (2**31 - 1, 2**31 - 1)])
def test_a_picture_is_refused_by_the_size_it_declares(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(build_png_header(width, height))
    with pytest.raises(InvalidPicture, match="may have"):
        load_picture(path, (1, 28, 28))


def test_what_is_no_picture_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    draw(path, Image.effect_noise((64, 64), 50))
    whole = path.read_bytes()
    tiff = io.BytesIO()
    Image.new("L", (2, 2)).save(tiff, "TIFF")
    for content in (b"", b"GIF89a", tiff.getvalue(), whole[:-200], whole[:60], whole[:100] + b"x" * 50 + whole[150:]):
        path.write_bytes(content)
        with pytest.raises(InvalidPicture, match="or it is damaged"):
            load_picture(path, (1, 28, 28))


@pytest.mark.slow
def test_a_checkpoint_brought_along_is_measured_like_the_one_it_was(shop: Shop) -> None:
    path, summary = shop.models["mdl_0"]
    outcome, warnings = run_import(shop, path.read_bytes(), name="mine")
    imported, measured = shop.models[str(outcome.output_model_id)]
    assert measured["evaluation"] == summary["evaluation"]
    assert measured["size"] == summary["size"]
    assert load_file(imported).keys() == load_file(path).keys()
    assert warnings == []
    assert outcome.result["accuracy_drop"] is None


@pytest.mark.slow
def test_a_compressed_file_brought_along_is_the_same_bytes_afterwards(shop: Shop, quantized: str) -> None:
    path, summary = shop.models[quantized]
    outcome, warnings = run_import(shop, path.read_bytes(), dataset="digits")
    imported, measured = shop.models[str(outcome.output_model_id)]
    assert imported.read_bytes() == path.read_bytes()
    assert measured["evaluation"]["test"] == summary["evaluation"]["test"]
    assert measured["size"]["reference_bytes"] == pytest.approx(summary["size"]["reference_bytes"], rel=0.01)
    assert ["does not say" in warning for warning in warnings] == [True]
    # Without a data set it is measured on the first of those that fit, and the warning names all of them.
    _, more = run_import(shop, path.read_bytes())
    (choice,) = set(more) - set(warnings)
    assert all(name in choice for name in find_datasets(DIGITS, (1, 28, 28)))


@pytest.mark.slow
def test_a_network_that_fits_no_data_set_names_the_field(shop: Shop, quantized: str) -> None:
    _, network = load_compressed(shop.models[quantized][0])
    content = encode_network(replace(network, class_names=tuple("abcdefghij")))
    with pytest.raises(InvalidModel) as error:
        run_import(shop, content)
    assert error.value.field == "dataset"
    outcome, _ = run_import(shop, content, dataset="digits")
    # A compressed file does not know which pictures validated it: those depend on the seed of the split.
    assert outcome.result["evaluation"]["test"] == shop.models[quantized][1]["evaluation"]["test"]


def rewrite(path: Path, target: Path, change: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None) -> bytes:
    """The checkpoint with other facts, or other tensors."""
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    facts = json.loads(header["__metadata__"]["tonok"]) | change
    save_file(load_file(path) | (tensors or {}), target, metadata={"tonok": json.dumps(facts)})
    return target.read_bytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class_names", ["a"] * 5000),
        ("class_names", ["a" * 256, *"bcdefghij"]),
        ("class_names", ["é" * 128, *"bcdefghij"]),
        ("class_names", ["", *"bcdefghij"]),
        ("class_names", ["two\nlines", *"bcdefghij"]),
        ("class_names", []),
        ("input_shape", [1, 1, 5000]),
        ("std", 0.0),
        ("widths", [8] * 1025),
        ("split_seed", -1),
        ("num_train_examples", 3),
    ],
    ids=lambda value: f"{str(value)[:20]!a}",
)
def test_what_a_file_says_of_itself_has_bounds_and_the_error_names_the_field(
    field: str, value: Any, shop: Shop, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModel, match=f"^{field} of the network is out of bounds: ") as error:
        run_import(shop, rewrite(shop.models["mdl_0"][0], tmp_path / "hostile", {field: value}))
    assert error.value.field == field
    assert len(str(error.value)) < 150


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value"),
    [("class_names", ("a\0", *"bcdefghij")), ("std", (0.0,)), ("std", (-1.0,)), ("input_shape", (1, 28, 5000))],
)
def test_a_compressed_file_has_the_same_bounds(field: str, value: Any, shop: Shop, quantized: str) -> None:
    _, network = load_compressed(shop.models[quantized][0])
    with pytest.raises(InvalidModel, match=f"^{field} of the network is out of bounds: "):
        run_import(shop, encode_network(replace(network, **{field: value})))
    still = replace(network, layers=(replace(network.layers[0], input_scale=0.0), *network.layers[1:]))
    with pytest.raises(InvalidModel, match=r"^input_scale of the network"):
        run_import(shop, encode_network(still))


@pytest.mark.slow
def test_hostile_files_are_one_clear_error_and_cost_no_memory(shop: Shop, quantized: str, tmp_path: Path) -> None:
    path, target = shop.models["mdl_0"][0], tmp_path / "hostile"
    _, network = load_compressed(shop.models[quantized][0])
    bias = {"classifier.3.bias": torch.full((10,), float("nan"))}
    name = next(key for key in load_file(path) if key.endswith("bias"))
    hostile = {
        "empty": b"",
        "a pickle": pickle.dumps({"state_dict": [1, 2, 3]}),
        "a zip": b"PK\x03\x04" + bytes(100),
        "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
        "a header of 90 MB": struct.pack("<Q", 90_000_000) + b"{" * 100,
        "deep JSON": struct.pack("<Q", 100_000) + b"[" * 100_000,
        "cut short": path.read_bytes()[:-100],
        "wide": rewrite(path, target, {"architecture": "mlp", "widths": [16_384] * 1000}),
        "wider than any": rewrite(path, target, {"widths": [2**40, 8, 16]}),
        "a picture of 4096 x 4096": rewrite(path, target, {"input_shape": [1, 4096, 4096]}),
        "not numbers": rewrite(path, target, {"mean": "0.3"}),
        "a number that is none": rewrite(path, target, {}, {name: load_file(path)[name] * float("nan")}),
        "a tensor too many": rewrite(path, target, {}, bias),
        "double precision": rewrite(path, target, {}, {name: load_file(path)[name].double()}),
        "wide integers": encode_network(replace(network, architecture="mlp", widths=(16_384,) * 1000)),
        "another network's layers": encode_network(replace(network, widths=(4, 8, 17))),
    }
    tracemalloc.start()
    for what, content in hostile.items():
        with pytest.raises(InvalidModel):
            pytest.fail(f"{what} was taken: {run_import(shop, content)}")
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()
