"""What the head of a model's file tells is answered at once, not by a job that fails minutes later."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from httpx2 import Response
from safetensors.torch import save

from storage.errors import InvalidModel
from tests.service.conftest import check_problem
from tests.service.model_files import FACTS, build_checkpoint, frame, pack
from worker.catalog import Architecture, DatasetName
from worker.checkpoint_facts import CheckpointInfo, parse_facts
from worker.core.checkpoint import load_checkpoint
from worker.core.models import build_model, get_widths
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset

BINARY = {"Content-Type": "application/octet-stream"}
FASHION = DatasetName.FASHION_MNIST.facts.class_names


def send(client: TestClient, content: bytes, **query: Any) -> Response:
    return client.post("/v1/models", params=query, content=content, headers=BINARY)


def check_refused(client: TestClient, content: bytes, field: str | None, **query: Any) -> None:
    answer = send(client, content, **query)
    check_problem(answer, 422, "invalid_model", field or "")
    assert len(answer.content) < 2000
    assert client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize("dtype", ["F32", "F16"])
def test_a_file_whose_head_makes_sense_becomes_a_job(dtype: str, client: TestClient) -> None:
    assert send(client, build_checkpoint(dtype=dtype)).status_code == 202
    assert send(client, frame(b"whatever")).status_code == 202


def test_a_counter_of_batches_is_no_weight(client: TestClient) -> None:
    content = build_checkpoint()
    header_bytes = int.from_bytes(content[:8], "little")
    header, weights = json.loads(content[8 : 8 + header_bytes]), content[8 + header_bytes :]
    span = [len(weights), len(weights) + 8]
    header["bn1.num_batches_tracked"] = {"dtype": "I64", "shape": [], "data_offsets": span}
    assert send(client, pack(header, weights + bytes(8))).status_code == 202


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("architecture", "resnet152"),
        ("widths", [4] * 1025),
        ("widths", [2**40]),
        ("widths", [0]),
        ("widths", ["4"] * 100_000),
        ("input_shape", [1, 28]),
        ("input_shape", [1, 1, 5000]),
        ("input_shape", [3, 32, 32]),
        ("class_names", []),
        ("class_names", ["a"] * 10),
        ("class_names", [" ", *"123456789"]),
        ("class_names", ["\u200b", *"123456789"]),
        ("class_names", ["accuracy", *"123456789"]),
        ("class_names", list("012345678")),
        ("class_names", ["1", "zero", *"23456789"]),
        ("mean", None),
        ("mean", 1e9),
        ("std", 0.0),
        ("std", -0.3),
        ("std", "0.3"),
        ("dataset", "svhn"),
        ("split_seed", -1),
        ("split_seed", 2**31),
        ("num_train_examples", 3),
    ],
    ids=lambda value: f"{str(value)[:20]!a}",
)
def test_a_fact_that_cannot_be_is_named(field: str, value: Any, client: TestClient) -> None:
    check_refused(client, build_checkpoint({**FACTS, field: value}), field)


@pytest.mark.parametrize("field", sorted(FACTS.keys() - {"num_train_examples"}))
def test_a_fact_that_is_missing_is_named(field: str, client: TestClient) -> None:
    check_refused(client, build_checkpoint({name: value for name, value in FACTS.items() if name != field}), field)


@pytest.mark.parametrize(
    "line",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},  # over another one
        {"dtype": "F32", "shape": [4], "data_offsets": [2**40, 2**40 + 16]},
        {"dtype": "F32", "shape": [2**40], "data_offsets": [12544, 12560]},
        {"dtype": "I64", "shape": [2], "data_offsets": [12544, 12560]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [12544, 12560]},
        {"dtype": "F32", "shape": [True, 4], "data_offsets": [12544, 12560]},
        {"dtype": ["F32"], "shape": [4], "data_offsets": [12544, 12560]},
        {"dtype": "F32", "shape": [4]},
        [],
    ],
    ids=str,
)
def test_a_tensor_that_cannot_be_is_named(line: Any, client: TestClient) -> None:
    check_refused(client, build_checkpoint(**{"layers.0.bias": line}), "tensors")


def write(state: dict[str, torch.Tensor], **facts: Any) -> bytes:
    """A checkpoint of these tensors that says of itself what `facts` change."""
    metadata = {"tonok": json.dumps({**FACTS, **facts})}
    return save({name: value.contiguous() for name, value in state.items()}, metadata=metadata)


@pytest.mark.parametrize("architecture", list(Architecture))
@pytest.mark.parametrize("fault", ["missing", "turned", "foreign", "narrow"])
def test_a_tensor_that_is_not_of_the_network_is_told_at_once_by_its_name(
    architecture: Architecture, fault: str, client: TestClient
) -> None:
    model = build_model(architecture)
    state = model.state_dict()
    name = next(iter(state))
    if fault == "missing":
        del state[name]
    elif fault == "turned":
        state[name] = state[name].transpose(0, 1)
    elif fault == "narrow":
        state[name] = state[name][1:]
    else:
        name = "module.foreign"
        state[name] = torch.zeros(2)
    content = write(state, architecture=str(architecture), widths=list(get_widths(architecture, model)))
    check_refused(client, content, "tensors")
    assert name in send(client, content).json()["errors"][0]["detail"]


def test_weights_of_another_network_are_refused_by_a_few_of_their_names(client: TestClient) -> None:
    state = {f"{'layer' * 40}{number}": torch.zeros(10) for number in range(1000)}
    check_refused(client, write(state), "tensors")
    check_refused(client, write(build_model("resnet_small").state_dict()), "tensors")


def test_the_worker_refuses_by_the_same_rule(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    path.write_bytes(write({**build_model("mlp", (4,)).state_dict(), "layers.7.bias": torch.zeros(10)}))
    with pytest.raises(InvalidModel, match=r"layers\.7\.bias") as raised:
        load_checkpoint(path)
    assert raised.value.field == "tensors"


def test_what_is_no_model_of_ours_is_told_at_once(client: TestClient) -> None:
    whole = build_checkpoint()
    damaged = frame(b"content")[:-1] + b"?"
    linear = torch.nn.Linear(784, 10)
    foreign = {
        "a plain state dict": save(linear.state_dict()),
        "one of batch norms": save(torch.nn.BatchNorm2d(4).state_dict()),
        "one of 16 bits": save(linear.half().state_dict()),
        "without metadata": build_checkpoint(None),
        "a pickle": pickle.dumps({"state_dict": [1]}),
        "a zip": b"PK\x03\x04" + bytes(100),
        "text": b"hello",
        "a header of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
        "a header longer than the file": struct.pack("<Q", 1000) + b"{}",
        "deep JSON": struct.pack("<Q", 100_000) + b"[" * 100_000,
        "a header that is no object": pack([], b""),
        "a header of empty lists": pack([[]] * 250_000, b""),
        "damaged": damaged,
        "another version": b"TK\x03" + frame(b"content")[3:],
        "a head alone": b"TK",
    }
    for what, content in foreign.items():
        answer = send(client, content)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_model"), what
    check_refused(client, whole[:-1], "tensors")
    check_refused(client, whole + b"\0", "tensors")
    check_refused(client, build_checkpoint(dtype="F64"), "tensors")


def test_the_data_set_to_measure_on_must_fit_what_the_file_says(client: TestClient) -> None:
    turned = list(reversed(FASHION))
    check_refused(client, build_checkpoint({**FACTS, "class_names": [FASHION[1], *"123456789"]}), "class_names",
                  dataset="fashion_mnist")  # fmt: skip
    check_refused(client, build_checkpoint({**FACTS, "dataset": "svhn"}), "dataset")
    for query in ({"dataset": "fashion_mnist"}, {"dataset": "digits"}, {}):
        assert send(client, build_checkpoint({**FACTS, "class_names": turned}), **query).status_code == 202
    assert send(client, build_checkpoint({**FACTS, "dataset": "svhn"}), dataset="digits").status_code == 202


def test_both_sides_read_the_same_facts() -> None:
    declaration = parse_facts(json.dumps(FACTS | {"author": "somebody"}))
    assert declaration.unknown == ("author",)
    assert declaration.info == CheckpointInfo(
        "mlp", (4,), (1, 28, 28), tuple("0123456789"), (0.3,), (0.3,), "digits", 0, 1000
    )  # fmt: skip


def test_what_is_known_of_digits_without_loading_them_is_so() -> None:
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)
    facts = DatasetName.DIGITS.facts
    assert (data.input_shape, data.class_names) == (facts.input_shape, facts.class_names)


@pytest.mark.parametrize("architecture", list(Architecture))
def test_every_architecture_as_torch_saves_it_passes(architecture: Architecture, client: TestClient) -> None:
    model = build_model(architecture)
    facts = {**FACTS, "architecture": str(architecture), "widths": list(get_widths(architecture, model))}
    content = save(
        {name: value.contiguous() for name, value in model.state_dict().items()}, metadata={"tonok": json.dumps(facts)}
    )
    assert send(client, content).status_code == 202
