"""Networks of other people: what their files and the query tell is answered at once."""

from __future__ import annotations

import pickle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save

from storage.errors import InvalidModel
from tests.service.conftest import Workshop, check_problem
from tests.service.model_files import FACTS, build_checkpoint
from tests.service.test_model_heads import check_refused, send
from tests.worker.importing.onnx_files import Draft, draw, end
from worker.brought_files import GivenFacts, check_model_file
from worker.catalog import DatasetName
from worker.dataset_classes import CLOTHES, DIGITS
from worker.dataset_facts import find_datasets
from worker.network.torchvision_records import describe_torchvision

NAME = "torchvision:squeezenet1_1"


def build_onnx(activation: str = "Relu", channels: int = 1, side: int = 28, num_classes: int = 10) -> bytes:
    nodes = [
        ("Conv", ["x", "conv.weight"], "c", {"pads": [1, 1, 1, 1]}),
        (activation, ["c"], "a"),
        *end("a", 4),
    ]
    tensors = {"conv.weight": draw(4, channels, 3, 3), "fc4.weight": draw(num_classes, 4), "fc.bias": draw(num_classes)}
    return Draft(nodes, tensors, ("batch", channels, side, side)).write()


def build_state(**changes: Any) -> dict[str, Any]:
    tensors = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28), num_classes=10).tensors
    return {name: np.zeros(shape, np.float32) for name, shape in tensors.items()} | changes


ONNX = build_onnx()
STATE = save(build_state())


def test_an_onnx_file_and_what_was_told_beside_it_become_a_job(client: TestClient) -> None:
    names = [f"kind {letter}" for letter in "abcdefghij"]
    answer = send(client, ONNX, dataset="digits", class_names=", ".join(names), mean="0.25", std="0.5", name="theirs")
    assert answer.status_code == 202
    resolved = client.get(answer.json()["links"]["self"]).json()["resolved_spec"]
    told = {"dataset": "digits", "architecture": None, "class_names": names, "mean": [0.25], "std": [0.5]}
    assert resolved.items() >= told.items()


@pytest.mark.parametrize("query", [{"dataset": "digits"}, {"class_names": ",".join(reversed(CLOTHES))}])
def test_a_state_dict_of_torchvision_becomes_a_job(query: dict[str, str], client: TestClient) -> None:
    assert send(client, STATE, architecture=NAME, **query).status_code == 202


@pytest.mark.parametrize(
    ("content", "query", "field"),
    [
        (ONNX, {"architecture": NAME}, "architecture"),
        (ONNX, {"dataset": None}, "dataset"),
        (ONNX, {"dataset": None, "class_names": ",".join(DIGITS)}, "dataset"),
        (STATE, {"dataset": None, "class_names": ",".join(DIGITS), "architecture": NAME}, "dataset"),
        (ONNX, {"class_names": "a,b"}, "class_names"),
        (ONNX, {"class_names": "a,a,c,d,e,f,g,h,i,j"}, "class_names"),
        (ONNX, {"class_names": "1,zero,2,3,4,5,6,7,8,9"}, "class_names"),
        (ONNX, {"mean": "0.1,0.2,0.3"}, "mean"),
        (ONNX, {"std": "0"}, "std"),
        (build_onnx(channels=3), {}, "input_shape"),
        (build_onnx(side=32), {}, "input_shape"),
        (build_onnx(num_classes=7), {}, "class_names"),
        (STATE, {}, "architecture"),
        (STATE, {"architecture": "resnet152"}, "architecture"),
        (STATE, {"architecture": "torchvision:resnet152"}, "architecture"),
        (STATE, {"architecture": "mlp"}, "tensors"),
        (STATE, {"architecture": "lenet5"}, "tensors"),
        (build_checkpoint(), {"class_names": ",".join("0123456789")}, "class_names"),
        (build_checkpoint(), {"mean": "0.3"}, "mean"),
        (build_checkpoint(), {"architecture": "mlp"}, "architecture"),
    ],
)
def test_what_does_not_fit_is_named(
    content: bytes, query: dict[str, str | None], field: str, client: TestClient
) -> None:
    asked = {"dataset": "digits", **query}
    check_refused(client, content, field, **{key: value for key, value in asked.items() if value is not None})


