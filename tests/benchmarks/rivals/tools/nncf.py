"""NNCF: magnitude pruning while fine-tuning, then post-training int8, as ONNX and as OpenVINO's own format."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import nncf
import onnx
import openvino
import torch
from nncf.torch.function_hook.pruning.magnitude.schedulers import ExponentialMagnitudePruningScheduler
from torch import nn

from tests.benchmarks.rivals.tools.plain import (
    Artifact,
    Predict,
    Task,
    export_onnx,
    fit,
    iterate_calibration,
    measure_variant,
    onnx_artifact,
    open_task,
)

LEARNING_RATE = 0.03
INITIAL_RATIO = 0.5
SAMPLE = torch.zeros(2, 1, 28, 28)


def run_openvino(path: Path) -> Predict:
    """An OpenVINO IR file, read from disk."""
    compiled = openvino.Core().compile_model(str(path), "CPU")
    return lambda images: torch.from_numpy(compiled(images.numpy())[0])


def ship(task: Task, model: nn.Module, folder: Path) -> list[Artifact]:
    """The model as int8, quantized by NNCF from its ONNX export and from its OpenVINO conversion."""
    exported, quantized, converted = folder / "float.onnx", folder / "model-int8.onnx", folder / "model-int8.xml"
    batches = list(iterate_calibration(task))
    export_onnx(model, exported)
    dataset = nncf.Dataset(batches, lambda batch: {"x": batch.numpy()})
    onnx.save(nncf.quantize(onnx.load(exported), dataset), quantized)
    core = openvino.convert_model(model, example_input=SAMPLE, input=[-1, 1, 28, 28])
    openvino.save_model(nncf.quantize(core, nncf.Dataset(batches, lambda batch: batch.numpy())), converted)
    return [
        onnx_artifact("ONNX", quantized),
        Artifact("OpenVINO IR", (converted, converted.with_suffix(".bin")), functools.partial(run_openvino, converted)),
    ]


def make_int8(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    return {"epochs": 0, "bit_width": 8}, ship(task, task.build(), folder)


def make_pruned(task: Task, folder: Path) -> tuple[dict[str, Any], list[Artifact]]:
    """The ratio rises during the first two thirds of the epochs; only an epoch after that can be kept."""
    mode = nncf.PruneMode.UNSTRUCTURED_MAGNITUDE_GLOBAL
    model = nncf.prune(task.build(), mode, ratio=INITIAL_RATIO, examples_inputs=SAMPLE)
    ramp = max(1, 2 * task.weight_epochs // 3)
    scheduler = ExponentialMagnitudePruningScheduler(
        model, mode=mode, initial_ratio=INITIAL_RATIO, target_ratio=task.weight_sparsity, target_epoch=ramp
    )

    def raise_ratio(epoch: int) -> None:
        if epoch <= ramp:
            scheduler.step(epoch)

    accuracies = fit(model, task, task.weight_epochs, LEARNING_RATE, before_epoch=raise_ratio, keep_from=ramp)
    reached = nncf.pruning_statistic(model).pruning_ratio
    stripped = nncf.strip(model, strip_format=nncf.StripFormat.IN_PLACE, example_input=SAMPLE)
    plain = task.build()
    plain.load_state_dict(stripped.state_dict())
    facts = {
        "bit_width": 8,
        "epochs": task.weight_epochs,
        "learning_rate": LEARNING_RATE,
        "sparsity": reached,
        "validation_by_epoch": accuracies,
    }
    return facts, ship(task, plain, folder)


def main() -> None:
    task = open_task()
    measure_variant(task, "int8", lambda folder: make_int8(task, folder))
    measure_variant(task, "pruned, int8", lambda folder: make_pruned(task, folder))


if __name__ == "__main__":
    main()
