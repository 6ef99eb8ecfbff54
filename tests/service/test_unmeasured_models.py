"""A network whose classes or pictures are no data set's here comes in unmeasured, and what can begin with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save

from service.app import create_app
from storage.settings import Settings
from tests.service.conftest import Workshop, check_problem
from tests.service.model_files import FACTS, build_checkpoint, frame
from tests.service.test_brought_models import build_onnx
from tests.service.test_model_heads import check_refused, send
from worker.catalog import Architecture
from worker.checkpoint_facts import describe_model
from worker.network.operations.elementwise import Add, Flatten
from worker.network.operations.layers import Linear
from worker.network.operations.pooling import AdaptiveAveragePool
from worker.network.record import Network, NetworkBuilder
from worker.network.torchvision_records import describe_torchvision

SQUEEZENET = "torchvision:squeezenet1_1"
PLAIN = {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}
"""How a network reads a picture, where there is no data set to say it."""
PETS = build_onnx(channels=3, side=224, num_classes=37)


def build_state(network: Network) -> bytes:
    return save({name: np.zeros(shape, np.float32) for name, shape in network.tensors.items()})


IMAGENET = build_state(describe_torchvision("squeezenet1_1"))


def read_spec(client: TestClient, content: bytes, **query: Any) -> dict[str, Any]:
    answer = send(client, content, measure="false", **query)
    assert answer.status_code == 202, answer.text
    spec: dict[str, Any] = client.get(answer.json()["links"]["self"]).json()["resolved_spec"]
    assert (spec["measure"], spec["dataset"]) == (False, None)
    return spec


def store_unmeasured(workshop: Workshop, network: Network | None = None) -> str:
    """Id of a model that was imported without a data set."""
    network = network or describe_torchvision("squeezenet1_1")
    send(workshop.client, PETS, measure="false", **PLAIN)
    summary = {
        "architecture": SQUEEZENET, "network": network.to_json(), "dataset": None, "not_measured": "no_dataset",
        "split_seed": 0, "class_names": [f"class {number}" for number in range(network.num_classes)],
        "input_shape": network.input_shape, "size": {"entries": [{"measure": "float32", "bytes": 4, "kb": 0.004}]},
    }  # fmt: skip
    return workshop.succeed(workshop.claim(), summary, dataset=None)


@pytest.mark.parametrize(
    ("content", "query"),
    [
        (IMAGENET, {"architecture": SQUEEZENET, **PLAIN}),
        (IMAGENET, {"architecture": SQUEEZENET, "input_size": "64", **PLAIN}),
        (PETS, PLAIN),
        (PETS, {"class_names": ",".join(f"breed {number}" for number in range(37)), **PLAIN}),
        (build_checkpoint(FACTS | {"dataset": "dst_ELSEWHERE"}), {}),
        (build_checkpoint(FACTS | {"dataset": None}), {}),
        (frame(b"whatever"), {}),
    ],
)
def test_a_network_of_no_data_set_here_comes_in_unmeasured(
    content: bytes, query: dict[str, str], client: TestClient
) -> None:
    spec = read_spec(client, content, **query)
    assert spec["input_size"] == (int(query["input_size"]) if "input_size" in query else None)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", Architecture)
def test_a_state_dict_of_ours_tells_its_channels_and_classes_once_its_size_is_known(
    architecture: Architecture, channels: int, client: TestClient
) -> None:
    content = build_state(describe_model(architecture, input_shape=(channels, 32, 32), num_classes=7))
    query = {"architecture": architecture, "measure": "false", "mean": "0.5", "std": "0.5"}
    assert send(client, content, input_size=32, class_names="a,b,c,d,e,f,g", **query).status_code == 202
    check_problem(send(client, content, **query), 422, "invalid_model", "input_size")
    answer = send(client, content, input_size=32, class_names="a,b,c", **query)
    check_problem(answer, 422, "invalid_model", "tensors")


@pytest.mark.parametrize(
    ("content", "query", "field"),
    [
        (PETS, {"mean": None}, "mean"),
        (PETS, {"std": None}, "std"),
        (PETS, {"dataset": "digits"}, "dataset"),
        (PETS, {"class_names": "a,b"}, "class_names"),
        (PETS, {"class_names": ",".join("a" for _ in range(37))}, "class_names"),
        (PETS, {"mean": "0.1,0.2"}, "mean"),
        (PETS, {"input_size": "224"}, "input_size"),
        (build_onnx(num_classes=5000), {"mean": "0.5", "std": "0.5"}, "class_names"),
        (IMAGENET, {}, "architecture"),
        (IMAGENET, {"architecture": "torchvision:resnet18"}, "tensors"),
        (IMAGENET, {"architecture": SQUEEZENET, "input_size": "4"}, "tensors"),
        (build_checkpoint(), {"mean": None, "std": None, "input_size": "28"}, "input_size"),
        (build_checkpoint(), {"mean": None, "std": None, "dataset": "digits"}, "dataset"),
    ],
)
def test_what_does_not_fit_is_named(
    content: bytes, query: dict[str, str | None], field: str, client: TestClient
) -> None:
    asked = {"measure": "false", **PLAIN, **query}
    check_refused(client, content, field, **{key: value for key, value in asked.items() if value is not None})


@pytest.mark.parametrize("size", ["0", "4097", "64,64", "large"])
def test_a_size_that_is_none_is_refused_as_any_other_parameter(size: str, client: TestClient) -> None:
    query = {"measure": "false", "architecture": SQUEEZENET, **PLAIN}
    answer = send(client, IMAGENET, input_size=size, **query)
    check_problem(answer, 422, "validation_error", "input_size")


@pytest.mark.parametrize(
    ("content", "query", "field"),
    [
        (IMAGENET, {"architecture": SQUEEZENET}, "class_names"),
        (IMAGENET, {"architecture": SQUEEZENET, "class_names": ",".join(map(str, range(1000)))}, "class_names"),
        (PETS, {}, "class_names"),
        (build_onnx(channels=3, side=64, num_classes=2), {}, "input_shape"),
        (build_checkpoint(FACTS | {"input_shape": [1, 14, 56]}), {}, "input_shape"),
    ],
)
def test_who_names_a_data_set_that_does_not_fit_is_told_what_to_do(
    content: bytes, query: dict[str, str], field: str, client: TestClient, workshop: Workshop
) -> None:
    dataset = workshop.bring_dataset()
    problem = check_problem(send(client, content, dataset=dataset, **query), 422, "invalid_model", field)
    assert "measure=false" in problem["detail"]


def test_without_a_data_set_the_same_is_told(client: TestClient) -> None:
    assert "measure=false" in check_problem(send(client, PETS), 422, "invalid_model", "dataset")["detail"]


def test_a_network_that_no_job_has_the_memory_to_read_is_refused_at_once(settings: Settings) -> None:
    tight = settings.model_copy(update={"max_job_bytes": 1 << 30})
    with TestClient(create_app(tight)) as client:
        large = build_state(describe_torchvision("resnet18"))
        query = {"architecture": "torchvision:resnet18", **PLAIN}
        check_problem(send(client, large, measure="false", **query), 422, "out_of_memory", "")
        assert client.get("/v1/jobs").json()["jobs"] == []
        assert send(client, PETS, measure="false", **PLAIN).status_code == 202


def test_an_unmeasured_model_says_that_it_is(client: TestClient, workshop: Workshop) -> None:
    model = client.get(f"/v1/models/{store_unmeasured(workshop)}").json()
    assert (model["dataset"], model["evaluation"], model["health"]) == (None, None, None)
    assert model["not_measured"] == "no_dataset"
    assert client.get(f"/v1/models/{workshop.train()}").json()["not_measured"] is None


@pytest.mark.parametrize("query", ["", "?validate_only=true"])
@pytest.mark.parametrize("kind", ["prune", "quantize", "compress"])
def test_nothing_is_compressed_whose_accuracy_is_not_known(
    kind: str, query: str, client: TestClient, workshop: Workshop
) -> None:
    model_id = store_unmeasured(workshop)
    answer = client.post(f"/v1/jobs/{kind}{query}", json={"model_id": model_id})
    assert "fine-tune" in check_problem(answer, 422, "not_measured", "/model_id")["detail"]
    workshop.train()
    assert client.post(f"/v1/jobs/{kind}{query}", json={"model_id": "latest"}).status_code in (200, 202)


@pytest.mark.parametrize("query", ["", "?validate_only=true"])
@pytest.mark.parametrize("kind", ["train", "study"])
def test_fine_tuning_an_unmeasured_model_needs_a_data_set_that_it_can_read(
    kind: str, query: str, client: TestClient, workshop: Workshop
) -> None:
    spec = {"initial_model_id": store_unmeasured(workshop)}
    photographs = workshop.bring_dataset(input_shape=[3, 64, 64])
    tiny = workshop.bring_dataset(input_shape=[3, 4, 4])
    path = f"/v1/jobs/{kind}{query}"
    check_problem(client.post(path, json=spec), 422, "validation_error", "/dataset")
    for dataset in ("digits", tiny):  # gray pictures, and such as are too small
        check_problem(client.post(path, json=spec | {"dataset": dataset}), 422, "validation_error", "/dataset")
    assert client.post(path, json=spec | {"dataset": photographs}).status_code in (200, 202)


@pytest.mark.parametrize("kind", ["train", "study"])
def test_what_a_measured_model_cannot_read_is_told_at_once_too(
    kind: str, client: TestClient, workshop: Workshop
) -> None:
    network = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10).to_json()
    spec = {"initial_model_id": workshop.train(network=network, class_names=list("abcdefghij"))}
    answer = client.post(f"/v1/jobs/{kind}", json=spec | {"dataset": workshop.bring_dataset()})
    check_problem(answer, 422, "validation_error", "/dataset")
    assert client.post(f"/v1/jobs/{kind}", json=spec | {"dataset": "digits"}).status_code == 202


def test_a_network_whose_classes_come_from_no_single_layer_is_refused(client: TestClient, workshop: Workshop) -> None:
    builder = NetworkBuilder((3, 64, 64))
    flat = builder.add("flat", Flatten(), builder.add("pool", AdaptiveAveragePool(output=(1, 1))))
    heads = [builder.add(name, Linear(out_features=5), flat) for name in ("one", "other")]
    builder.add("sum", Add(), *heads)
    dataset = workshop.bring_dataset(input_shape=[3, 64, 64])
    model_id = store_unmeasured(workshop, builder.build())
    answer = client.post("/v1/jobs/train", json={"initial_model_id": model_id, "dataset": dataset})
    check_problem(answer, 422, "validation_error", "/initial_model_id")


def test_the_memory_of_fine_tuning_is_that_of_the_pictures_it_is_fine_tuned_to(
    client: TestClient, workshop: Workshop
) -> None:
    model_id = store_unmeasured(workshop)
    estimates = []
    for side in (32, 64, 128):
        spec = {"initial_model_id": model_id, "dataset": workshop.bring_dataset(input_shape=[3, side, side])}
        answer = client.post("/v1/jobs/train?validate_only=true", json=spec)
        estimates.append(answer.json()["estimated_memory_bytes"])
    assert estimates == sorted(set(estimates))


def test_an_unmeasured_model_is_on_no_front_and_compared_in_nothing_that_was_not_measured(
    client: TestClient, workshop: Workshop
) -> None:
    unmeasured, measured = store_unmeasured(workshop), workshop.train()
    points = client.get("/v1/pareto").json()["points"]
    assert [point["model_id"] for point in points] == [measured]
    for models in (f"{measured},{unmeasured}", f"{unmeasured},{measured}", f"{unmeasured},{unmeasured}"):
        second = client.get("/v1/compare", params={"models": models}).json()["models"][1]
        assert {gap["field"]: gap["reason"] for gap in second["not_compared"]} == dict.fromkeys(
            ("accuracy_drop.validation", "accuracy_drop.test", "size_ratio", "speedup"), "not_measured"
        )
        assert second["size_ratio"] is None
    listed = {one["id"]: one["dataset"] for one in client.get("/v1/models").json()["models"]}
    assert listed == {unmeasured: None, measured: "fashion_mnist"}
