from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch
from torch import nn

from worker.elementary_functions import ElementaryFunction

REFERENCES = {
    nn.Sigmoid: scipy.special.expit,
    nn.SiLU: lambda x: x * scipy.special.expit(x),
    nn.GELU: lambda x: x * scipy.special.ndtr(x),
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_values_are_the_nearest_float32_or_its_neighbour(kind: type[nn.Module]) -> None:
    x = np.concatenate([np.linspace(-12, 12, 20_001), np.geomspace(1e-30, 600, 501), -np.geomspace(1e-30, 600, 501)])
    x = x.astype(np.float32)
    computed = ElementaryFunction(kind())(torch.from_numpy(x)).numpy()
    np.testing.assert_array_max_ulp(computed, REFERENCES[kind](x.astype(np.float64)).astype(np.float32), 1)


@pytest.mark.parametrize("kind", REFERENCES)
def test_the_largest_numbers_give_finite_ones(kind: type[nn.Module]) -> None:
    x = torch.tensor([3e38, -3e38, 1e4, -1e4])
    largest = 1.0 if kind is nn.Sigmoid else 3e38
    assert ElementaryFunction(kind())(x).tolist()[:2] == [pytest.approx(largest), 0.0]


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (40_000,), (1, 4, 100, 100)])
def test_the_shape_stays_and_so_does_every_value_s_place(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    if x.ndim == 4:
        x = x.to(memory_format=torch.channels_last)
    torch.testing.assert_close(ElementaryFunction(nn.SiLU())(x), nn.SiLU()(x))
