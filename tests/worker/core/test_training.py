from __future__ import annotations

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
from worker.catalog import Optimizer, Precision
from worker.core.augmentation import count_views, show_view
from worker.core.datasets import Dataset, Split
from worker.core.models import build_model
from worker.core.training import (
    BatchProgress,
    SoftTargets,
    TrainingSettings,
    compute_learning_rate,
    compute_soft_targets,
    count_batches,
    evaluate,
    fit,
    split_batches,
)
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


def test_soft_targets_are_the_teachers_logits_as_stored_and_mirrored(digits: Dataset) -> None:
    data, teacher = replace(digits.limit_train(5), is_mirrorable=True), build_network().eval()
    targets = compute_soft_targets(teacher, data).logits  # Not shifted: two views.
    with torch.no_grad():
        expected = [teacher(data.normalize(images)) for images in (data.train.images, data.train.images.flip(3))]
    # The fast precision may be bfloat16.
    torch.testing.assert_close(targets, torch.stack(expected), atol=0.05, rtol=0.05)


def test_the_teacher_is_not_asked_about_mirrored_digits(digits: Dataset) -> None:
    asked: list[tuple[int, int]] = []
    teacher = build_network().eval()
    targets = compute_soft_targets(
        teacher, digits.limit_train(5), 1, on_view=lambda number, count: asked.append((number, count))
    )
    assert asked == [(number, 18) for number in range(1, 18, 2)]
    assert not targets.logits[1::2].any()
    assert targets.logits[::2].flatten(1).any(1).all()


def test_a_student_follows_its_teacher_alone_when_asked(digits: Dataset) -> None:
    # Every picture is a "3" to this teacher: with no share left for the labels, the student says so too.
    logits = torch.full((2, len(digits.train), 10), -5.0)
    logits[:, :, 3] = 5.0
    model = build_linear()
    settings = TrainingSettings(epochs=2, learning_rate=0.03, batch_size=64, distillation_weight=1.0)
    fit(model, digits, settings, soft_targets=SoftTargets(logits))
    with torch.no_grad():
        said = model(digits.normalize(digits.test.images)).argmax(1)
    # One in ten where it listened to the labels.
    assert (said == 3).float().mean() > 0.75


def test_a_student_of_shifted_pictures_learns_what_was_said_of_each_shift(digits: Dataset) -> None:
    # This teacher calls every picture a "3" where it is moved down and else a "5": a student that was told what is said
    # of some other view of its picture would find both as likely everywhere.
    rows = torch.arange(count_views(2)) // 2 // 5
    logits = torch.full((count_views(2), len(digits.train), 10), -5.0)
    logits[rows < 2, :, 3] = 5.0
    logits[rows >= 2, :, 5] = 5.0
    model = build_linear()
    settings = TrainingSettings(epochs=6, learning_rate=0.03, batch_size=32, distillation_weight=1.0, max_shift=2)
    fit(model, digits, settings, soft_targets=SoftTargets(logits, 2))
    with torch.no_grad():
        for row, wanted in ((0, 3), (4, 5)):
            shown = show_view(digits.test.images, 2 * (5 * row + 2), 2)
            said = model(digits.normalize(shown)).argmax(1)
            # Half of them where it was told of another view.
            assert (said == wanted).float().mean() > 0.75


def test_what_a_teacher_says_of_plain_pictures_is_among_what_it_says_of_all_views(digits: Dataset) -> None:
    teacher = build_network()
    for data in (digits, replace(digits, is_mirrorable=True)):
        plain = compute_soft_targets(teacher, data, 2).select_plain()
        assert plain.max_shift == 0
        assert torch.equal(plain.logits, compute_soft_targets(teacher, data).logits)


def test_soft_targets_refuse_pictures_that_are_shifted_otherwise(digits: Dataset) -> None:
    settings = TrainingSettings(epochs=1, learning_rate=0.1, max_shift=1)
    with pytest.raises(ValueError, match="shifted"):
        fit(build_network(), digits, settings, soft_targets=SoftTargets(torch.zeros(2, len(digits.train), 10)))


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
