"""POST /v1/jobs/<kind>: what is taken, what is refused, and how clearly."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings
from tests.service.conftest import Workshop, check_problem
from worker.jobs import POSTED_SPECS
from worker.jobs.train import TrainSpec


@pytest.mark.parametrize("kind", POSTED_SPECS)
def test_the_example_in_the_document_can_be_sent_unchanged(kind: str, client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    operation = client.get("/openapi.json").json()["paths"][f"/v1/jobs/{kind}"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = client.post(f"/v1/jobs/{kind}", json=example)
    assert answer.status_code == 202
    assert answer.json()["spec"] == example


def test_a_submitted_job_waits_and_says_where_to_follow_it(client: TestClient) -> None:
    answer = client.post("/v1/jobs/train", json={"epochs": 3, "labels": {"team": "vision"}, "name": "first"})
    job = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["retry-after"]) >= 1
    assert (job["status"], job["attempt"], job["name"], job["labels"]) == ("queued", 0, "first", {"team": "vision"})
    assert job["spec"] == {"epochs": 3, "labels": {"team": "vision"}, "name": "first"}
    assert job["resolved_spec"].keys() == TrainSpec.model_fields.keys()
    assert (job["resolved_spec"]["epochs"], job["resolved_spec"]["seed"]) == (3, 0)
    assert client.get(answer.headers["location"]).json() == job


def test_validate_only_answers_the_resolved_spec_and_starts_nothing(client: TestClient) -> None:
    answer = client.post("/v1/jobs/train?validate_only=true", json={"epochs": 3})
    assert answer.status_code == 200
    assert answer.json()["valid"] is True
    assert answer.json()["resolved_spec"]["optimizer"] == "sgd"
    assert client.get("/v1/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"architecture": "fashion_cnn", "widths": [4096, 4096, 4096]}, "/widths"),
        ({"architecture": "fashion_cnn", "batch_size": 8192}, "/batch_size"),
    ],
)
def test_what_no_process_has_the_memory_for_is_refused_by_its_field_and_told_beforehand(
    settings: Settings, database: Database, spec: dict[str, Any], pointer: str
) -> None:
    del database  # there, with its tables
    with TestClient(create_app(settings.model_copy(update={"max_job_bytes": 4 << 30}))) as client:
        for query in ("", "?validate_only=true"):
            answer = client.post(f"/v1/jobs/train{query}", json=spec)
            check_problem(answer, 422, "out_of_memory", pointer)
        assert client.get("/v1/jobs").json()["jobs"] == []
        small = client.post("/v1/jobs/train?validate_only=true", json={"dataset": "digits"}).json()
        large = client.post("/v1/jobs/train?validate_only=true", json={"batch_size": 1024}).json()
        assert 0 < small["estimated_memory_bytes"] < large["estimated_memory_bytes"] < 4 << 30
        assert client.post("/v1/jobs/train", json={"dataset": "digits"}).status_code == 202


def test_a_job_on_a_stored_model_is_estimated_by_the_model_s_shape(settings: Settings, database: Database) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_job_bytes": 4 << 30}))) as client:
        workshop = Workshop(client, database, FileStore(settings))
        shape = {"input_shape": [1, 28, 28], "class_names": list("0123456789"), "architecture": "fashion_cnn"}
        answers = []
        for widths in ([32, 64, 128], [2048, 2048, 2048]):
            workshop.submit()
            model_id = workshop.succeed(workshop.claim(), {**shape, "widths": widths})
            answers.append(client.post("/v1/jobs/prune?validate_only=true", json={"model_id": model_id}))
        assert answers[0].status_code == 200, answers[0].text
        check_problem(answers[1], 422, "out_of_memory", "/model_id")
        # Of a model that an older version has stored too little may be known.
        workshop.submit()
        model_id = workshop.succeed(workshop.claim(), {})
        told = client.post("/v1/jobs/prune?validate_only=true", json={"model_id": model_id}).json()
        assert told["estimated_memory_bytes"] is None


def test_steps_belong_to_a_step_by_step_schedule_alone(client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    for schedule, steps, epochs in (("one_shot", None, None), ("cubic", 6, 1)):
        body = {"model_id": "latest", "schedule": schedule}
        resolved = client.post("/v1/jobs/prune?validate_only=true", json=body).json()["resolved_spec"]
        assert (resolved["steps"], resolved["epochs_per_step"]) == (steps, epochs)


def test_latest_is_resolved_to_the_newest_trained_model_when_the_job_is_submitted(
    client: TestClient, workshop: Workshop
) -> None:
    workshop.train()
    newest = workshop.train()
    workshop.compress(newest)
    job = client.post("/v1/jobs/prune", json={"model_id": "latest"}).json()
    assert job["spec"]["model_id"] == "latest"
    assert job["resolved_spec"]["model_id"] == job["model_id"] == newest


def test_latest_without_a_trained_model_says_what_to_do(client: TestClient) -> None:
    problem = check_problem(client.post("/v1/jobs/prune", json={"model_id": "latest"}), 404, "not_found", "/model_id")
    assert "/v1/jobs/train" in problem["detail"]


@pytest.mark.parametrize("validate_only", ["false", "true"])
def test_an_unknown_model_is_404_and_names_the_field(validate_only: str, client: TestClient) -> None:
    answer = client.post(f"/v1/jobs/quantize?validate_only={validate_only}", json={"model_id": "mdl_0"})
    check_problem(answer, 404, "not_found", "/model_id")
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_a_quantized_model_is_refused_before_a_job_is_made_of_it(client: TestClient, workshop: Workshop) -> None:
    workshop.submit()
    model_id = workshop.succeed(workshop.claim(), {"bit_width": 4}, file_format="compressed", file_name="model.tonok")
    answer = client.post("/v1/jobs/prune", json={"model_id": model_id})
    check_problem(answer, 409, "conflict", "/model_id")


@pytest.mark.parametrize(
    ("kind", "spec", "pointer", "code"),
    [
        ("train", {"epochs": "3"}, "/epochs", "int_type"),
        ("train", {"epochs": True}, "/epochs", "int_type"),
        ("train", {"epochs": 2.5}, "/epochs", "int_type"),
        ("train", {"epochs": 0.0}, "/epochs", "greater_than_equal"),
        ("train", {"seed": 1e300}, "/seed", "int_type"),
        ("train", {"epochs": 0}, "/epochs", "greater_than_equal"),
        ("train", {"seed": 2**63}, "/seed", "less_than"),
        ("train", {"learning_rate": "0.1"}, "/learning_rate", "float_type"),
        ("prune", {"model_id": "latest", "distillation": 1}, "/distillation", "bool_type"),
        ("train", {"dataset": "svhn"}, "/dataset", "string_pattern_mismatch"),
        ("train", {"kind": "prune"}, "/kind", "literal_error"),
        ("train", {"epocs": 3}, "/epocs", "extra_forbidden"),
        ("train", {"labels": {"team": ""}}, "/labels/team", "string_pattern_mismatch"),
        ("train", {"labels": {"a/b": "x"}}, "/labels/a~1b", "string_pattern_mismatch"),
        ("train", {"name": "a\0b"}, "/name", "string_pattern_mismatch"),
        ("quantize", {"model_id": "latest", "bit_widths": [9, 8]}, "/bit_widths/0", "less_than_equal"),
        ("quantize", {"model_id": "latest", "bit_widths": [8, 8]}, "/bit_widths", "value_error"),
        ("quantize", {"model_id": "latest", "bit_widths": [*range(2, 9), 2]}, "/bit_widths", "too_long"),
        ("quantize", {"model_id": "latest", "bit_widths": []}, "/bit_widths", "too_short"),
        ("quantize", {"model_id": "latest", "bit_widths": [1]}, "/bit_widths/0", "greater_than_equal"),
        ("train", {"widths": [32, 64]}, "/widths", "value_error"),
        ("train", {"architecture": "mlp", "widths": [0]}, "/widths/0", "greater_than_equal"),
        ("prune", {"model_id": "latest", "pattern": "channels", "scope": "erk"}, "/scope", "value_error"),
        ("prune", {"model_id": "latest", "pattern": "channels", "sparsity": 0.95}, "/sparsity", "value_error"),
        ("prune", {"model_id": "latest", "steps": 3}, "/steps", "value_error"),
        (
            "prune",
            {"model_id": "latest", "epochs_per_step": 0},
            "/epochs_per_step",
            "value_error",
        ),
        ("prune", {}, "/model_id", "missing"),
        ("prune", {"model_id": "../../etc/passwd"}, "/model_id", "string_pattern_mismatch"),
        ("prune", {"model_id": "latest", "sparsity": 95}, "/sparsity", "less_than"),
    ],
)
def test_a_wrong_field_is_named(kind: str, spec: dict[str, Any], pointer: str, code: str, client: TestClient) -> None:
    problem = check_problem(client.post(f"/v1/jobs/{kind}", json=spec), 422, "validation_error", pointer)
    assert problem["errors"][0]["code"] == code
    assert problem["detail"].startswith(pointer)


def test_a_whole_number_may_have_a_point(client: TestClient) -> None:
    job = client.post("/v1/jobs/train", json={"epochs": 3.0, "architecture": "mlp", "widths": [8.0, 4]}).json()
    assert (job["spec"]["epochs"], job["spec"]["widths"]) == (3, [8, 4])
    assert isinstance(job["spec"]["epochs"], int)


def test_a_misspelt_field_is_answered_with_the_right_one(client: TestClient) -> None:
    problem = check_problem(client.post("/v1/jobs/train", json={"epocs": 3}), 422, "validation_error", "/epocs")
    assert "`epochs`" in problem["detail"]


def test_every_wrong_field_is_named_at_once_but_no_value_is_repeated(client: TestClient) -> None:
    spec = {"epochs": "s3cret", "batch_size": "s3cret", "dataset": "s3cret", "labels": {"x": ["s3cret"]}}
    answer = client.post("/v1/jobs/train", json=spec)
    check_problem(answer, 422, "validation_error", "/epochs", "/batch_size", "/dataset", "/labels/x")
    assert "s3cret" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"3",
        b'{"epochs": 3}{',
        b'{"name": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"name": "\xff"}',
        b'{"learning_rate": NaN}',
        b'{"learning_rate": Infinity}',
        b'{"learning_rate": 1e999}',
        b'{"epochs": ' + b"9" * 5000 + b"}",
        b'{"labels": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"[" * 100_000,
        b'{"epochs": 1, "epochs": "x"}',
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_hostile_json_is_the_clients_mistake_and_never_ours(body: bytes, client: TestClient) -> None:
    answer = client.post("/v1/jobs/train", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_thousand_unknown_fields_do_not_make_a_thousand_errors(client: TestClient) -> None:
    answer = client.post("/v1/jobs/train", json={f"field_{number}": 1 for number in range(1000)})
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 50
    assert "1000 fields" in answer.json()["detail"]


def test_nobody_waits_while_names_are_sought_for_unknown_fields_that_no_answer_tells_of(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each search takes a good part of a millisecond in the event loop; a body has room for 50,000 fields.
    searched = []
    find = difflib.get_close_matches

    def search(word: str, *arguments: Any, **options: Any) -> list[str]:
        searched.append(word)
        return find(word, *arguments, **options)

    monkeypatch.setattr(difflib, "get_close_matches", search)
    answer = client.post("/v1/jobs/train", json={"epoch": 1} | {f"field_{number}": 1 for number in range(1000)})
    assert "Did you mean `epochs`?" in answer.json()["errors"][0]["detail"]
    assert len(searched) <= 50


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml"])
def test_a_body_that_is_not_called_json_is_415(content_type: str | None, client: TestClient) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    problem = check_problem(
        client.post("/v1/jobs/train", content=b'{"epochs": 3}', headers=headers),
        415,
        "unsupported_media_type",
        "Content-Type",
    )
    assert "application/json" in problem["detail"]


def test_json_with_a_charset_is_json(client: TestClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/v1/jobs/train", content=b"{}", headers=headers).status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_413_whether_its_length_is_declared_or_not(chunked: bool, settings: Settings) -> None:
    small = settings.model_copy(update={"max_body_bytes": 2048})
    body = json.dumps({"name": "x" * 3000}).encode()
    with TestClient(create_app(small)) as client:
        answer = client.post(
            "/v1/jobs/train",
            content=iter([body[:1000], body[1000:]]) if chunked else body,
            headers={"Content-Type": "application/json"},
        )
        check_problem(answer, 413, "body_too_large")
        assert client.post("/v1/jobs/train", json={}).status_code == 202


def test_a_full_queue_is_429_with_a_time_to_come_back(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_queued_jobs": 1}))) as client:
        assert client.post("/v1/jobs/train", json={}).status_code == 202
        answer = client.post("/v1/jobs/train", json={})
        check_problem(answer, 429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0


def test_the_same_key_and_body_answer_the_first_job_again(client: TestClient) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = client.post("/v1/jobs/train", json={"epochs": 3}, headers=key)
    again = client.post(
        "/v1/jobs/train", content=b'{ "epochs" : 3 }', headers=key | {"Content-Type": "application/json"}
    )
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_the_same_key_with_another_body_or_kind_is_refused(client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    key = {"Idempotency-Key": "order-1"}
    client.post("/v1/jobs/prune", json={"model_id": "latest"}, headers=key)
    body = {"model_id": "latest", "sparsity": 0.5}
    check_problem(client.post("/v1/jobs/prune", json=body, headers=key), 422, "idempotency_key_reused")
    body = {"model_id": "latest"}
    check_problem(client.post("/v1/jobs/compress", json=body, headers=key), 422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 201, "a	b", "é"])
def test_an_idempotency_key_that_is_not_a_line_of_ascii_is_named(key: str, client: TestClient) -> None:
    answer = client.post("/v1/jobs/train", json={}, headers={b"Idempotency-Key": key.encode("latin-1")})
    check_problem(answer, 422, "validation_error", "Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"dataset": "digits", "epochs": 1, "epochs": 2}', "/epochs"),
        ('{"dataset": "digits", "labels": {"a": "1", "a": "1"}}', "/labels/a"),
    ],
)
def test_a_field_that_comes_twice_is_named(body: str, pointer: str, client: TestClient) -> None:
    # RFC 8259, 4: what a receiver makes of such an object is unpredictable.
    answer = client.post("/v1/jobs/train", content=body, headers={"Content-Type": "application/json"})
    check_problem(answer, 422, "validation_error", pointer)
    assert client.get("/v1/jobs").json()["jobs"] == []


def test_an_idempotency_key_that_comes_twice_is_refused(client: TestClient) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    answer = client.post("/v1/jobs/train", json={"dataset": "digits"}, headers=headers)
    check_problem(answer, 422, "repeated_parameter", "Idempotency-Key")
