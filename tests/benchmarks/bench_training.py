"""Training and evaluation against the plain loop, on one machine in one run: `fashion_cnn` on FashionMNIST, and
ResNet-20 on the photographs of CIFAR-10.

The plain loop is the one of every tutorial: torchvision's data set with ToTensor and Normalize for each picture, a
DataLoader, float32, SGD, in a process as anybody starts it. Photographs lie in a folder for each class, and are cropped
and mirrored as He et al. do. Ours runs in a process as the worker starts it. Both sides train the same network with the
same batch size and optimizer; ours always augments, as `train` does by default. Rounds alternate, so that a drift of
the machine hits both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as PlainDataset

from storage.settings import Settings
from tests.benchmarks.record import write_result
from tests.benchmarks.training_tasks import SEED, TASKS, TrainingTask
from tests.needs import NO_CIFAR10, find_cifar10
from worker.catalog import Precision
from worker.core.device import describe_device, find_device, resolve_precision
from worker.core.training import BatchProgress, TrainingSettings, evaluate, fit
from worker.datasets import Dataset
from worker.engine.local import build_environment

BATCH_SIZE = 256
WARM_UP_BATCHES = 5
LEARNING_RATE = 0.05
MAX_DIFFERENCE = 2
"""Test pictures: sums are added in another order, and an answer may turn on the last bit."""
WORKERS = {0: "no workers", 2: "2 workers"}


@dataclass(frozen=True)
class Side:
    """What one side of a comparison runs with."""

    task: TrainingTask
    settings: Settings
    folder: Path
    device: torch.device

    def load_plain(self, *, train: bool) -> PlainDataset[Any]:
        """The pictures as anybody loads them."""
        return self.task.load_plain(self.settings, self.folder, train)


def build_network(task: TrainingTask, device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    torch.manual_seed(SEED)
    return task.build().to(device).to(memory_format=memory_format)


def read_clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def measure_plain_training(side: Side, num_batches: int, num_workers: int) -> float:
    """Pictures per second."""
    device = side.device
    model = build_network(side.task, device, torch.contiguous_format)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(side.load_plain(train=True), BATCH_SIZE, shuffle=True, num_workers=num_workers)
    started = 0.0
    for number, (images, labels) in enumerate(loader):
        if number == WARM_UP_BATCHES:
            started = read_clock(device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images.to(device)), labels.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if number + 1 == WARM_UP_BATCHES + num_batches:
            break
    return num_batches * BATCH_SIZE / (read_clock(device) - started)


def measure_training(side: Side, data: Dataset, num_batches: int) -> float:
    """Pictures per second of `fit`."""
    device = side.device
    model = build_network(side.task, device, torch.channels_last)
    moments: dict[int, float] = {}

    def note_time(progress: BatchProgress) -> None:
        if progress.step in (WARM_UP_BATCHES, progress.total_steps):
            moments[progress.step] = read_clock(device)

    total = WARM_UP_BATCHES + num_batches
    settings = TrainingSettings(epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, seed=SEED)
    fit(model, data.limit_train(total * BATCH_SIZE), settings, on_batch=note_time)
    return num_batches * BATCH_SIZE / (moments[total] - moments[WARM_UP_BATCHES])


def measure_plain_evaluation(side: Side, num_workers: int) -> tuple[float, int]:
    """Pictures per second of the test split, and how many were right."""
    device = side.device
    model = build_network(side.task, device, torch.contiguous_format).eval()
    loader = DataLoader(side.load_plain(train=False), BATCH_SIZE, num_workers=num_workers)
    started = read_clock(device)
    num_correct = num_examples = 0
    with torch.no_grad():
        for images, labels in loader:
            num_correct += int((model(images.to(device)).argmax(1) == labels.to(device)).sum())
            num_examples += len(labels)
    return num_examples / (read_clock(device) - started), num_correct


def measure_evaluation(side: Side, data: Dataset, precision: Precision) -> tuple[float, int]:
    """The same of `evaluate`."""
    device = side.device
    model = build_network(side.task, device, torch.channels_last)
    started = read_clock(device)
    evaluation = evaluate(model, data, data.test, precision)
    return evaluation.num_examples / (read_clock(device) - started), evaluation.num_correct


def measure_side(side: Side, label: str, batches: int) -> dict[str, Any]:
    """Speeds and test pictures right of one side, in this process."""
    speeds: dict[str, float] = {}
    correct: dict[str, int] = {}
    if label == "plain":
        for workers, said in WORKERS.items():
            speeds[f"training: plain, {said}"] = measure_plain_training(side, batches, workers)
            name = f"evaluation: plain, {said}"
            speeds[name], correct[name] = measure_plain_evaluation(side, workers)
    else:
        data = side.task.load(side.settings, side.folder)
        speeds["training: fit"] = measure_training(side, data, batches)
        for precision, said in ((Precision.FLOAT32, "float32"), (Precision.AUTO, "auto precision")):
            name = f"evaluation: evaluate, {said}"
            speeds[name], correct[name] = measure_evaluation(side, data, precision)
    return {"speeds": speeds, "correct": correct}


def run_side(network: str, label: str, folder: Path, batches: int) -> dict[str, Any]:
    """`measure_side` in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_training", "--side", label, "--batches", str(batches)]
    command += ["--networks", network, "--folder", str(folder)]
    environment = build_environment(Settings()) if label == "ours" else None
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure_network(network: str, folder: Path, batches: int, rounds: int) -> dict[str, Any]:
    """Both sides in turns."""
    TASKS[network].prepare(Settings(), folder)
    values: dict[str, list[float]] = {}
    correct: dict[str, int] = {}
    for number in range(rounds):
        for label in ("plain", "ours"):
            measured = run_side(network, label, folder, batches)
            correct |= measured["correct"]
            for name, speed in measured["speeds"].items():
                values.setdefault(name, []).append(speed)
                print(f"  {network}, round {number + 1}  {name:<38} {speed:>9,.0f} pictures/s", flush=True)
    # Faster counts only if it is the same computation.
    if abs(correct["evaluation: plain, no workers"] - correct["evaluation: evaluate, float32"]) > MAX_DIFFERENCE:
        raise SystemExit(f"the two evaluations disagree: {correct}")
    # Of each round by itself: what else the machine does meanwhile changes from round to round.
    ratios = {
        f"{task} against plain, {workers}": round(
            statistics.median(
                ours / plain for ours, plain in zip(values[fast], values[f"{task}: plain, {workers}"], strict=True)
            ),
            2,
        )
        for task, fast in (("training", "training: fit"), ("evaluation", "evaluation: evaluate, auto precision"))
        for workers in WORKERS.values()
    }
    for name, ratio in ratios.items():
        print(f"  {network}, {name}: {ratio}x")
    return {
        "pictures_per_second_median": {name: round(statistics.median(speeds)) for name, speeds in values.items()},
        "pictures_per_second_rounds": {name: [round(v) for v in speeds] for name, speeds in values.items()},
        "ratios": ratios,
        "test_pictures_right": correct,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=80, help="timed training batches per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--side", choices=["plain", "ours"], help="measure one side here, and print it as JSON")
    parser.add_argument("--folder", type=Path, help="what was prepared for that")
    arguments = parser.parse_args()
    settings, device = Settings(), find_device()
    if arguments.side:
        torch.set_num_threads(settings.resolved_threads_per_slot)
        side = Side(TASKS[arguments.networks[0]], settings, arguments.folder, device)
        print(json.dumps(measure_side(side, arguments.side, arguments.batches)))
        return

    numbers: dict[str, Any] = {}
    for network in arguments.networks:
        if network == "resnet20" and find_cifar10() is None:
            print(f"!!! NOT RUN: {network} {NO_CIFAR10}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            numbers[network] = measure_network(network, Path(folder), arguments.batches, arguments.rounds)
    path = write_result(
        "training",
        numbers,
        seeds=[SEED],
        conditions={
            "device": describe_device(device),
            "threads": settings.resolved_threads_per_slot,
            "precision": resolve_precision(Precision.AUTO, device),
            "batch_size": BATCH_SIZE,
            "timed_batches": arguments.batches,
            "rounds": arguments.rounds,
        },
    )
    print(f"  written to {path.name}")


if __name__ == "__main__":
    main()
