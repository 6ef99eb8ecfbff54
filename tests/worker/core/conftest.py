"""One data set for all tests of the core."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, load_dataset


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """scikit-learn's digits: 1,287 pictures to train on, 150 to validate, 360 to test."""
    return load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)
