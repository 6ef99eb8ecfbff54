"""A network that somebody else trained, on photographs: the record answers as ONNX Runtime does on the same file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from tests.worker.network.reference import compute
from worker.importing.onnx_weights import load_onnx

SHARED = Path(__file__).parents[4] / "shared"
MODELS = SHARED / "models"
PICTURES = SHARED / "data" / "cifar10-images" / "cifar10-images.zip"
FOLDED_EPS = 1e-5
PER_CLASS = 26

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MODELS.is_dir() and PICTURES.is_file()),
        reason="needs ../shared/models and ../shared/data/cifar10-images, a network and photographs",
    ),
]


def read_pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Some of each class, normalised as the network's page says, and their classes."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pictures, labels = [], []
    with zipfile.ZipFile(PICTURES) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("test/") and name.endswith(".jpg"))
        classes = sorted({name.split("/")[1] for name in names})
        for label, each in enumerate(classes):
            for name in [name for name in names if name.split("/")[1] == each][:PER_CLASS]:
                with archive.open(name) as file, Image.open(file) as image:
                    pictures.append((np.asarray(image.convert("RGB")) / 255 - mean) / std)
                labels.append(label)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().contiguous(), torch.tensor(labels)


def test_the_record_answers_as_onnx_runtime_does_on_photographs() -> None:
    path = MODELS / "resnet20-cifar10.onnx"
    found, arrays = load_onnx(path)
    pictures, labels = read_pictures()
    computed = compute(found.network, {n: torch.from_numpy(array) for n, array in arrays.items()}, pictures).numpy()
    expected = onnxruntime.InferenceSession(path).run(None, {"image": pictures.numpy()})[0]
    np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-4)
    # Where two classes are level, rounding decides: those pictures say nothing of the record.
    ordered = np.sort(expected, 1)
    is_clear = ordered[:, -1] - ordered[:, -2] > 1e-3
    assert is_clear.sum() > 250
    assert (computed.argmax(1) == expected.argmax(1))[is_clear].all()
    assert (computed.argmax(1) == labels.numpy()).mean() > 0.7  # 81.03 % of all 10,000, says its page


def test_weights_are_those_of_the_state_dict_with_batch_norms_folded_in() -> None:
    _, arrays = load_onnx(MODELS / "resnet20-cifar10.onnx")
    state = {
        name.removeprefix("module."): value.astype(np.float64)
        for name, value in load_file(MODELS / "resnet20-cifar10.safetensors").items()
    }
    convolutions = [name for name in state if "conv" in name]
    assert len(convolutions) == 19
    for name in convolutions:
        norm = name.replace("conv", "bn").removesuffix(".weight")
        gain = state[f"{norm}.weight"] / np.sqrt(state[f"{norm}.running_var"] + FOLDED_EPS)
        np.testing.assert_allclose(arrays[name], state[name] * gain[:, None, None, None], rtol=1e-4, atol=1e-5)
        shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
        np.testing.assert_allclose(arrays[name.replace(".weight", ".bias")], shift, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(arrays["linear.weight"], state["linear.weight"].astype(np.float32))


def test_the_shortcuts_without_weights_add_channels_of_zeros() -> None:
    found, arrays = load_onnx(MODELS / "resnet20-cifar10.onnx")
    (first, second) = [array for array in arrays.values() if array.ndim == 4 and array.shape[2:] == (1, 1)]
    for array, (new, old) in ((first, (32, 16)), (second, (64, 32))):
        places = np.zeros((new, old), np.float32)
        places[np.arange(old) + (new - old) // 2, np.arange(old)] = 1
        np.testing.assert_array_equal(array[:, :, 0, 0], places)
    # He et al. 2016 count 0.27 million: 269,722 with two numbers for each of 688 normalised channels, one here.
    assert found.network.num_parameters == 269_722 - 688 + 32 * 16 + 64 * 32
