"""Networks of other people: what their files and the query tell is answered at once."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save

from tests.service.conftest import check_problem
from tests.service.model_files import build_checkpoint
from tests.service.test_model_heads import check_refused, send
from tests.worker.importing.onnx_files import Draft, draw, end
from worker.catalog import DatasetName
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


@pytest.mark.parametrize("query", [{"dataset": "digits"}, {"class_names": ",".join("9876543210")}])
def test_a_state_dict_of_torchvision_becomes_a_job(query: dict[str, str], client: TestClient) -> None:
    assert send(client, STATE, architecture=NAME, **query).status_code == 202


@pytest.mark.parametrize(
    ("content", "query", "field"),
    [
        (ONNX, {"architecture": NAME}, "architecture"),
        (ONNX, {"dataset": None}, "dataset"),
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
