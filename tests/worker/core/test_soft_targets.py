"""What a teacher says of every view of every picture, and who learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.variants import SEED
from worker.core.augmentation import augment_batch, count_views, show_view
from worker.core.models import build_model
from worker.core.soft_targets import MAX_TARGET_BYTES, AskedTargets, StoredTargets, compute_soft_targets
from worker.core.training import SoftTargets, TrainingSettings, fit
from worker.datasets import Dataset, Split


def build_network() -> nn.Module:
    torch.manual_seed(SEED)
    return build_model("mlp", (16,))


def build_linear(num_pixels: int = 28 * 28) -> nn.Module:
    """What it learns is certain: nothing in it can die, and there is one optimum."""
    torch.manual_seed(SEED)
    return nn.Sequential(nn.Flatten(), nn.Linear(num_pixels, 10))


def colour(data: Dataset) -> Dataset:
    """The same pictures in three channels, as photographs are."""

    def spread(split: Split) -> Split:
        return Split(split.images.repeat(1, 3, 1, 1), split.labels)

    return replace(data, train=spread(data.train), validation=spread(data.validation), test=spread(data.test))


def read_stored(targets: SoftTargets) -> torch.Tensor:
    assert isinstance(targets, StoredTargets)
    return targets.logits


def test_soft_targets_are_the_teachers_logits_as_stored_and_mirrored(digits: Dataset) -> None:
    data, teacher = replace(digits.limit_train(5), is_mirrorable=True), build_network().eval()
    targets = read_stored(compute_soft_targets(teacher, data))  # Not shifted: two views.
    with torch.no_grad():
        expected = [teacher(data.normalize(images)) for images in (data.train.images, data.train.images.flip(3))]
    # The fast precision may be bfloat16.
    torch.testing.assert_close(targets, torch.stack(expected), atol=0.05, rtol=0.05)


def test_the_teacher_is_not_asked_about_mirrored_digits(digits: Dataset) -> None:
    asked: list[tuple[int, int]] = []
    teacher = build_network().eval()
    targets = read_stored(
        compute_soft_targets(
            teacher, digits.limit_train(5), 1, on_view=lambda number, count: asked.append((number, count))
        )
    )
    assert asked == [(number, 18) for number in range(1, 18, 2)]
    assert not targets[1::2].any()
    assert targets[::2].flatten(1).any(1).all()


def test_a_student_follows_its_teacher_alone_when_asked(digits: Dataset) -> None:
    # Every picture is a "3" to this teacher: with no share left for the labels, the student says so too.
    logits = torch.full((2, len(digits.train), 10), -5.0)
    logits[:, :, 3] = 5.0
    model = build_linear()
    settings = TrainingSettings(epochs=2, learning_rate=0.03, batch_size=64, distillation_weight=1.0)
    fit(model, digits, settings, soft_targets=StoredTargets(logits))
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
    fit(model, digits, settings, soft_targets=StoredTargets(logits, 2))
    with torch.no_grad():
        for row, wanted in ((0, 3), (4, 5)):
            shown = show_view(digits.test.images, 2 * (5 * row + 2), 2)
            said = model(digits.normalize(shown)).argmax(1)
            # Half of them where it was told of another view.
            assert (said == wanted).float().mean() > 0.75


def test_what_a_teacher_says_of_plain_pictures_is_among_what_it_says_of_all_views(digits: Dataset) -> None:
    teacher = build_network()
    for data in (digits, replace(digits, is_mirrorable=True)):
        plain = compute_soft_targets(teacher, data, 1).select_plain()
        assert plain.max_shift == 0
        assert torch.equal(read_stored(plain), read_stored(compute_soft_targets(teacher, data)))


def test_soft_targets_refuse_pictures_that_are_shifted_otherwise(digits: Dataset) -> None:
    settings = TrainingSettings(epochs=1, learning_rate=0.1, max_shift=1)
    with pytest.raises(ValueError, match="shifted"):
        fit(build_network(), digits, settings, soft_targets=StoredTargets(torch.zeros(2, len(digits.train), 10)))


def test_a_teacher_that_is_asked_of_a_batch_says_what_it_would_have_said_beforehand(digits: Dataset) -> None:
    data, teacher = replace(digits.limit_train(50), is_mirrorable=True), build_network().eval()
    rows = torch.arange(50)
    images, views = augment_batch(data.train.images, torch.Generator().manual_seed(SEED), flip=True, max_shift=1)
    x = data.normalize(images)
    said = [
        targets.find(x, views, rows) for targets in (compute_soft_targets(teacher, data, 1), AskedTargets(teacher, 1))
    ]
    # The fast precision may be bfloat16.
    torch.testing.assert_close(said[0], said[1], atol=0.05, rtol=0.05)


def test_of_photographs_that_are_cropped_the_teacher_is_asked_in_each_batch(digits: Dataset) -> None:
    data = colour(digits.limit_train(64))
    teacher = build_linear(3 * 28 * 28)
    targets = compute_soft_targets(teacher, data)
    assert isinstance(targets, AskedTargets)
    assert targets.max_shift == 3  # an eighth of 28
    assert targets.select_plain().max_shift == 0
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        teacher[1].bias[3] = 10.0  # type: ignore[index]
    model = build_linear(3 * 28 * 28)
    settings = TrainingSettings(epochs=8, learning_rate=0.03, batch_size=16, distillation_weight=1.0)
    fit(model, data, settings, soft_targets=targets)
    with torch.no_grad():
        said = model(data.normalize(data.test.images)).argmax(1)
    # Every picture is a "3" to this teacher; one in ten where the student listened to the labels.
    assert (said == 3).float().mean() > 0.75


def test_what_would_take_too_much_memory_beforehand_is_asked_in_each_batch(digits: Dataset) -> None:
    data = digits.limit_train(64)
    names = tuple(map(str, range(MAX_TARGET_BYTES // (2 * 64 * 4) + 1)))
    assert isinstance(compute_soft_targets(build_network(), replace(data, class_names=names)), AskedTargets)
