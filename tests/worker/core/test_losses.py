"""What each loss says, and what it says of guessing."""

from __future__ import annotations

import pytest
import torch

from worker.catalog import Loss
from worker.core.losses import GUESSES, LOSSES


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3, 0.9])
def test_who_says_that_each_class_is_as_likely_loses_what_guessing_loses(loss: Loss, label_smoothing: float) -> None:
    labels = torch.arange(10)
    lost = LOSSES[loss](torch.zeros(10, 10), labels, label_smoothing).item()
    assert GUESSES[loss](10, label_smoothing) == pytest.approx(lost)


def test_brier_by_hand() -> None:
    # Probabilities 3/4 and 1/4 of a picture of the second class: (3/4)² + (3/4)².
    logits = torch.tensor([[3.0, 1.0]]).log()
    assert LOSSES[Loss.BRIER](logits, torch.tensor([1]), 0.0).item() == pytest.approx(18 / 16)
