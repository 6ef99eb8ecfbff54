"""The road on the real FashionMNIST, kept short: what it costs to know that nothing in it depends on digits."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.settings import Settings
from tests.acceptance.conftest import Service

SHARED = Path(__file__).parents[3] / "shared" / "data" / "fashion-mnist"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The dataset folder or mirror of the environment, else the folder that a checkout may have beside it."""
    outside = Settings()
    if (outside.resolved_dataset_dir / "FashionMNIST" / "raw").is_dir():
        return settings.model_copy(update={"dataset_dir": outside.resolved_dataset_dir})
    mirror = outside.dataset_mirror or (str(SHARED) if SHARED.is_dir() else None)
    if mirror is None:
        pytest.skip("FashionMNIST is in neither the dataset folder nor the mirror")
    return settings.model_copy(update={"dataset_mirror": mirror})


@pytest.mark.slow
def test_train_prune_and_quantize_on_the_real_pictures(service: Service) -> None:
    trained = service.run("train", widths=[8, 16, 32], epochs=2, max_train_examples=10_000, learning_rate=0.05)
    test = service.get(f"/v1/jobs/{trained['id']}/result")["result"]["evaluation"]["test"]
    assert test["num_examples"] == 10_000
    # A linear classifier on these pictures reaches about 0.84 with all of them.
    assert test["accuracy"] > 0.75

    pruned = service.run("prune", model_id="latest", max_accuracy_drop=1.0)
    result = service.get(f"/v1/jobs/{pruned['id']}/result")["result"]
    assert result["chosen"]["drop"] <= 1.0
    assert result["sparsity"]["total"] > 0.1

    quantized = service.run("quantize", model_id="latest", bit_widths=[8], mode="post_training")
    result = service.get(f"/v1/jobs/{quantized['id']}/result")["result"]
    assert result["accuracy_drop"]["test"] <= 1.0
    assert result["size"]["reference_bytes"] / result["widths"][0]["file_bytes"] > 3.5