@pytest.mark.parametrize("side", [16, 28])
def test_classes_of_several_data_sets_are_looked_for_among_pictures_of_the_shape(side: int, client: TestClient) -> None:
    shape = (1, side, side)
    fitting = [name for name in DatasetName if (name.facts.class_names, name.facts.input_shape) == (DIGITS, shape)]
    assert find_datasets(DIGITS, shape) == fitting
    answer = send(client, build_onnx(side=side), class_names=",".join(DIGITS))
    if len(fitting) == 1:
        assert answer.status_code == 202
    else:
        detail = check_problem(answer, 422, "invalid_model", "dataset")["detail"]
        assert all(name in detail for name in fitting)


@pytest.mark.parametrize("field", ["mean", "std"])
@pytest.mark.parametrize("text", ["", "a", "0.1,", "0.1,0.2,0.3,0.4", "nan", "inf", "1e400", "0.1;0.2"])
def test_what_is_no_number_is_refused_as_any_other_parameter(field: str, text: str, client: TestClient) -> None:
    answer = send(client, ONNX, dataset="digits", **{field: text})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == field


def test_an_operation_that_is_not_read_is_named(client: TestClient) -> None:
    answer = send(client, build_onnx("Softplus"), dataset="digits")
    assert "Softplus" in check_problem(answer, 422, "invalid_model", "")["detail"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"classifier.1.weight": np.zeros((10, 512, 3, 3), np.float32)}, "classifier.1.weight"),
        ({"features.3.squeeze.bias": np.zeros(7, np.float32)}, "features.3.squeeze.bias"),
        ({"more.weight": np.zeros(3, np.float32)}, "more.weight"),
        ({"features.0.bias": np.zeros(64, np.int32)}, "features.0.bias"),
    ],
)
def test_a_tensor_that_is_not_the_networks_is_named(changes: dict[str, Any], named: str, client: TestClient) -> None:
    answer = send(client, save(build_state(**changes)), dataset="digits", architecture=NAME)
    assert named in check_problem(answer, 422, "invalid_model", "tensors")["detail"]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_is_refused_with_the_line_that_works_instead(protocol: int, client: TestClient) -> None:
    answer = send(client, pickle.dumps({"conv.weight": [0.0] * 1000}, protocol), dataset=DatasetName.DIGITS)
    assert "torch.onnx.export(" in check_problem(answer, 422, "invalid_model", "")["detail"]


@pytest.mark.parametrize("kind", ["train", "study"])
def test_fine_tuning_names_the_model_that_it_begins_with(kind: str, client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.train(network=describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28)).to_json())
    job = client.post(f"/v1/jobs/{kind}", json={"initial_model_id": "latest", "epochs": 2}).json()
    resolved = client.get(job["links"]["self"]).json()["resolved_spec"]
    assert (resolved["initial_model_id"], resolved["dataset"], resolved["architecture"]) == (model_id, None, None)
    assert [found["id"] for found in client.get("/v1/jobs", params={"model_id": model_id}).json()["jobs"]] == [
        job["id"]
    ]
    # What it begins with must be there until it has ended.
    assert client.delete(f"/v1/jobs/{client.get(f'/v1/models/{model_id}').json()['job_id']}").status_code == 409


@pytest.mark.parametrize("kind", ["train", "study"])
def test_the_memory_of_fine_tuning_is_that_of_the_networks_record(
    kind: str, client: TestClient, workshop: Workshop
) -> None:
    estimates = []
    for name in ("squeezenet1_1", "resnet50"):
        workshop.train(network=describe_torchvision(name, input_shape=(1, 28, 28)).to_json())
        answer = client.post(f"/v1/jobs/{kind}?validate_only=true", json={"initial_model_id": "latest"})
        estimates.append(answer.json()["estimated_memory_bytes"])
    assert 0 < estimates[0] < estimates[1]


@pytest.mark.parametrize("kind", ["train", "study"])
def test_what_fine_tuning_cannot_begin_with_is_refused(kind: str, client: TestClient, workshop: Workshop) -> None:
    answer = client.post(f"/v1/jobs/{kind}", json={"initial_model_id": "latest"})
    check_problem(answer, 404, "not_found", "/initial_model_id")
    answer = client.post(f"/v1/jobs/{kind}", json={"initial_model_id": "mdl_0123456789ABCDEFGHJKMNPQRS"})
    check_problem(answer, 404, "not_found", "/initial_model_id")
    quantized = workshop.train(bit_width=4)
    answer = client.post(f"/v1/jobs/{kind}", json={"initial_model_id": quantized})
    check_problem(answer, 409, "conflict", "/initial_model_id")


