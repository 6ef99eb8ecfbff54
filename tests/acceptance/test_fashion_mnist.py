"""The road on the real FashionMNIST, kept short: what it costs to know that nothing in it depends on digits."""

from __future__ import annotations

import pytest

from storage.settings import Settings
from tests.acceptance.conftest import Service
from tests.needs import NO_FASHION_MNIST, find_fashion_mnist


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a mirror: a URL of the environment, else the folder of the four files wherever it lies."""
    mirror = Settings().dataset_mirror
    if mirror is None or "://" not in mirror:
        folder = find_fashion_mnist()
        if folder is None:
            pytest.skip(NO_FASHION_MNIST)
        mirror = str(folder)
    return settings.model_copy(update={"dataset_mirror": mirror})


@pytest.mark.slow
def test_train_prune_and_quantize_on_the_real_pictures(service: Service) -> None:
    trained = service.run("train", widths=[8, 16, 32], epochs=2, max_train_examples=10_000, learning_rate=0.05)
    test = service.get(f"/v1/jobs/{trained['id']}/result")["result"]["evaluation"]["test"]
    assert test["num_examples"] == 10_000
    # One in ten by chance.
    assert test["accuracy"] > 0.5

    pruned = service.run("prune", model_id="latest", max_accuracy_drop=1.0)
    result = service.get(f"/v1/jobs/{pruned['id']}/result")["result"]
    assert result["chosen"]["drop"] <= 1.0
    assert result["sparsity"]["total"] == pytest.approx(result["chosen"]["sparsity"], abs=1e-3)

    quantized = service.run("quantize", model_id="latest", bit_widths=[8], mode="post_training")
    result = service.get(f"/v1/jobs/{quantized['id']}/result")["result"]
    # Half a step of 8 bits turns few of 10,000 pictures.
    assert result["accuracy_drop"]["test"] <= 5.0
    assert result["size"]["reference_bytes"] / result["widths"][0]["file_bytes"] > 3.5
