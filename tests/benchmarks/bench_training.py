"""Training and evaluation of `fashion_cnn` against the plain loop, on one machine in one run.

The plain loop is the one of every tutorial: torchvision's data set with ToTensor and Normalize for each picture, a
DataLoader, float32, SGD, in a process as anybody starts it. Ours runs in a process as the worker starts it. Both
sides train the same network with the same batch size and optimizer; ours also augments, as `train` does by default.
Rounds alternate, so that a drift of the machine hits both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import FashionMNIST

from storage.settings import Settings
from tests.benchmarks.record import write_result
from worker.catalog import Precision
from worker.core.device import describe_device, find_device, resolve_precision
from worker.core.models import build_model
from worker.core.training import BatchProgress, TrainingSettings, evaluate, fit
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, load_dataset
from worker.engine.local import build_environment

SEED = 0
BATCH_SIZE = 256
WARM_UP_BATCHES = 5
LEARNING_RATE = 0.05
WORKERS = {0: "no workers", 2: "2 workers"}


def build_network(device: torch.device, memory_format: torch.memory_format) -> nn.Module:
    torch.manual_seed(SEED)
    return build_model("fashion_cnn").to(device).to(memory_format=memory_format)


def read_clock(device: torch.device) -> float:
    """Seconds, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def load_plain(settings: Settings, *, train: bool) -> FashionMNIST:
    steps = [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    return FashionMNIST(str(settings.resolved_dataset_dir), train=train, transform=transforms.Compose(steps))


def measure_plain_training(settings: Settings, device: torch.device, num_batches: int, num_workers: int) -> float:
    """Pictures per second."""
    model = build_network(device, torch.contiguous_format)
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(load_plain(settings, train=True), BATCH_SIZE, shuffle=True, num_workers=num_workers)
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


def measure_training(data: Dataset, device: torch.device, num_batches: int) -> float:
    """Pictures per second of `fit`."""
    model = build_network(device, torch.channels_last)
    moments: dict[int, float] = {}

    def note_time(progress: BatchProgress) -> None:
        if progress.step in (WARM_UP_BATCHES, progress.total_steps):
            moments[progress.step] = read_clock(device)

    total = WARM_UP_BATCHES + num_batches
    settings = TrainingSettings(epochs=1, learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, seed=SEED)
    fit(model, data.limit_train(total * BATCH_SIZE), settings, on_batch=note_time)
    return num_batches * BATCH_SIZE / (moments[total] - moments[WARM_UP_BATCHES])


def measure_plain_evaluation(settings: Settings, device: torch.device, num_workers: int) -> tuple[float, int]:
    """Pictures per second of the test split, and how many were right."""
    model = build_network(device, torch.contiguous_format).eval()
    loader = DataLoader(load_plain(settings, train=False), BATCH_SIZE, num_workers=num_workers)
    started = read_clock(device)
    num_correct = num_examples = 0
    with torch.no_grad():
        for images, labels in loader:
            num_correct += int((model(images.to(device)).argmax(1) == labels.to(device)).sum())
            num_examples += len(labels)
    return num_examples / (read_clock(device) - started), num_correct


def measure_evaluation(data: Dataset, device: torch.device, precision: Precision) -> tuple[float, int]:
    """The same of `evaluate`."""
    model = build_network(device, torch.channels_last)
    started = read_clock(device)
    evaluation = evaluate(model, data, data.test, precision)
    return evaluation.num_examples / (read_clock(device) - started), evaluation.num_correct


def measure_side(side: str, batches: int) -> dict[str, Any]:
    """Speeds and test pictures right of one side, in this process."""
    settings = Settings()
    torch.set_num_threads(settings.resolved_threads_per_slot)
    device = find_device()
    speeds: dict[str, float] = {}
    correct: dict[str, int] = {}
    if side == "plain":
        for workers, label in WORKERS.items():
            speeds[f"training: plain, {label}"] = measure_plain_training(settings, device, batches, workers)
            name = f"evaluation: plain, {label}"
            speeds[name], correct[name] = measure_plain_evaluation(settings, device, workers)
    else:
        data = load_dataset(
            "fashion_mnist", DatasetLocation(settings.resolved_dataset_dir, settings.dataset_mirror), SEED
        )
        speeds["training: fit"] = measure_training(data, device, batches)
        for precision, label in ((Precision.FLOAT32, "float32"), (Precision.AUTO, "auto precision")):
            name = f"evaluation: evaluate, {label}"
            speeds[name], correct[name] = measure_evaluation(data, device, precision)
    return {"speeds": speeds, "correct": correct}


def run_side(side: str, batches: int) -> dict[str, Any]:
    """`measure_side` in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_training", "--side", side, "--batches", str(batches)]
    environment = build_environment(Settings()) if side == "ours" else None
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=80, help="timed training batches per round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["plain", "ours"], help="measure one side here, and print it as JSON")
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure_side(arguments.side, arguments.batches)))
        return

    settings = Settings()
    # Fetches the files, where they are not there yet, before anything is timed.
    load_dataset("fashion_mnist", DatasetLocation(settings.resolved_dataset_dir, settings.dataset_mirror), SEED)
    values: dict[str, list[float]] = {}
    correct: dict[str, int] = {}
    for number in range(arguments.rounds):
        for side in ("plain", "ours"):
            measured = run_side(side, arguments.batches)
            correct |= measured["correct"]
            for name, speed in measured["speeds"].items():
                values.setdefault(name, []).append(speed)
                print(f"  round {number + 1}  {name:<38} {speed:>9,.0f} pictures/s", flush=True)
    # Faster counts only if it is the same computation.
    if abs(correct["evaluation: plain, no workers"] - correct["evaluation: evaluate, float32"]) > 2:
        raise SystemExit(f"the two evaluations disagree: {correct}")

    medians = {name: statistics.median(speeds) for name, speeds in values.items()}
    ratios: dict[str, Any] = {}
    for task, ours in (("training", "training: fit"), ("evaluation", "evaluation: evaluate, auto precision")):
        for workers in WORKERS.values():
            ratios[f"{task} against plain, {workers}"] = round(medians[ours] / medians[f"{task}: plain, {workers}"], 2)
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio}x")
    device = find_device()
    path = write_result(
        "training",
        {
            "pictures_per_second_median": {name: round(value) for name, value in medians.items()},
            "pictures_per_second_rounds": {name: [round(v) for v in speeds] for name, speeds in values.items()},
            "ratios": ratios,
            "test_pictures_right": correct,
        },
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
