"""A network of torchvision on somebody's own photographs: by HTTP, from a zip file to a file that is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.acceptance.conftest import Service
from tests.needs import NO_CIFAR10, find_cifar10
from tests.variants import SEED
from tests.worker.jobs.photographs import NUM_TEST, SIDE, cut_photographs
from worker.catalog import SplitName
from worker.coding import decode_network
from worker.core.quantization.integer_model import build_integer_model
from worker.dataset_files.cache import open_cache
from worker.pixels import normalize_pixels

ARCHITECTURE = "torchvision:squeezenet1_1"
ANY_DROP = 100.0
"""No decision hangs on what a network has learned."""


def submit(service: Service, path: str, **request: Any) -> str:
    """Sends a request for a job; returns where it is."""
    answer = service.client.post(path, **request)
    assert answer.status_code == 202, answer.text
    location: str = answer.headers["location"]
    return location


def finish(service: Service, *locations: str) -> list[dict[str, Any]]:
    service.drain()
    jobs = [service.get(location) for location in locations]
    assert [job["error"] for job in jobs] == [None] * len(jobs)
    return jobs


@pytest.mark.slow
def test_a_network_of_torchvision_from_somebodys_photographs_to_a_downloaded_file(
    service: Service, tmp_path: Path
) -> None:
    source = find_cifar10()
    if source is None:
        pytest.skip(NO_CIFAR10)
    file = tmp_path / "photographs.zip"
    cut_photographs(source, file)
    zipped = {"content": file.read_bytes(), "headers": {"Content-Type": "application/zip"}}
    (brought,) = finish(service, submit(service, "/v1/datasets", params={"size": SIDE}, **zipped))
    dataset = brought["result"]["dataset_id"]

    trained = service.run("train", dataset=dataset, architecture=ARCHITECTURE, epochs=1, seed=SEED)
    model_id = trained["output_model_id"]
    specs: list[tuple[str, dict[str, Any]]] = [
        ("prune", {"sparsity": 0.5}),
        ("prune", {"pattern": "channels", "scope": "uniform", "sparsity": 0.5}),
        ("quantize", {"mode": "post_training", "bit_widths": [8, 4]}),
        ("compress", {}),
    ]
    common = {"model_id": model_id, "max_accuracy_drop": ANY_DROP, "seed": SEED}
    asked = [submit(service, f"/v1/jobs/{kind}", json=spec | common) for kind, spec in specs]
    jobs = finish(service, *asked)
    models = [job["output_model_id"] for job in jobs]
    pruned, narrowed, quantized, compressed = models

    sparsity = service.get(f"/v1/models/{pruned}/sparsity")
    assert sparsity["total"] == pytest.approx(0.5, abs=0.001)
    macs = {one: sum(layer["macs"] for layer in service.get(f"/v1/models/{one}/layers")["layers"]) for one in models}
    assert macs[narrowed] < 0.6 * macs[pruned]
    assert macs[quantized] == macs[pruned]

    # Compared: the photographs and the split are one, so nothing but times is left out.
    compared = service.get("/v1/compare", models=",".join([model_id, *models]))
    assert [model["model_id"] for model in compared["models"]] == [model_id, *models]
    assert len(compared["verdict"]) == len(models)

    # What is downloaded, run on its integers, is as accurate as it is said to be; brought again, it is the same.
    content = service.client.get(f"/v1/models/{compressed}/download").content
    sizes = {entry["measure"]: entry["bytes"] for entry in service.get(f"/v1/models/{compressed}/size")["entries"]}
    assert sizes["file"] == len(content) < sizes["float32"]
    network = decode_network(content)
    pictures = tmp_path / "pictures.safetensors"
    pictures.write_bytes(service.download(brought["id"], "pictures.safetensors"))
    test = open_cache(pictures).splits[SplitName.TEST]
    with torch.no_grad():
        images = torch.from_numpy(test.images.copy())
        predicted = build_integer_model(network)(normalize_pixels(images, network.mean, network.std)).argmax(1)
    said = service.get(f"/v1/models/{compressed}")["evaluation"]["test"]
    assert said["num_correct"] == int((predicted.numpy() == test.labels).sum())
    assert said["num_examples"] == NUM_TEST * 3
    upload = {"content": content, "headers": {"Content-Type": "application/octet-stream"}}
    (again,) = finish(service, submit(service, "/v1/models", params={"dataset": dataset}, **upload))
    assert again["result"]["evaluation"]["test"] == said
