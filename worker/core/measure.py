"""What a network costs: the size ledger, latency. And its metrics with their uncertainty."""

from __future__ import annotations

import copy
import hashlib
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from sklearn.metrics import classification_report, confusion_matrix
from torch import nn

from worker.catalog import HealthProblem
from worker.core.baseline import Baseline
from worker.core.checkpoint import count_checkpoint_bytes, describe_checkpoint
from worker.core.device import describe_device, device_of
from worker.core.graph import list_layers
from worker.core.health import Health, find_dead_layers, judge_health
from worker.core.models import get_architecture
from worker.core.training import Evaluation, balance_accuracy, compute_logits, evaluate, evaluate_logits, find_right
from worker.datasets import Dataset, Split, lay_channels_last
from worker.environment import find_processor
from worker.intervals import compute_wilson_interval
from worker.machine_load import Moment, measure_load, read_moment
from worker.model_description import FLOAT_BITS
from worker.paired import Correctness

LEAST_TIMED_S = 0.3
"""A shorter time is too short for the system's own clock to tell what else ran meanwhile."""
MOST_TIMED_S = 2.0
"""After so long it ends with LEAST_PASSES, which the intervals of slower networks say by their width."""
LEAST_PASSES = 10
WARM_UP = 5
"""Passes before the ones that count."""
LARGEST_BATCH = 64
LARGEST_PASS_MACS = 1 << 31
"""Of a batch: of a network that takes more for a picture, fewer are timed at once."""
WATCHED_EXAMPLES = 256
"""Pictures on which layers are watched for being dead."""


def compute_float_sizes(model: nn.Module) -> dict[str, int]:
    """Bytes of a float network by the measures that need no file.

    formula: its weights alone at 32 bits. packed: per layer the smaller of all weights, or a bit mask with the
    non-zero ones; everything else at 32 bits. entropy: the same, with the mask at its order-0 entropy.
    """
    weights = [layer.weight.detach() for layer in list_layers(model).values()]
    num_weights = sum(weight.numel() for weight in weights)
    others = sum(value.numel() for value in _float_tensors(model)) - num_weights
    packed_bits = entropy_bits = float(others * FLOAT_BITS)
    for weight in weights:
        total, kept = weight.numel(), int((weight != 0).sum())
        packed_bits += min(total * FLOAT_BITS, total + kept * FLOAT_BITS)
        entropy_bits += total * _binary_entropy(kept / total) + kept * FLOAT_BITS
    return {
        "formula": num_weights * FLOAT_BITS // 8,
        "packed": math.ceil(packed_bits / 8),
        "entropy": math.ceil(entropy_bits / 8),
    }


