"""Training and evaluation of `fashion_cnn` against the plain loop, on one machine in one run.

The plain loop is the one of every tutorial: torchvision's data set with ToTensor and Normalize for each picture, a
DataLoader, float32, SGD. Both sides train the same network with the same batch size and optimizer; ours also
augments, as `train` does by default. Rounds alternate, so that a drift of the machine hits both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
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
from worker.core.datasets import Dataset, load_dataset
from worker.core.device import describe_device, find_device, resolve_precision
from worker.core.models import build_model
from worker.core.training import BatchProgress, TrainingSettings, evaluate, fit

SEED = 0
BATCH_SIZE = 256
WARM_UP_BATCHES = 5
LEARNING_RATE = 0.05


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


def run_rounds(measurements: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Every measurement once per round, in turn."""
    values: dict[str, list[float]] = {name: [] for name in measurements}
    for number in range(rounds):
        for name, measure in measurements.items():
            values[name].append(measure())
            print(f"  round {number + 1}  {name:<38} {values[name][-1]:>9,.0f} pictures/s", flush=True)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=80, help="timed training batches per round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    settings = Settings()
    torch.set_num_threads(settings.resolved_threads_per_slot)
    device = find_device()
    data = load_dataset("fashion_mnist", settings.resolved_dataset_dir, settings.dataset_mirror, SEED)
    batches = arguments.batches
    correct: dict[str, int] = {}

    def keep_correct(name: str, measured: tuple[float, int]) -> float:
        speed, correct[name] = measured
        return speed

    measurements: dict[str, Callable[[], float]] = {
        "training: plain, no workers": lambda: measure_plain_training(settings, device, batches, 0),
        "training: plain, 2 workers": lambda: measure_plain_training(settings, device, batches, 2),
        "training: fit": lambda: measure_training(data, device, batches),
        "evaluation: plain, no workers": lambda: keep_correct("plain", measure_plain_evaluation(settings, device, 0)),
        "evaluation: plain, 2 workers": lambda: keep_correct("plain2", measure_plain_evaluation(settings, device, 2)),
        "evaluation: evaluate, float32": lambda: keep_correct(
            "float32", measure_evaluation(data, device, Precision.FLOAT32)
        ),
        "evaluation: evaluate, auto precision": lambda: keep_correct(
            "auto", measure_evaluation(data, device, Precision.AUTO)
        ),
    }
    values = run_rounds(measurements, arguments.rounds)
    # Faster counts only if it is the same computation.
    if abs(correct["plain"] - correct["float32"]) > 2:
        raise SystemExit(f"the two evaluations disagree: {correct}")

    medians = {name: statistics.median(speeds) for name, speeds in values.items()}
    ratios: dict[str, Any] = {}
    for task, ours in (("training", "training: fit"), ("evaluation", "evaluation: evaluate, auto precision")):
        for workers in ("no workers", "2 workers"):
            ratios[f"{task} against plain, {workers}"] = round(medians[ours] / medians[f"{task}: plain, {workers}"], 2)
    for name, ratio in ratios.items():
        print(f"  {name}: {ratio}x")
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
            "threads": torch.get_num_threads(),
            "precision": resolve_precision(Precision.AUTO, device),
            "batch_size": BATCH_SIZE,
            "timed_batches": batches,
            "rounds": arguments.rounds,
        },
    )
    print(f"  written to {path.name}")


if __name__ == "__main__":
    main()
