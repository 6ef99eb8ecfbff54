"""What each loss says, and what it says of guessing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from worker.catalog import ClassWeighting, Loss
from worker.class_weightings import CLASS_WEIGHTINGS
from worker.core.losses import GUESSES, LOSSES, compute_loss


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 0.9])
def test_who_says_that_each_class_is_as_likely_loses_what_guessing_loses(loss: Loss, label_smoothing: float) -> None:
    labels = torch.arange(10)
    lost = LOSSES[loss](torch.zeros(10, 10), labels, label_smoothing, "mean").item()
    assert GUESSES[loss](10, label_smoothing) == pytest.approx(lost)


def test_brier_by_hand() -> None:
    # Probabilities 3/4 and 1/4 of a picture of the second class: (3/4)² + (3/4)².
    logits = torch.tensor([[3.0, 1.0]]).log()
    assert LOSSES[Loss.BRIER](logits, torch.tensor([1]), 0.0, "mean").item() == pytest.approx(18 / 16)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_the_loss_of_a_batch_is_the_mean_over_its_pictures(loss: Loss, label_smoothing: float) -> None:
    logits, labels = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 4
    each = LOSSES[loss](logits, labels, label_smoothing, "none")
    assert each.shape == (7,)
    whole = compute_loss(loss, logits, labels, label_smoothing, None)
    assert each.mean().item() == pytest.approx(whole.item(), rel=1e-5)
    alone = LOSSES[loss](logits[2:3], labels[2:3], label_smoothing, "mean")
    assert each[2].item() == pytest.approx(alone.item(), rel=1e-5)


def test_balanced_weights_are_scikit_learns() -> None:
    labels = np.repeat([0, 1, 3], [5, 2, 1])
    weights = CLASS_WEIGHTINGS[ClassWeighting.BALANCED](np.bincount(labels).tolist())
    assert weights is not None
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert [weights[0], weights[1], weights[3]] == pytest.approx(expected.tolist())
    assert weights[2] == 0
    assert CLASS_WEIGHTINGS[ClassWeighting.NONE]([5, 2]) is None


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_balanced_is_as_if_each_class_had_as_many_pictures(loss: Loss, label_smoothing: float) -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    repeats = torch.tensor([1, 1, 1, 1, 2, 2, 4])
    weights = CLASS_WEIGHTINGS[ClassWeighting.BALANCED](labels.bincount().tolist())
    assert weights is not None
    weighted = compute_loss(loss, logits, labels, label_smoothing, torch.tensor(weights))
    repeated = compute_loss(
        loss, logits.repeat_interleave(repeats, 0), labels.repeat_interleave(repeats), label_smoothing, None
    )
    assert weighted.item() == pytest.approx(repeated.item(), rel=1e-5)


@pytest.mark.parametrize("loss", list(Loss))
def test_a_batch_of_one_picture_weighs_what_its_class_does(loss: Loss) -> None:
    logits, labels, weights = torch.tensor([[0.5, 1.0]]), torch.tensor([1]), torch.tensor([0.6, 3.0])
    weighted = compute_loss(loss, logits, labels, 0.0, weights).item()
    assert weighted == pytest.approx(3 * compute_loss(loss, logits, labels, 0.0, None).item(), rel=1e-5)
