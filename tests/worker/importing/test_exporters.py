"""Files of PyTorch's two exporters: what the record computes is what ONNX Runtime does, and what the module did."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.worker.importing.test_torchvision import build
from tests.worker.network.reference import compute
from worker.importing.checks import Array
from worker.importing.onnx_weights import load_onnx
from worker.network.importers.file_kind import EXPORT_LINE
from worker.network.importers.onnx_file import OnnxNetwork
from worker.network.operations.base import InvalidNetwork
from worker.network.operations.layers import BatchNorm

SIDE = 64
NUM_CLASSES = 7


def export(module: nn.Module, path: Path, shape: tuple[int, int, int], **options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of the exporters' own deprecations.
        torch.onnx.export(module.eval(), (torch.zeros(2, *shape),), path, input_names=["x"], **options)


OLD = {"dynamo": False, "dynamic_axes": {"x": {0: "batch"}}}
FIXED = {"dynamo": False}
KEPT = {"dynamo": False, "do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
NEW = {"dynamo": True, "external_data": False, "verbose": False, "dynamic_shapes": ({0: torch.export.Dim.DYNAMIC},)}


def import_and_compare(
    module: nn.Module, path: Path, shape: tuple[int, int, int]
) -> tuple[OnnxNetwork, dict[str, Array]]:
    """Reads the file; logits within 1e-4 of ONNX Runtime's, the same classes, and both as the module's."""
    found, arrays = load_onnx(path)
    assert found.network.input_shape == shape
    pictures = torch.randn(8, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = module(pictures).numpy()
        computed = compute(found.network, {n: torch.from_numpy(array) for n, array in arrays.items()}, pictures).numpy()
    session = onnxruntime.InferenceSession(path)
    (given,) = session.get_inputs()
    size = given.shape[0] if isinstance(given.shape[0], int) else len(pictures)
    batches = [pictures[start : start + size].numpy() for start in range(0, len(pictures), size)]
    expected = np.concatenate([session.run(None, {given.name: batch})[0] for batch in batches])
    for other in (expected, own):
        np.testing.assert_allclose(computed, other, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(computed.argmax(1), other.argmax(1))
    return found, arrays


TORCHVISION = [
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "squeezenet1_1",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_what_the_old_exporter_writes_is_read(name: str, tmp_path: Path) -> None:
    module, path = build(name, NUM_CLASSES), tmp_path / "model.onnx"
    export(module, path, (3, SIDE, SIDE), **OLD)
    import_and_compare(module, path, (3, SIDE, SIDE))


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_the_line_that_is_recommended_keeps_batch_norms_and_names(name: str, tmp_path: Path) -> None:
    model, path = build(name, NUM_CLASSES), tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line = EXPORT_LINE.replace("3, 32, 32", f"3, {SIDE}, {SIDE}").replace('"model.onnx"', "path")
        eval(line, {"torch": torch, "model": model, "path": path})
    _, arrays = import_and_compare(model, path, (3, SIDE, SIDE))
    state = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    assert arrays.keys() == state.keys()
    for name, value in state.items():
        np.testing.assert_array_equal(arrays[name], value.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18", "squeezenet1_1"])
def test_what_the_new_exporter_writes_is_read(name: str, tmp_path: Path) -> None:
    module, path = build(name, NUM_CLASSES), tmp_path / "model.onnx"
    export(module, path, (3, SIDE, SIDE), **NEW)
    import_and_compare(module, path, (3, SIDE, SIDE))


class Handmade(nn.Module):
    """Ways to write a network that torchvision does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, stride=2, padding=1, dilation=2)
        self.norm = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 8, 1, groups=4, bias=False)
        self.activations = nn.ModuleList(
            [nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Hardsigmoid(), nn.LeakyReLU(0.2), nn.ReLU6(), nn.Sigmoid()]
        )
        self.hidden = nn.Linear(18 * 7 * 6, 16)
        self.hidden_norm = nn.BatchNorm1d(16)
        self.last = nn.Linear(16, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(F.relu(self.first(x)))
        for activation in self.activations:
            x = x + activation(self.pointwise(x))
        x = torch.cat([x[:, :, ::2, ::2], F.max_pool2d(x, 3, 2, 1)], 1)
        x = x * torch.sigmoid(x.mean((2, 3), keepdim=True))
        x = F.pad(F.avg_pool2d(x, 3, 1, 1)[:, :, ::1], (0, 0, 0, 0, 2, 0))
        x = self.hidden_norm(self.hidden(x.view(x.size(0), -1)))
        logits: torch.Tensor = self.last(F.dropout(F.relu(x), training=self.training))
        return logits


@pytest.mark.slow
@pytest.mark.parametrize("options", [OLD, NEW, FIXED, KEPT], ids=["old", "new", "fixed", "kept"])
def test_a_network_that_somebody_wrote_is_read(options: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, path = Handmade().eval(), tmp_path / "model.onnx"
    for norm in (module.norm, module.hidden_norm):
        assert norm.running_var is not None
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    shape = (2, 29, 23)
    export(module, path, shape, **options)
    found, _ = import_and_compare(module, path, shape)
    # The one behind a ReLU stays a batch norm; the one behind a linear layer is folded, here or by the exporter.
    assert sum(isinstance(node.operation, BatchNorm) for node in found.network.nodes) == 1


@pytest.mark.slow
def test_a_channel_shuffle_is_refused(tmp_path: Path) -> None:
    module, path = build("shufflenet_v2_x0_5", NUM_CLASSES), tmp_path / "model.onnx"
    export(module, path, (3, SIDE, SIDE), dynamo=False)
    with pytest.raises(InvalidNetwork) as raised:
        load_onnx(path)
    assert "Reshape '/stage2/stage2.0/Reshape'" in str(raised.value)
