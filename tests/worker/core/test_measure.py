from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.variants import SEED
from worker.catalog import Architecture
from worker.class_scores import compute_balanced_accuracy
from worker.core.measure import (
    LEAST_PASSES,
    choose_batch,
    compute_float_sizes,
    measure_latencies,
    measure_metrics,
)
from worker.core.models import build_model
from worker.core.training import Evaluation, balance_accuracy, evaluate_logits
from worker.datasets import Dataset
from worker.intervals import compute_wilson_interval
from worker.model_description import build_ledger
from worker.network.architectures import describe_network
from worker.paired import compute_drop


@pytest.mark.parametrize(
    ("correct", "examples", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_is_the_one_of_newcombes_table(correct: int, examples: int, low: float, high: float) -> None:
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    assert compute_wilson_interval(correct, examples) == pytest.approx((low, high), abs=5e-5)


def test_a_drop_is_in_percentage_points_and_a_gain_is_negative() -> None:
    baseline = Evaluation(0.2, 9300, 10_000)
    assert compute_drop(baseline, Evaluation(0.2, 9200, 10_000)) == pytest.approx(1.0)
    assert compute_drop(baseline, Evaluation(0.2, 4700, 5_000)) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("architecture", "macs"),
    [
        # Output pixels x output channels x weights of one output channel.
        ("fashion_cnn", [28 * 28 * 32 * 9, 14 * 14 * 64 * 32 * 9, 3136 * 128, 128 * 10]),
        ("lenet5", [28 * 28 * 6 * 25, 10 * 10 * 16 * 6 * 25, 400 * 120, 120 * 84, 84 * 10]),
        ("mlp", [784 * 300, 300 * 100, 100 * 10]),
        # A depthwise filter reads one channel alone.
        (
            "depthwise_cnn",
            [14 * 14 * 24 * 9, 14 * 14 * 24 * 9, 14 * 14 * 48 * 24, 7 * 7 * 48 * 9, 7 * 7 * 96 * 48, 96 * 10],
        ),
        (
            "resnet_small",
            [
                14 * 14 * 16 * 9, 14 * 14 * 16 * 16 * 9, 14 * 14 * 16 * 16 * 9,
                7 * 7 * 32 * 16 * 9, 7 * 7 * 32 * 32 * 9, 7 * 7 * 32 * 16, 32 * 10,
            ],
        ),
    ],
)  # fmt: skip
def test_macs_are_counted_as_by_hand(architecture: str, macs: list[int]) -> None:
    assert sorted(describe_network(architecture).macs.values()) == sorted(macs)


def test_a_ledger_counts_1024_bytes_to_the_kb_and_ratios_against_the_reference() -> None:
    ledger = build_ledger({"float32": 4096, "file": 1536, "formula": 0}, reference_bytes=4096)
    assert ledger == {
        "reference_bytes": 4096,
        "entries": [
            {"measure": "float32", "bytes": 4096, "kb": 4.0, "ratio": 1.0},
            {"measure": "file", "bytes": 1536, "kb": 1.5, "ratio": 2.67},
            {"measure": "formula", "bytes": 0, "kb": 0.0, "ratio": None},
        ],
    }


def test_sizes_of_a_float_network_by_hand() -> None:
    # 16 -> 2 -> 2: weights 32 + 4, biases 2 + 2.
    model = build_model("mlp", (2,), input_shape=(1, 4, 4), num_classes=2)
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    assert compute_float_sizes(model) == {"formula": 36 * 4, "packed": 40 * 4, "entropy": 40 * 4}
    first = model.get_parameter("layers.0.weight")
    with torch.no_grad():
        first.flatten()[4:] = 0
    # Packed: mask 32 + 4 * 32 bits, second layer 4 * 32, biases 4 * 32: 416 bits. Entropy of the mask:
    # 32 * H(1/8) = 17.4 bits instead of 32: 401.4 bits, the started byte counted whole.
    assert compute_float_sizes(model) == {"formula": 36 * 4, "packed": 52, "entropy": 51}


def test_metrics_count_what_a_loop_over_the_pictures_counts(digits: Dataset) -> None:
    torch.manual_seed(SEED)
    model = build_model(Architecture.MLP, (8,)).eval()
    matrix = np.zeros((10, 10), dtype=np.int64)
    with torch.no_grad():
        for image, label in zip(digits.test.images, digits.test.labels, strict=True):
            matrix[int(label), int(model(digits.normalize(image[None])).argmax())] += 1
    metrics = measure_metrics(model, digits)
    assert metrics.matrix.tolist() == matrix.tolist()
    assert (metrics.test.num_correct, metrics.test.num_examples) == (int(np.trace(matrix)), 360)
    assert metrics.report["3"]["support"] == matrix[3].sum()
    recalls = np.diag(matrix) / matrix.sum(1)
    told = metrics.to_json()
    assert told["test"]["recall_macro"] == pytest.approx(recalls.mean())
    assert told["test"]["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert told["validation"]["balanced_accuracy"] == metrics.balanced_accuracy["validation"]


def test_in_the_balanced_accuracy_classes_with_pictures_count_the_same_and_others_do_not() -> None:
    labels, answered = np.array([0, 0, 0, 0, 1, 1, 3]), np.array([0, 0, 0, 2, 1, 0, 2])
    # 3 of 4, 1 of 2, 0 of 1; of the class 2 there is no picture, and it is answered all the same.
    expected = (3 / 4 + 1 / 2 + 0) / 3
    assert compute_balanced_accuracy(answered == labels, labels) == pytest.approx(expected)


def test_who_answers_no_number_is_right_about_no_class(digits: Dataset) -> None:
    logits = torch.full((len(digits.test), 10), math.nan)
    assert (balance_accuracy(logits, digits.test), evaluate_logits(logits, digits.test).accuracy) == (0.0, 0.0)


class Waiting(nn.Module):
    """Takes at least so long, whatever else the machine does."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seconds = seconds
        self.batches: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(tuple(x.shape))
        time.sleep(self.seconds)
        return x


def test_latencies_are_each_networks_own_and_name_what_they_were_measured_with() -> None:
    quick, slow = Waiting(0.0), Waiting(0.05)
    latencies = measure_latencies([quick, slow, quick], (1, 28, 28), batch_size=2, repeats=3)
    # No upper bound: a busy machine may stop a quick one for longer than a slow one waits.
    assert latencies[1]["median_ms"] >= 50
    assert all(0 < latency["median_ms"] <= latency["p95_ms"] for latency in latencies)
    assert set(quick.batches + slow.batches) == {(2, 1, 28, 28)}
    assert len(quick.batches) == 2 * len(slow.batches)
    assert {(latency["batch_size"], latency["threads"]) for latency in latencies} == {(2, torch.get_num_threads())}
    assert latencies[0]["device"]


@pytest.mark.slow
def test_slow_networks_are_timed_for_seconds_and_not_for_minutes() -> None:
    waiting = Waiting(0.1)
    (latency,) = measure_latencies([waiting], (1, 28, 28), batch_size=2, repeats=10_000)
    assert LEAST_PASSES <= latency["passes"] < 1000
    low, high = latency["median_interval_ms"]
    assert 100 <= low <= latency["median_ms"] <= high


# resnet18 takes 148 million for a picture of 64x64, our largest network 4.2 for one of 28x28.
@pytest.mark.parametrize(("macs", "batch"), [(4_241_152, 64), (148_047_360, 8), (3 << 30, 1), (0, 64)])
def test_fewer_pictures_are_timed_at_once_the_more_one_costs(macs: int, batch: int) -> None:
    assert choose_batch(macs) == batch


@pytest.mark.slow
@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_a_drop_is_counted_and_divided_once(counts: tuple[int, int, int]) -> None:
    num_examples, before, after = counts
    drop = compute_drop(Evaluation(0.0, before, num_examples), Evaluation(0.0, after, num_examples))
    assert drop == float(Fraction(100 * (before - after), num_examples))
