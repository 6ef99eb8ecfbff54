"""What every rival gets: the network as a plain module, the split as arrays, one training loop, one way to count."""

from __future__ import annotations

import argparse
import copy
import functools
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

BATCH_SIZE = 128
EVALUATION_BATCH = 500
CALIBRATION_EXAMPLES = 1024
WARMUP = 0.1
"""Fraction of all steps in which the learning rate rises."""


class Network(nn.Module):
    """`fashion_cnn` as everybody would write it. widths: channels of both convolutions, neurons of the hidden layer."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, hidden = widths
        self.conv1 = nn.Conv2d(1, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(second)
        self.relu2 = nn.ReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(second * 49, hidden)
        self.relu3 = nn.ReLU()
        self.fc2 = nn.Linear(hidden, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: (B, 1, 28, 28). Returns logits (B, 10)."""
        x = self.pool1(self.relu1(self.bn1(self.conv1(x))))
        x = self.pool2(self.relu2(self.bn2(self.conv2(x))))
        logits: torch.Tensor = self.fc2(self.relu3(self.fc1(self.flatten(x))))
        return logits


@dataclass(frozen=True)
class Split:
    """images: float32 (N, 1, 28, 28), normalised; labels: int64 (N,)."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Task:
    """The checkpoint, the split and the epochs that our own jobs get too. folder: where artifacts go."""

    checkpoint: Path
    widths: tuple[int, int, int]
    train: Split
    validation: Split
    test: Split
    quantization_epochs: dict[int, int]
    channel_sparsity: float
    channel_epochs: int
    weight_sparsity: float
    weight_epochs: int
    seed: int
    folder: Path

    def build(self) -> Network:
        """The float network with the checkpoint's weights."""
        model = Network(self.widths)
        model.load_state_dict(load_file(self.checkpoint), strict=False)
        return model.eval()


def open_task() -> Task:
    """The task named on the command line: its file and the folder for what comes out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    told = json.loads(arguments.task.read_text(encoding="utf-8"))
    torch.set_num_threads(told["threads"])
    torch.manual_seed(told["seed"])
    mean, std = (torch.tensor(told[name]).reshape(-1, 1, 1) for name in ("mean", "std"))
    with np.load(arguments.task.parent / "data.npz") as arrays:
        splits = {
            name: Split(
                (torch.from_numpy(arrays[f"{name}_images"]).float() / 255 - mean) / std,
                torch.from_numpy(arrays[f"{name}_labels"]),
            )
            for name in ("train", "validation", "test")
        }
    return Task(
        checkpoint=arguments.task.parent / told["checkpoint"],
        widths=tuple(told["widths"]),
        quantization_epochs={int(bits): epochs for bits, epochs in told["quantization_epochs"].items()},
        channel_sparsity=told["channel_sparsity"],
        channel_epochs=told["channel_epochs"],
        weight_sparsity=told["weight_sparsity"],
        weight_epochs=told["weight_epochs"],
        seed=told["seed"],
        folder=arguments.folder,
        **splits,
    )


def fit(
    model: nn.Module,
    task: Task,
    epochs: int,
    learning_rate: float,
    *,
    before_epoch: Callable[[int], None] | None = None,
    keep_from: int = 0,
) -> list[float]:
    """Trains in place and keeps the epoch that is best on validation; returns the validation accuracies.

    As our own jobs train, but for the teacher: SGD with momentum, linear warm-up and decay, mirrored pictures, bfloat16
    where the processor has it. before_epoch: called with its number, from 0. keep_from: the first that may be kept.
    """
    decayed = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 1]
    plain = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=learning_rate, momentum=0.9, nesterov=True)
    generator = torch.Generator().manual_seed(task.seed)
    size = len(task.train.labels)
    total_steps = epochs * -(-size // BATCH_SIZE)
    accuracies: list[float] = []
    step, best = 0, model.state_dict()
    started = time.perf_counter()
    for epoch in range(epochs):
        if before_epoch is not None:
            before_epoch(epoch)
        model.train()
        for rows in torch.split(torch.randperm(size, generator=generator), BATCH_SIZE):
            peak = WARMUP * total_steps
            rate = (step + 1) / (peak + 1) if step < peak else (total_steps - step) / (total_steps - peak)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * rate
            images = task.train.images[rows]
            mirrored = torch.randint(0, 2, (len(rows), 1, 1, 1), generator=generator).bool()
            x = torch.where(mirrored, images.flip(3), images)
            with torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16()):
                # The strides of channels last, spelled out: a third less time, as our own batches are.
                logits = model(x.as_strided(x.shape, (784, 1, 28, 1)))
            loss = F.cross_entropy(logits.float(), task.train.labels[rows])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            step += 1
        accuracy = count_correct(run_torch(model), task.validation) / len(task.validation.labels)
        if epoch >= keep_from and accuracy > max(accuracies[keep_from:], default=0.0):
            best = copy.deepcopy(model.state_dict())
        accuracies.append(accuracy)
        seconds = time.perf_counter() - started
        print(f"  epoch {epoch + 1}/{epochs}: validation {100 * accuracy:.2f} %, {seconds:.0f} s", flush=True)
    if accuracies:
        model.load_state_dict(best)
    model.eval()
    return accuracies


def has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 by itself; without, it would be slower than float32."""
    return Path("/proc/cpuinfo").exists() and "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


