"""The main road on scikit-learn's digits, every number read through the API."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.acceptance.conftest import Service
from tests.variants import SEED
from worker.coding import decode_network
from worker.core.quantization.integer_model import build_integer_model
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset


@pytest.mark.slow
def test_train_prune_quantize_and_compress_from_request_to_decoded_file(service: Service) -> None:
    trained = service.run(
        "train",
        dataset="digits",
        architecture="fashion_cnn",
        widths=[4, 8, 16],
        epochs=4,
        batch_size=64,
        flip=False,
        seed=SEED,
    )
    model_id = trained["output_model_id"]
    pruned = service.run("prune", model_id="latest", sparsity=0.5)
    quantized = service.run("quantize", model_id=model_id, bit_widths=[8, 4], epochs=1, max_accuracy_drop=10, seed=SEED)
    compressed = service.run("compress", model_id=model_id, max_accuracy_drop=10, seed=SEED)

    # Half of 36 + 288 + 6272 + 160 weights.
    sparsity = service.get(f"/v1/models/{pruned['output_model_id']}/sparsity")
    assert sum(layer["zeros"] for layer in sparsity["layers"]) == 3378
    assert sparsity["total"] == 0.5
    assert service.get(f"/v1/models/{pruned['output_model_id']}")["lineage"] == [model_id]

    widths = service.get(f"/v1/jobs/{quantized['id']}/result")["result"]["widths"]
    assert [row["bit_width"] for row in widths] == [8, 4]

    output = compressed["output_model_id"]
    result = service.get(f"/v1/jobs/{compressed['id']}/result")["result"]
    content = service.download(compressed["id"], ".tonok")
    sizes = {entry["measure"]: entry["bytes"] for entry in service.get(f"/v1/models/{output}/size")["entries"]}
    assert sizes["file"] == result["file_bytes"] == len(content)
    reference = len(service.download(trained["id"], ".safetensors"))
    assert sizes["float32"] == reference

    # What was downloaded, decoded and run on its integers, is as accurate as reported.
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=SEED)
    with torch.no_grad():
        predicted = build_integer_model(decode_network(content))(data.normalize(data.test.images)).argmax(1)
    test = result["evaluation"]["test"]
    assert test["num_correct"] == int((predicted == data.test.labels).sum())
    assert test["num_examples"] == 360

    compared = service.get("/v1/compare", models=f"{model_id},{pruned['output_model_id']},{output}")
    assert [model["model_id"] for model in compared["models"]] == [model_id, pruned["output_model_id"], output]
    assert service.download(trained["id"], "-training.png").startswith(b"\x89PNG")
