"""Networks that are none of the built-in ones, quantized on photographs, from a file back to the same integers."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from storage.errors import InvalidModel
from tests.fuzz.readers import are_same, build_network
from tests.needs import NO_CIFAR10, find_cifar10
from worker.coding import encode_network
from worker.coding.reader import read_file
from worker.core.checkpoint import load_compressed
from worker.core.models.build import NetworkModule, build_module
from worker.core.quantization import calibrate, quantize_model
from worker.core.quantization.integer_model import build_integer_model, extract_integers
from worker.importing.deviations import unify_deviations
from worker.importing.onnx_weights import load_onnx
from worker.integer_network import IntegerNetwork
from worker.network.torchvision_records import PREFIX, describe_torchvision
from worker.pixels import normalize_pixels

RESNET20 = Path(__file__).parents[5] / "shared" / "models" / "resnet20-cifar10.onnx"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NUM_CALIBRATION = 64
NUM_COMPARED = 16
NUM_TESTED = 1000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_cifar10() is None, reason=NO_CIFAR10),
]


@cache
def read_pictures(split: str, count: int) -> tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]:
    """The first of each class, as many of one as of another: uint8 (n, 3, 32, 32), their classes, and the names."""
    path = find_cifar10()
    assert path is not None
    pictures, labels = [], []
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(f"{split}/") and name.endswith(".jpg"))
        classes = sorted({name.split("/")[1] for name in names})
        for label, each in enumerate(classes):
            chosen = [name for name in names if name.split("/")[1] == each]
            for name in chosen[: -(-count // len(classes))]:
                with archive.open(name) as file, Image.open(file) as image:
                    pictures.append(torch.from_numpy(np.array(image.convert("RGB"))))
                labels.append(label)
    return torch.stack(pictures).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels), tuple(classes)


@cache
def build_float(name: str) -> tuple[NetworkModule, str]:
    """A trained network, or one with random weights whose batch norms have seen photographs; and where it came from."""
    if name == "resnet20":
        if not RESNET20.is_file():
            pytest.skip("needs ../shared/models, a network that somebody else trained")
        found, arrays = load_onnx(RESNET20)
        model = build_module(found.network)
        missing = model.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
        assert not missing.missing_keys
        return model.eval(), "onnx"
    torch.manual_seed(0)
    model = build_module(describe_torchvision(name, input_shape=(3, 32, 32), num_classes=10))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    pictures, _, _ = read_pictures("train", NUM_CALIBRATION)
    with torch.no_grad():
        model.train()(normalize_pixels(pictures, MEAN, STD))
    return model.eval(), f"{PREFIX}{name}"


@cache
def quantize(name: str, bit_width: int) -> tuple[IntegerNetwork, tuple[float, ...]]:
    """The integers of a network quantized after training, and the deviation with which it reads pictures."""
    given, origin = build_float(name)
    pictures, _, classes = read_pictures("train", NUM_CALIBRATION)
    model, std = unify_deviations(given, MEAN, STD)
    seen = calibrate(model, normalize_pixels(pictures, MEAN, std))
    quantized = quantize_model(model, bit_width, seen, mean=MEAN, std=std).eval()
    network = extract_integers(quantized, origin, input_shape=(3, 32, 32), class_names=classes, mean=MEAN, std=std)
    return network, std


@pytest.mark.parametrize("bit_width", [8, 4])
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small", "densenet121"])
def test_a_foreign_network_is_the_same_from_its_file(name: str, bit_width: int, tmp_path: Path) -> None:
    network, std = quantize(name, bit_width)
    path = tmp_path / "model.tonok"
    path.write_bytes(encode_network(network))
    decoded_model, decoded = load_compressed(path)
    assert are_same(network, decoded)
    pictures, _, _ = read_pictures("test", NUM_COMPARED)
    x = normalize_pixels(pictures, MEAN, std)
    with torch.no_grad():
        logits = build_integer_model(network)(x)
        assert torch.equal(decoded_model(x), logits)
    assert logits.std() > 0


def test_the_reference_reader_reads_a_foreign_network_alike() -> None:
    network, _ = quantize("resnet20", 4)
    read = build_network(read_file(encode_network(network)))
    assert read is not None
    assert are_same(network, read)


def test_eight_bits_cost_a_trained_network_hardly_any_accuracy() -> None:
    network, std = quantize("resnet20", 8)
    model, _ = build_float("resnet20")
    pictures, labels, _ = read_pictures("test", NUM_TESTED)
    with torch.no_grad():
        before = (model(normalize_pixels(pictures, MEAN, STD)).argmax(1) == labels).float().mean()
        after = (build_integer_model(network)(normalize_pixels(pictures, MEAN, std)).argmax(1) == labels).float().mean()
    assert before > 0.75
    assert after >= before - 0.02


def test_what_batch_norms_do_that_no_layer_takes_in_is_kept() -> None:
    # Made an identity, they moved the logits by nearly their own deviation.
    network, std = quantize("densenet121", 8)
    model, _ = build_float("densenet121")
    assert len(network.affines) > 60
    pictures, _, _ = read_pictures("test", NUM_COMPARED)
    with torch.no_grad():
        wanted = model(normalize_pixels(pictures, MEAN, STD))
        given = build_integer_model(network)(normalize_pixels(pictures, MEAN, std))
    assert (given - wanted).std() < 0.2 * wanted.std()


def test_a_layer_behind_a_hard_swish_has_a_zero_point() -> None:
    network, _ = quantize("mobilenet_v3_small", 4)
    lifted = [layer for layer in network.layers if not layer.input_signed and layer.input_zero_point > 0]
    assert len(lifted) > 5
    with pytest.raises(InvalidModel):
        encode_network(IntegerNetwork(**{**vars(network), "layers": network.layers[::-1]}))


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small"])
def test_the_integers_compute_what_training_saw(name: str) -> None:
    # With means that are whole pixels; others are rounded to such on the way to integers.
    model, origin = build_float(name)
    pictures, _, classes = read_pictures("train", NUM_CALIBRATION)
    mean, std = (124 / 255, 116 / 255, 104 / 255), (0.225,)
    x = normalize_pixels(pictures, mean, std)
    quantized = quantize_model(model, 8, calibrate(model, x), mean=mean, std=std).eval()
    network = extract_integers(quantized, origin, input_shape=(3, 32, 32), class_names=classes, mean=mean, std=std)
    with torch.no_grad():
        shadow, exact = quantized(x), build_integer_model(network)(x)
    # Folding rounds once more in float32, so that a value on the edge of a step may fall to its other side.
    apart = (shadow - exact).abs() / shadow.abs().max()
    assert apart.median() <= 1e-5
    assert apart.mean() <= 0.02