def test_foreign_networks_are_compared_like_ours(client: TestClient, workshop: Workshop) -> None:
    record = describe_torchvision("squeezenet1_1", input_shape=(1, 28, 28)).to_json()
    first = workshop.train(test=0.9, network=record, architecture="onnx")
    second = workshop.train(test=0.8, network=record, architecture="onnx")
    compared = client.get("/v1/compare", params={"models": f"{first},{second}"}).json()["models"]
    assert [one["accuracy"]["test"] for one in compared] == [0.9, 0.8]
    assert [one["macs"] for one in compared] == [4_241_152] * 2


@pytest.mark.parametrize("query", ["", "?validate_only=true"])
def test_pictures_that_are_too_small_for_a_network_are_refused_also_of_a_data_set_that_was_brought(
    query: str, client: TestClient, workshop: Workshop
) -> None:
    spec = {"dataset": workshop.bring_dataset(), "architecture": "torchvision:resnet18"}
    assert client.post(f"/v1/jobs/train{query}", json=spec).status_code in (200, 202)
    answer = client.post(f"/v1/jobs/train{query}", json=spec | {"architecture": "torchvision:inception_v3"})
    check_problem(answer, 422, "validation_error", "/architecture")


def test_networks_of_torchvision_are_listed_with_what_they_cost(client: TestClient) -> None:
    listed = {one["name"]: one for one in client.get("/v1/methods").json()["torchvision_networks"]}
    # From torchvision's own table of weights: 11.69 M and 1.24 M parameters, 1.81 and 0.35 G multiply-accumulates.
    for name, parameters, gmacs in (("resnet18", 11_689_512, 1.81), ("squeezenet1_1", 1_235_496, 0.35)):
        one = listed[f"torchvision:{name}"]
        assert one["parameters"] == parameters
        assert one["macs"] / 1e9 == pytest.approx(gmacs, abs=0.01)
        describe_torchvision(name, input_shape=(3, one["smallest_side"], one["smallest_side"]))
        architecture = client.get("/openapi.json").json()["components"]["schemas"]["TrainSpec"]["properties"][
            "architecture"
        ]
        assert one["name"] in next(way["enum"] for way in architecture["anyOf"] if "enum" in way)


def change_at_random(data: bytes, random: Random) -> bytes:
    """Bytes of its head turned, written over, left out and repeated."""
    end = int.from_bytes(data[:8], "little") + 8 if data[8:9] == b"{" else len(data)
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(min(end, len(changed)))
        match random.randrange(4):
            case 0:
                changed[place] ^= 1 << random.randrange(8)
            case 1:
                changed[place] = random.choice(b'0129{}[]",:-')
            case 2:
                del changed[place : place + random.randrange(1, 8)]
            case _:
                changed[place:place] = changed[place : place + random.randrange(1, 20)]
    return bytes(changed)


def find_nothing(dataset: str) -> dict[str, Any]:
    raise AssertionError(f"{dataset} is in the catalogue")


@pytest.mark.parametrize(
    ("content", "architecture"), [(ONNX, None), (build_onnx("HardSwish"), None), (STATE, NAME), (STATE, "mlp")]
)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    content: bytes, architecture: str | None, tmp_path: Path
) -> None:
    random, path, refusals = Random(7), tmp_path / "file", list[str]()
    for _ in range(200):
        path.write_bytes(change_at_random(content, random))
        with path.open("rb") as stream:
            try:
                check_model_file(stream, GivenFacts(DatasetName.DIGITS, architecture), find_nothing)
            except InvalidModel as error:
                refusals.append(error.detail)
    assert refusals
    assert max(map(len, refusals)) < 1500


def test_a_class_may_be_called_as_an_id_is(client: TestClient) -> None:
    names = [f"dst_{letter}" for letter in "abcdefghij"]
    assert send(client, ONNX, dataset="digits", class_names=",".join(names)).status_code == 202


def test_a_data_set_that_a_waiting_models_file_names_is_not_deleted(client: TestClient, workshop: Workshop) -> None:
    dataset_id = workshop.bring_dataset(input_shape=[1, 28, 28], class_names=list("0123456789"))
    job = send(client, build_checkpoint(FACTS | {"dataset": dataset_id})).json()
    assert client.get(job["links"]["self"]).json()["resolved_spec"]["dataset"] == dataset_id
    check_problem(client.delete(f"/v1/datasets/{dataset_id}"), 409, "conflict")
