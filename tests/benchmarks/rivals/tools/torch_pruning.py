"""Torch-Pruning: whole channels by group magnitude, then fine-tuning; saved as a state dict, float32 and float16."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
import torch_pruning as tp
from torch import nn

from tests.benchmarks.rivals.tools.plain import (
    Artifact,
    Network,
    Predict,
    Task,
    fit,
    measure_variant,
    open_task,
    run_torch,
)

LEARNING_RATE = 0.02


def load(path: Path, widths: tuple[int, int, int]) -> Predict:
    model = Network(widths)
    model.load_state_dict(torch.load(path, weights_only=True))
    return run_torch(model.float())


def make(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    model = task.build()
    pruner = tp.pruner.BasePruner(
        model,
        torch.zeros(1, 1, 28, 28),
        importance=tp.importance.GroupMagnitudeImportance(),
        pruning_ratio=task.channel_sparsity,
        ignored_layers=[model.fc2],
    )
    pruner.step()
    accuracies = fit(model, task, task.channel_epochs, LEARNING_RATE)
    widths = (model.conv1.out_channels, model.conv2.out_channels, model.fc1.out_features)
    full, half = folder / "model.pth", folder / "model-float16.pth"
    torch.save(model.state_dict(), full)
    torch.save(_halve(model).state_dict(), half)
    facts = {
        "epochs": task.channel_epochs,
        "learning_rate": LEARNING_RATE,
        "widths": widths,
        "validation_by_epoch": accuracies,
    }
    return facts, [
        Artifact(name, (path,), functools.partial(load, path, widths))
        for name, path in (("state dict", full), ("state dict, float16", half))
    ]


def _halve(model: nn.Module) -> nn.Module:
    return model.half()


def main() -> None:
    task = open_task()
    measure_variant(task, "channels", lambda folder: make(task, folder))


if __name__ == "__main__":
    main()
