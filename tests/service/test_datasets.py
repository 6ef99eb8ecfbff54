"""Pictures of one's own over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from storage.database import Database
from storage.jobs import get_job
from tests.service.conftest import DATASET_SUMMARY, Workshop, check_problem
from tests.service.model_files import ZIP

ZIPPED = {"Content-Type": "application/zip"}


def test_a_file_of_pictures_becomes_a_job_with_what_was_asked(client: TestClient, database: Database) -> None:
    asked: dict[str, Any] = {"size": 32, "mode": "pad", "channels": 3, "seed": 7, "name": "my pictures"}
    answer = client.post("/v1/datasets", params=asked, content=ZIP, headers=ZIPPED)
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["name"]) == ("import_dataset", "my pictures")
    with database.read() as session:
        spec = get_job(session, job["id"]).resolved_spec
    assert {name: spec["options"][name] for name in ("size", "mode", "channels", "seed")} == {
        "size": 32, "mode": "pad", "channels": 3, "seed": 7
    }  # fmt: skip
    (upload,) = client.get(f"/v1/jobs/{job['id']}/artifacts").json()["artifacts"]
    assert (upload["kind"], upload["num_bytes"]) == ("upload", len(ZIP))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"size": 4}, "size"),
        ({"size": 225}, "size"),
        ({"mode": "fold"}, "mode"),
        ({"channels": 2}, "channels"),
        ({"test_fraction": 1}, "test_fraction"),
        ({"sise": 32}, "sise"),
        ({"name": " "}, "name"),
    ],
)
def test_what_cannot_be_asked_names_its_parameter(client: TestClient, asked: dict[str, Any], field: str) -> None:
    answer = client.post("/v1/datasets", params=asked, content=ZIP, headers=ZIPPED)
    assert answer.status_code == 422
    assert field in answer.text
    assert client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    "head", [b"\x1f\x8b\x08", b"\x93NUMPY", b"\x80\x04", b"\x89PNG", b"<!doctype html>", b"PK\x05\x06", b"?"]
)
def test_what_no_format_begins_with_is_refused_before_there_is_a_job(client: TestClient, head: bytes) -> None:
    answer = client.post("/v1/datasets", content=head, headers=ZIPPED)
    check_problem(answer, 422, "invalid_dataset", "")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_the_same_file_with_the_same_key_is_one_job(client: TestClient) -> None:
    headers = ZIPPED | {"Idempotency-Key": "once"}
    first, again = (client.post("/v1/datasets", content=ZIP, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    check_problem(
        client.post("/v1/datasets", params={"size": 32}, content=ZIP, headers=headers), 422, "idempotency_key_reused"
    )


def test_what_was_brought_is_listed_shown_and_deleted(client: TestClient, workshop: Workshop) -> None:
    dataset_id = workshop.bring_dataset()
    (own,) = client.get("/v1/datasets").json()["own"]
    for shown in (own, client.get(f"/v1/datasets/{dataset_id}").json(), client.get("/v1/datasets/latest").json()):
        assert shown["id"] == dataset_id
        assert {name: shown["summary"][name] for name in DATASET_SUMMARY} == DATASET_SUMMARY
    sheet = client.get(own["contact_sheet"])
    assert (sheet.status_code, sheet.headers["content-type"]) == (200, "image/png")
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    assert client.get("/v1/datasets").json()["own"] == []
    check_problem(client.get(f"/v1/datasets/{dataset_id}"), 404, "not_found")
    check_problem(client.get("/v1/datasets/latest"), 404, "not_found", "dataset_id")
    check_problem(client.get(f"/v1/jobs/{own['job_id']}"), 404, "not_found")


def test_one_that_a_model_was_made_on_is_not_deleted(client: TestClient, workshop: Workshop) -> None:
    dataset_id = workshop.bring_dataset()
    workshop.train(dataset=dataset_id)
    check_problem(client.delete(f"/v1/datasets/{dataset_id}"), 409, "conflict")
    assert client.get(f"/v1/datasets/{dataset_id}").status_code == 200


@pytest.mark.parametrize("question", ["", "?validate_only=true"])
def test_a_study_of_pictures_that_are_too_small_for_its_network_is_refused(
    question: str, client: TestClient, workshop: Workshop
) -> None:
    dataset_id = workshop.bring_dataset(input_shape=[3, 8, 8])
    asked = {"dataset": dataset_id, "architecture": "lenet5"}
    check_problem(client.post(f"/v1/jobs/study{question}", json=asked), 422, "validation_error", "/architecture")


def test_single_pictures_are_refused_where_a_batch_norm_has_no_deviation_of_one(
    client: TestClient, workshop: Workshop
) -> None:
    for size, status in ((32, 422), (64, 202)):
        dataset_id = workshop.bring_dataset(input_shape=[3, size, size])
        asked = {"dataset": dataset_id, "architecture": "torchvision:resnet18", "batch_size": 1}
        answer = client.post("/v1/jobs/train", json=asked)
        assert answer.status_code == status
        if status == 422:
            check_problem(answer, 422, "validation_error", "/batch_size")
        assert client.post("/v1/jobs/train", json=asked | {"batch_size": 2}).status_code == 202


def test_pictures_that_may_not_be_mirrored_are_not_asked_to_be(client: TestClient, workshop: Workshop) -> None:
    for dataset in ("digits", workshop.bring_dataset(is_mirrorable=False)):
        asked = {"dataset": dataset, "flip": True}
        check_problem(client.post("/v1/jobs/train", json=asked), 422, "validation_error", "/flip")
        for flip in (None, False):
            assert client.post("/v1/jobs/train", json=asked | {"flip": flip}).status_code == 202
    for dataset in ("fashion_mnist", workshop.bring_dataset(is_mirrorable=True)):
        assert client.post("/v1/jobs/train", json={"dataset": dataset, "flip": True}).status_code == 202


def test_a_data_set_of_which_no_picture_may_validate_trains_nothing(client: TestClient, workshop: Workshop) -> None:
    for counts, status in (
        ({"train": [1] * 3, "test": [1] * 3}, 422),
        ({"train": [1, 2, 1], "test": [1] * 3}, 200),
        ({"train": [1] * 3, "validation": [1] * 3, "test": [1] * 3}, 200),
    ):
        dataset_id = workshop.bring_dataset(counts=counts)
        for kind in ("train", "study"):
            answer = client.post(
                f"/v1/jobs/{kind}?validate_only=true", json={"dataset": dataset_id, "architecture": "resnet_small"}
            )
            if status == 422:
                check_problem(answer, 422, "validation_error", "/dataset")
            else:
                assert answer.status_code == 200
