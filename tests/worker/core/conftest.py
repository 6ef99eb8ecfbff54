"""One data set and one thread for all tests of the core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from worker.core.datasets import Dataset, load_dataset


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """The same sums in the same order on every machine, and no fight over its cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's digits: 1,287 pictures to train on, 150 to validate, 360 to test."""
    return load_dataset("digits", Path("unused"), None, split_seed=0)
