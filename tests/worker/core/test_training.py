from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from storage.errors import Diverged
from tests.variants import SEED
from worker.catalog import ClassWeighting, Optimizer, Precision
from worker.core.models import build_model
from worker.core.training import (
    BatchProgress,
    TrainingSettings,
    compute_learning_rate,
    count_batches,
    evaluate,
    fit,
    split_batches,
)
from worker.datasets import Dataset, Split
from worker.learning import EpochRecord, History


class Interrupted(Exception):
    """Stands for whatever ends a process in the middle of a fit."""


def build_network() -> nn.Module:
    torch.manual_seed(SEED)
    return build_model("mlp", (16,))


def build_linear() -> nn.Module:
    """What it learns is certain: nothing in it can die, and there is one optimum."""
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))


def train(data: Dataset, resume_file: Path | None = None, *, stop_after: int = 99, **changes: object) -> nn.Module:
    """A small network trained for four epochs in float32; `stop_after` epochs it is interrupted."""
    model = build_network()
    fields = {
        "epochs": 4,
        "learning_rate": 0.05,
        "batch_size": 64,
        "precision": Precision.FLOAT32,
        "seed": SEED,
    } | changes

    def on_epoch(record: EpochRecord, _progress: BatchProgress) -> None:
        if record.epoch == stop_after:
            raise Interrupted

    fit(model, data, TrainingSettings(**fields), on_epoch=on_epoch, resume_file=resume_file)  # type: ignore[arg-type]
    return model


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nearly_zero() -> None:
    settings = TrainingSettings(epochs=1, learning_rate=1.0, warmup=0.2)
    rates = [compute_learning_rate(settings, step, 10) for step in range(10)]
    # Two steps of warm-up to a peak at the third, then eight equal steps down.
    assert rates == pytest.approx([1 / 3, 2 / 3, 8 / 8, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(digits: Dataset) -> None:
    data = digits.limit_train(200)
    assert same(train(data), train(data))
    assert not same(train(data), train(data, seed=SEED + 1))


@pytest.mark.parametrize("keep_best", [True, False])
@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_a_fit_that_was_interrupted_ends_as_if_it_had_not_been(
    digits: Dataset, tmp_path: Path, optimizer: Optimizer, keep_best: bool
) -> None:
    data, file = digits.limit_train(200), tmp_path / "training.state"
    choices: dict[str, Any] = {"optimizer": optimizer, "keep_best": keep_best, "learning_rate": 0.01, "max_shift": 1}
    with pytest.raises(Interrupted):
        train(data, file, stop_after=2, **choices)
    assert same(train(data, file, **choices), train(data, **choices))


def test_evaluation_is_what_a_loop_over_the_pictures_counts(digits: Dataset) -> None:
    model = build_network().train()
    losses, num_correct = [], 0
    with torch.no_grad():
        for image, label in zip(digits.validation.images, digits.validation.labels, strict=True):
            logits = model((image.float()[None] / 255 - digits.mean[0]) / digits.std[0])
            losses.append(F.cross_entropy(logits, label[None]).item())
            num_correct += int(logits.argmax() == label)
    evaluation = evaluate(model, digits, digits.validation)
    assert (evaluation.num_correct, evaluation.num_examples) == (num_correct, 150)
    assert evaluation.loss == pytest.approx(math.fsum(losses) / 150, rel=1e-5)
    assert model.training


def test_training_learns(digits: Dataset) -> None:
    model = build_linear()
    fit(model, digits, TrainingSettings(epochs=4, learning_rate=0.03, batch_size=64, flip=False, seed=SEED))
    # One in ten by chance.
    assert evaluate(model, digits, digits.test).accuracy > 0.5


def test_the_model_ends_with_the_epoch_that_was_best_on_validation(digits: Dataset) -> None:
    model = build_network()
    history = fit(model, digits, TrainingSettings(epochs=5, learning_rate=0.3, batch_size=64, flip=False))
    accuracies = [record.validation_accuracy for record in history.epochs]
    assert history.best_epoch == accuracies.index(max(accuracies)) + 1
    assert evaluate(model, digits, digits.validation, Precision.AUTO).accuracy == max(accuracies)


def test_training_stops_when_patience_ends(digits: Dataset) -> None:
    model, frozen = build_network(), 1e-12
    history: History = fit(model, digits.limit_train(64), TrainingSettings(epochs=50, learning_rate=frozen, patience=2))
    assert (len(history.epochs), history.best_epoch) == (3, 1)


def test_a_rate_far_too_high_is_told_as_divergence(digits: Dataset) -> None:
    with pytest.raises(Diverged):
        train(digits, learning_rate=1e30, warmup=0.0)


def leave_few(data: Dataset, kept: int) -> Dataset:
    """Black pictures of two classes, of whose second so many are left of a hundred in training."""

    def select(count: int) -> Split:
        labels = (torch.arange(100 + count) >= 100).long()
        return Split(torch.zeros(len(labels), 1, 28, 28, dtype=torch.uint8), labels)

    return replace(data, train=select(kept), validation=select(kept), test=select(kept), class_names=("many", "few"))


def test_balanced_weighting_says_of_what_cannot_be_told_apart_that_both_are_as_likely(digits: Dataset) -> None:
    def learn(weighting: ClassWeighting) -> float:
        model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2))
        settings = TrainingSettings(
            epochs=20, learning_rate=0.01, batch_size=10, seed=SEED, class_weighting=weighting, weight_decay=0.0,
            precision=Precision.FLOAT32, keep_best=False,
        )  # fmt: skip
        fit(model, data, settings)
        with torch.no_grad():
            return float(model(data.normalize(data.test.images[:1])).softmax(1)[0, 1])

    data = leave_few(digits, 10)
    # 10 of 110 pictures are of the second class.
    assert learn(ClassWeighting.NONE) == pytest.approx(1 / 11, abs=0.08)
    assert learn(ClassWeighting.BALANCED) == pytest.approx(1 / 2, abs=0.2)


