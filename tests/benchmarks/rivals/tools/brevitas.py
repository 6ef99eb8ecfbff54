"""Brevitas: quantization-aware training from the float weights, saved as ONNX (QCDQ) and as a state dict.

Its other export, QONNX, keeps the weights in float32 and is read by other tools than ONNX Runtime: left out.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from brevitas import config
from brevitas import nn as qnn
from brevitas.export import export_onnx_qcdq
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloatMSE,
    Uint8ActPerTensorFloatMSE,
)
from safetensors.torch import load_file
from torch import nn

from tests.benchmarks.rivals.tools.plain import (
    Artifact,
    Predict,
    Task,
    fit,
    measure_variant,
    onnx_artifact,
    open_task,
    run_torch,
)

LEARNING_RATES = {8: 0.01, 6: 0.01, 4: 0.02, 2: 0.02}


class QuantizedNetwork(nn.Module):
    """The plain network with Brevitas's layers: the picture in 8 bits, all else in `bit_width`, learned scales."""

    def __init__(self, widths: tuple[int, int, int], bit_width: int) -> None:
        super().__init__()
        first, second, hidden = widths
        weights = {"weight_quant": Int8WeightPerChannelFloatMSE, "weight_bit_width": bit_width}
        relu = {"act_quant": Uint8ActPerTensorFloatMSE, "bit_width": bit_width}
        self.picture = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=8)
        self.conv1 = qnn.QuantConv2d(1, first, 3, padding=1, bias=True, **weights)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu1 = qnn.QuantReLU(**relu)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = qnn.QuantConv2d(first, second, 3, padding=1, bias=True, **weights)
        self.bn2 = nn.BatchNorm2d(second)
        self.relu2 = qnn.QuantReLU(**relu)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = qnn.QuantLinear(second * 49, hidden, bias=True, **weights)
        self.relu3 = qnn.QuantReLU(**relu)
        self.fc2 = qnn.QuantLinear(hidden, 10, bias=True, **weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1, 28, 28). Returns logits (B, 10)."""
        x = self.relu1(self.pool1(self.bn1(self.conv1(self.picture(x)))))
        x = self.relu2(self.pool2(self.bn2(self.conv2(x))))
        logits: torch.Tensor = self.fc2(self.relu3(self.fc1(self.flatten(x))))
        return logits


def load(path: Path, widths: tuple[int, int, int], bit_width: int) -> Predict:
    model = QuantizedNetwork(widths, bit_width)
    model.load_state_dict(torch.load(path, weights_only=True))
    return run_torch(model)


def make(task: Task, bit_width: int, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    config.IGNORE_MISSING_KEYS = True
    model = QuantizedNetwork(task.widths, bit_width)
    model.load_state_dict(load_file(task.checkpoint), strict=False)
    epochs, learning_rate = task.quantization_epochs[bit_width], LEARNING_RATES[bit_width]
    accuracies = fit(model, task, epochs, learning_rate)
    state, qcdq = folder / "model.pth", folder / "model-qcdq.onnx"
    torch.save(model.state_dict(), state)
    sample = torch.zeros(2, 1, 28, 28)
    # The older exporter stores integers; the newer one the float weights and what makes integers of them.
    export_onnx_qcdq(
        model,
        args=sample,
        export_path=str(qcdq),
        dynamo=False,
        opset_version=18,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch"}},
    )
    facts = {
        "bit_width": bit_width,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "validation_by_epoch": accuracies,
    }
    return facts, [
        Artifact("state dict", (state,), functools.partial(load, state, task.widths, bit_width)),
        onnx_artifact("ONNX (QCDQ)", qcdq),
    ]


def main() -> None:
    task = open_task()
    for bit_width in task.quantization_epochs:
        measure_variant(task, f"{bit_width} bit", functools.partial(make, task, bit_width))


if __name__ == "__main__":
    main()
