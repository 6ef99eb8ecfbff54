"""Gradients that no float holds leave a network as it was, and others are followed as they are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from worker.core.gradients import LARGEST_NORM, bound_gradients_


def build(*gradients: float) -> nn.Module:
    """A parameter of one value for each gradient, in two tensors; one more has none."""
    model = nn.ParameterList([nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(len(gradients) - 1))])
    model[0].grad, model[1].grad = torch.tensor(gradients[:1]), torch.tensor(gradients[1:])
    model.append(nn.Parameter(torch.zeros(2)))
    return model


def read(model: nn.Module) -> list[float]:
    bound_gradients_(model)
    return [float(value) for one in model.parameters() if one.grad is not None for value in one.grad]


def test_gradients_of_a_training_that_learns_are_left_as_they_are() -> None:
    assert read(build(0.1, -25.0, 1e-30)) == torch.tensor([0.1, -25.0, 1e-30]).tolist()


def test_long_ones_keep_their_direction() -> None:
    found = read(build(3e6, 0.0, -4e6))
    assert found == pytest.approx([0.6 * LARGEST_NORM, 0.0, -0.8 * LARGEST_NORM])


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 3e38])
def test_a_step_whose_length_is_no_number_is_left_out(wrong: float) -> None:
    assert read(build(1.0, wrong, 2.0)) == [0.0, 0.0, 0.0]