def _float_tensors(model: nn.Module) -> list[torch.Tensor]:
    return [value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")]


def _binary_entropy(p: float) -> float:
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@torch.inference_mode()
def measure_latencies(
    models: Sequence[nn.Module], input_shape: tuple[int, int, int], *, batch_size: int, repeats: int = 40
) -> list[dict[str, Any]]:
    """Milliseconds of one forward pass of a batch in float32, for each model: the median with its 95 % interval, and
    the 95th percentile, of `repeats` passes or more; of fewer, but LEAST_PASSES, where they take MOST_TIMED_S.

    The models take turns, pass by pass, so that a machine that gets slower meanwhile is slower for all of them. Only
    times of one `run_id` can be held against each other; `load` says what else the machine did.
    """
    device = device_of(models[0])
    x = lay_channels_last(torch.randn(batch_size, *input_shape, device=device))
    times: list[list[float]] = [[] for _ in models]
    before = read_moment()
    while not _is_timed(len(times[0]) - WARM_UP, time.perf_counter() - before.wall_s, repeats):
        for model, taken in zip(models, times, strict=True):
            started = time.perf_counter()
            model.eval()(x)
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken.append((time.perf_counter() - started) * 1000)
    run = describe_run(before, batch_size=batch_size, threads=torch.get_num_threads(), device=describe_device(device))
    return [describe_times(taken[WARM_UP:]) | run for taken in times]


def describe_run(before: Moment, *, batch_size: int, threads: int, device: str) -> dict[str, Any]:
    """What all times that were taken together share, `load` since `before` included."""
    return {
        "batch_size": batch_size,
        "threads": threads,
        "device": device,
        "processor": find_processor(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run_id": uuid.uuid4().hex[:12],
        "load": measure_load(before).to_json(),
    }


def _is_timed(num_passes: int, seconds: float, repeats: int) -> bool:
    if seconds >= MOST_TIMED_S:
        return num_passes >= min(LEAST_PASSES, repeats)
    return num_passes >= repeats and seconds >= LEAST_TIMED_S


def choose_batch(macs: int) -> int:
    """Pictures that are timed at once of a network with so many multiply-accumulates for one: a power of two."""
    return 1 << max(1, min(LARGEST_BATCH, LARGEST_PASS_MACS // max(1, macs))).bit_length() - 1


def describe_times(times: Sequence[float]) -> dict[str, Any]:
    """Milliseconds of single passes → the median, its 95 % interval (by order statistics), the 95th percentile."""
    ordered, reach = sorted(times), 0.98 * math.sqrt(len(times))
    low, high = math.floor(len(times) / 2 - reach), math.ceil(len(times) / 2 + reach)
    return {
        "median_ms": round(float(np.median(ordered)), 3),
        "median_interval_ms": [round(ordered[max(0, low - 1)], 3), round(ordered[min(high, len(times) - 1)], 3)],
        "p95_ms": round(float(np.percentile(ordered, 95)), 3),
        "passes": len(times),
    }


def describe_evaluation(evaluation: Evaluation, balanced_accuracy: float) -> dict[str, Any]:
    """An evaluation as JSON, with its interval."""
    return {
        "num_correct": evaluation.num_correct,
        "num_examples": evaluation.num_examples,
        "accuracy": evaluation.accuracy,
        "balanced_accuracy": balanced_accuracy,
        "loss": evaluation.loss if math.isfinite(evaluation.loss) else None,
        "interval": list(compute_wilson_interval(evaluation.num_correct, evaluation.num_examples)),
    }


@dataclass(frozen=True)
class Metrics:
    """Everything measured of a final model on the test set; matrix[i, j] counts class i taken for class j."""

    validation: Evaluation
    test: Evaluation
    report: dict[str, Any]
    matrix: np.ndarray[Any, np.dtype[np.int64]]
    correctness: Mapping[str, Correctness]
    """Split → which of its pictures are answered rightly."""
    balanced_accuracy: Mapping[str, float]
    """By split."""
    health: Health
    """On validation, which decides; answers that are not finite are counted on both."""

    def to_json(self) -> dict[str, Any]:
        """`evaluation` of a model's summary."""
        average = self.report["macro avg"]
        return {
            "validation": describe_evaluation(self.validation, self.balanced_accuracy["validation"]),
            "test": describe_evaluation(self.test, self.balanced_accuracy["test"])
            | {
                "precision_macro": average["precision"],
                "recall_macro": average["recall"],
                "f1_macro": average["f1-score"],
            },
        }


def measure_metrics(model: nn.Module, data: Dataset) -> Metrics:
    """Evaluates in float32 (or, for an integer network, in its integers) on validation and test."""
    splits = {"validation": data.validation, "test": data.test}
    logits = {name: compute_logits(model, data, split) for name, split in splits.items()}
    predicted, labels = logits["test"].argmax(1).cpu().numpy(), data.test.labels.numpy()
    classes = list(range(len(data.class_names)))
    report = classification_report(
        labels, predicted, labels=classes, target_names=list(data.class_names), output_dict=True, zero_division=0.0
    )
    validation, test = (evaluate_logits(logits[name], split) for name, split in splits.items())
    correctness = {name: record_correctness(logits[name], split) for name, split in splits.items()}
    balanced = {name: balance_accuracy(logits[name], split) for name, split in splits.items()}
    health = look_at_health(model, data, data.validation, logits["validation"])
    not_finite = count_not_finite(logits["test"])
    if not_finite:
        problems = (*(one for one in health.problems if one is not HealthProblem.NOT_FINITE), HealthProblem.NOT_FINITE)
        health = replace(health, problems=problems, num_not_finite=health.num_not_finite + not_finite)
    matrix = confusion_matrix(labels, predicted, labels=classes)
    return Metrics(validation, test, report, matrix, correctness, balanced, health)


def look_at_health(model: nn.Module, data: Dataset, split: Split, logits: torch.Tensor) -> Health:
    """logits: (N, num_classes) of `split`, in its order; the layers are watched on some of its pictures."""
    num_classes = len(data.class_names)
    answered = logits.argmax(1).bincount(minlength=num_classes).tolist()
    labelled = split.labels.bincount(minlength=num_classes).tolist()
    num_correct = int(find_right(logits, split).sum())
    dead_layers = find_dead_layers(model, data.normalize(split.images[:WATCHED_EXAMPLES].to(device_of(model))))
    return judge_health(answered, labelled, num_correct, dead_layers, count_not_finite(logits))


def count_not_finite(logits: torch.Tensor) -> int:
    """Pictures to which an answer is no finite number. logits: (N, num_classes)."""
    return int((~logits.isfinite().all(1)).sum())


def record_correctness(logits: torch.Tensor, split: Split) -> Correctness:
    """Which pictures are answered rightly. logits: (N, num_classes) of `split`, in its order."""
    right = np.packbits(find_right(logits, split).cpu().numpy(), bitorder="little")
    pictures = hashlib.sha256(split.images.contiguous().numpy().tobytes()).hexdigest()[:16]
    return Correctness(pictures, len(split), int.from_bytes(right.tobytes(), "little"))


def measure_baseline(model: nn.Module, data: Dataset, origin: str | None = None) -> Baseline:
    """Evaluates a float network on validation and test, so that a compression can start from it.

    origin: where a network comes from that is of no architecture of ours: `onnx` or `torchvision:NAME`. Raises
    InvalidModel where such a one has none.
    """
    info = describe_checkpoint(model, get_architecture(model) if origin is None else origin, data)
    validation, test = (evaluate(model, data, split) for split in (data.validation, data.test))
    return Baseline(
        copy.deepcopy(model).eval(), info, data, validation, test, count_checkpoint_bytes(info, info.widths)
    )