Predict = Callable[[torch.Tensor], torch.Tensor]
"""Normalised pictures (B, 1, 28, 28) to logits (B, 10)."""


def run_torch(model: nn.Module) -> Predict:
    """A module in evaluation mode."""
    model.eval()

    def predict(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = model(images)
        return logits

    return predict


def run_onnx(path: Path) -> Predict:
    """An ONNX file, read from disk by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # Errors: some exports earn a warning for every weight.
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def count_correct(predict: Predict, split: Split) -> int:
    """Pictures of the split that are told right."""
    batches = (torch.split(part, EVALUATION_BATCH) for part in (split.images, split.labels))
    return sum(int((predict(images).argmax(1) == labels).sum()) for images, labels in zip(*batches, strict=True))


def iterate_calibration(task: Task) -> Iterator[torch.Tensor]:
    """The first training pictures in batches: as many as our own calibration reads."""
    yield from torch.split(task.train.images[:CALIBRATION_EXAMPLES], BATCH_SIZE)


def export_onnx(model: nn.Module, path: Path) -> None:
    """As torch documents it, with a batch of any size."""
    sample = torch.zeros(2, 1, 28, 28)
    batch = {0: torch.export.Dim("batch")}
    torch.onnx.export(model, (sample,), str(path), dynamo=True, dynamic_shapes=(batch,), external_data=False)


@dataclass(frozen=True)
class Artifact:
    """One way to ship a result. predict: made from `files` as they lie on disk, and from nothing else."""

    name: str
    files: tuple[Path, ...]
    predict: Callable[[], Predict]


def measure_variant(task: Task, name: str, make: Callable[[Path], tuple[dict[str, Any], list[Artifact]]]) -> None:
    """Makes a variant in a folder of its own and counts what its artifacts get right; once done, not done again.

    make: takes the folder; returns facts for the record (epochs, sparsity …) and the artifacts.
    """
    folder = task.folder / re.sub(r"\W+", "-", name)
    done = folder / "variant.json"
    if done.exists():
        print(f"{name}: kept from before", flush=True)
        return
    print(name, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    facts, artifacts = make(folder)
    record = {
        "variant": name,
        **facts,
        "seconds": round(time.perf_counter() - started, 1),
        "artifacts": [_measure(task, artifact, folder) for artifact in artifacts],
    }
    partial = done.with_suffix(".tmp")
    partial.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    partial.replace(done)


def _measure(task: Task, artifact: Artifact, folder: Path) -> dict[str, Any]:
    predict = artifact.predict()
    correct = {
        name: count_correct(predict, split) for name, split in (("validation", task.validation), ("test", task.test))
    }
    print(f"  {artifact.name}: test {100 * correct['test'] / len(task.test.labels):.2f} %", flush=True)
    return {
        "artifact": artifact.name,
        "files": [str(path.relative_to(folder)) for path in artifact.files],
        "num_correct": correct,
        "num_examples": {"validation": len(task.validation.labels), "test": len(task.test.labels)},
    }


def onnx_artifact(name: str, path: Path) -> Artifact:
    """An ONNX file that ONNX Runtime reads back."""
    return Artifact(name, (path,), functools.partial(run_onnx, path))