def test_what_is_weighed_is_judged_by_the_mean_over_the_classes(digits: Dataset) -> None:
    data = leave_few(digits, 10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 2))
    histories = {
        weighting: fit(
            copy.deepcopy(model), data, TrainingSettings(1, 0.001, batch_size=110, class_weighting=weighting)
        )
        for weighting in ClassWeighting
    }
    records = {weighting: history.epochs[0] for weighting, history in histories.items()}
    # Whatever is answered, all get the same answer.
    assert records[ClassWeighting.BALANCED].balanced_validation_accuracy == 0.5
    assert records[ClassWeighting.NONE].balanced_validation_accuracy is None
    outcomes = {weighting: history.outcome for weighting, history in histories.items()}
    balanced, plain = outcomes[ClassWeighting.BALANCED], outcomes[ClassWeighting.NONE]
    assert balanced is not None
    assert plain is not None
    assert (balanced.chance_accuracy, balanced.start_accuracy) == (0.5, 0.5)
    assert plain.chance_accuracy == 100 / 110


@given(st.integers(1, 300), st.integers(1, 130))
def test_batches_hold_each_row_once_and_none_is_of_a_single_one(num_rows: int, batch_size: int) -> None:
    batches = split_batches(torch.arange(num_rows), batch_size)
    assert torch.cat(batches).tolist() == list(range(num_rows))
    assert len(batches) == count_batches(num_rows, batch_size)
    assert all(len(batch) == batch_size for batch in batches[:-1])
    if num_rows > 1 < batch_size:
        assert all(2 <= len(batch) <= batch_size + 1 for batch in batches)


def test_a_batch_norm_over_single_values_is_trained_whatever_is_left_of_the_pictures(digits: Dataset) -> None:
    torch.manual_seed(SEED)
    model = nn.Sequential(nn.Conv2d(1, 4, 28), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10))
    few = replace(digits, train=Split(digits.train.images[:33], digits.train.labels[:33]))
    history = fit(model, few, TrainingSettings(epochs=1, learning_rate=0.01, batch_size=16, flip=False))
    assert len(history.epochs) == 1


def test_pictures_are_changed_as_suits_the_data_set_unless_asked_otherwise(digits: Dataset) -> None:
    clothes = replace(digits.limit_train(100), is_mirrorable=True)
    asked: dict[str, Any] = {"epochs": 1, "learning_rate": 0.05}
    assert same(train(clothes, **asked), train(clothes, flip=True, max_shift=0, **asked))
    assert same(train(digits.limit_train(100), **asked), train(digits.limit_train(100), flip=False, **asked))
    assert not same(train(clothes, **asked), train(clothes, flip=False, **asked))
    assert not same(train(clothes, **asked), train(clothes, max_shift=2, **asked))
