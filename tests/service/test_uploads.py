"""Pictures and models over HTTP: received, kept, handed to a job, and answered."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from starlette.types import Message

from service.app import create_app
from storage import database as storage_database
from storage.attempts import finish_failed, finish_succeeded
from storage.database import Database, load_sqlite
from storage.settings import Settings
from storage.workers import record_heartbeat
from tests.service.conftest import Workshop, check_problem, claim_light
from tests.service.model_files import frame
from worker.names import NAME

PNG = {"Content-Type": "image/png"}
BINARY = {"Content-Type": "application/octet-stream"}
RESULT = {
    "predictions": [
        {
            "model_id": "mdl_1",
            "top": [{"class_index": 9, "class_name": "Ankle boot", "probability": 0.75}],
            "preprocessing": {
                "original_width": 2, "original_height": 2, "width": 28, "height": 28, "grayscale": False,
                "resized": True, "inverted": False, "steps": ["resized"], "mean": 0.3, "std": 0.4,
            },
        }
    ],
    "agree": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _worker(database: Database) -> None:
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=1, host="here", slots=1, info={})


def ask(client: TestClient, content: bytes = b"\x89PNG", key: str | None = None, **query: Any) -> Response:
    headers = PNG if key is None else PNG | {"Idempotency-Key": key}
    return client.post("/v1/models/latest/predict", params={"wait_s": 0} | query, content=content, headers=headers)


def test_a_picture_becomes_a_job_that_owns_it(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.train()
    answer = ask(client, b"\x89PNG picture", top_k=3, compare_to="latest")
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
    assert (job["kind"], job["model_id"], job["spec"]["top_k"]) == ("predict", model_id, 3)
    assert job["resolved_spec"]["compare_to"] == model_id
    (artifact,) = client.get(f"/v1/jobs/{job['id']}/artifacts").json()["artifacts"]
    assert (artifact["kind"], artifact["name"]) == ("upload", "picture.png")
    assert client.get(artifact["url"]).content == b"\x89PNG picture"


def test_a_prediction_whose_client_has_gone_is_not_waited_for(client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    messages = iter([{"type": "http.request", "body": b"\x89PNG", "more_body": False}])
    path = "/v1/models/latest/predict"
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"wait_s=30", "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1),
        "server": ("testserver", 80), "headers": [(b"host", b"testserver"), (b"content-type", b"image/png")],
    }  # fmt: skip

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    async def send(_message: Message) -> None:
        """Nobody is there."""

    async def predict() -> None:
        await client.app(scope, receive, send)

    started = time.monotonic()
    anyio.run(predict)
    assert time.monotonic() - started < 25
    assert len(client.get("/v1/jobs?kind=predict").json()["jobs"]) == 1


def test_the_answer_is_that_of_the_job(client: TestClient, workshop: Workshop, database: Database) -> None:
    workshop.train()
    job_id = ask(client, key="once").json()["id"]
    lease = claim_light(database)
    with database.transaction() as session:
        finish_succeeded(session, lease, result=RESULT, output_model_id=None, artifacts=[], models=[])
    answer = ask(client, key="once")
    assert (answer.status_code, answer.headers["idempotency-replayed"]) == (200, "true")
    # As a version before wrote it: what it did not tell is filled in.
    answered = answer.json()
    (prediction,) = answered.pop("predictions")
    assert answered == {"agree": None, "job_id": job_id, "warnings": []}
    assert prediction.pop("warnings") == []
    assert prediction["preprocessing"].pop("original_bits") == 8
    assert prediction["preprocessing"].pop("num_frames") == 1
    assert [prediction] == RESULT["predictions"]
    check_problem(ask(client, b"another picture", key="once"), 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("code", "status", "problem"),
    [
        ("invalid_picture", 422, "invalid_picture"),
        ("invalid_model", 409, "invalid_model"),
        ("out_of_memory", 503, "prediction_failed"),
    ],
)
def test_a_prediction_that_fails_is_a_problem(
    code: str, status: int, problem: str, client: TestClient, workshop: Workshop, database: Database
) -> None:
    workshop.train()
    ask(client, key="once")
    lease = claim_light(database)
    with database.transaction() as session:
        error = {"code": code, "title": "t", "detail": "the reason", "retryable": False}
        finish_failed(session, lease, error=error)
    assert ask(client, key="once").json()["code"] == problem
    assert ask(client, key="once").status_code == status


def test_pixels_are_kept_as_a_picture(client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    body = {"pixels": [[1, 2, 3], [255]]}
    job = client.post("/v1/models/latest/predict?wait_s=0", json=body).json()
    # PGM: a line of text and the bytes; the short row is filled up with black.
    content = client.get(f"/v1/jobs/{job['id']}/artifacts/picture.pgm").content
    assert content == b"P5 3 2 255\n\x01\x02\x03\xff\0\0"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"pixels": [[256]]}, "/pixels/0/0"),
        ({"pixels": [[-1]]}, "/pixels/0/0"),
        ({"pixels": [[0.5]]}, "/pixels/0/0"),
        ({"pixels": [[]]}, "/pixels/0"),
        ({"pixels": []}, "/pixels"),
        ({"pixel": [[1]]}, "/pixel"),
    ],
)
def test_wrong_pixels_are_named(body: dict[str, Any], pointer: str, client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    problem = client.post("/v1/models/latest/predict", json=body).json()
    assert problem["status"] == 422
    assert pointer in [item["pointer"] for item in problem["errors"]]


def test_what_cannot_be_asked_is_told_before_anything_is_kept(client: TestClient, workshop: Workshop) -> None:
    check_problem(ask(client), 404, "not_found", "model_id")
    workshop.train()
    check_problem(ask(client, compare_to="mdl_unknown"), 404, "not_found", "compare_to")
    check_problem(ask(client, top_k=0), 422, "validation_error", "top_k")
    gif = client.post("/v1/models/latest/predict", content=b"GIF89a", headers={"Content-Type": "image/gif"})
    check_problem(gif, 415, "unsupported_media_type", "Content-Type")
    assert client.get("/v1/jobs?kind=predict").json()["jobs"] == []


def test_without_a_worker_nobody_waits(client: TestClient, workshop: Workshop, database: Database) -> None:
    workshop.train()
    with database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM workernode")
    answer = ask(client, wait_s=30)
    check_problem(answer, 503, "no_worker")
    assert int(answer.headers["retry-after"]) > 0


def test_a_file_that_found_no_job_is_not_kept(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_queued_jobs": 1}))) as client:
        assert client.post("/v1/jobs/train", json={}).status_code == 202
        check_problem(client.post("/v1/models", content=frame(b"a model"), headers=BINARY), 429, "queue_full")
    assert [path for path in (settings.data_dir / "files").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("held", ["turn", "database"])
def test_a_file_that_waited_in_vain_to_be_queued_is_not_kept(
    held: str, settings: Settings, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_database, "_BUSY_TIMEOUT_MS", 200)  # production waits 15 s
    content = frame(b"a model")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client, ExitStack() as stack:
        if held == "turn":
            assert client.portal is not None
            turn = cast("FastAPI", client.app).state.group_commit.take_turn()
            stack.enter_context(client.portal.wrap_async_context_manager(turn))
        else:
            connection = load_sqlite().connect(data_dir / "tonok.db", isolation_level=None)
            stack.callback(connection.close)
            connection.execute("BEGIN IMMEDIATE")
        assert client.post("/v1/models", content=content, headers=BINARY).status_code == 503
        assert [path for path in (data_dir / "files").rglob("*") if path.is_file()] == []
        stack.close()
        # Once it has the turn, it is.
        assert client.post("/v1/models", content=content, headers=BINARY).status_code == 202
    (stored,) = [path for path in (data_dir / "files").rglob("*") if path.is_file()]
    assert stored.read_bytes() == content


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_over_the_limit_is_413(chunked: bool, settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"max_upload_bytes": 2048}))) as client:
        content = iter([bytes(1500), bytes(1500)]) if chunked else bytes(3000)
        largest = frame(bytes(2048 - 7))
        check_problem(client.post("/v1/models", content=content, headers=BINARY), 413, "body_too_large")
        assert client.post("/v1/models", content=largest, headers=BINARY).status_code == 202
    assert list(settings.data_dir.glob("tmp*")) == []


def test_a_model_of_ones_own_becomes_an_import_that_can_be_tried_again(client: TestClient, workshop: Workshop) -> None:
    content = frame(b"...")
    answer = client.post("/v1/models?name=mine&dataset=digits", content=content, headers=BINARY)
    job = answer.json()
    assert (answer.status_code, job["kind"], job["name"]) == (202, "import", "mine")
    assert job["spec"] == {"name": "mine", "dataset": "digits"}
    workshop.fail(workshop.claim())
    again = client.post(f"/v1/jobs/{job['id']}/retry").json()
    assert client.get(f"/v1/jobs/{again['id']}/artifacts/model.bin").content == content
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert client.get(f"/v1/jobs/{again['id']}/artifacts/model.bin").content == content


def test_an_import_with_a_key_happens_once(client: TestClient) -> None:
    headers = BINARY | {"Idempotency-Key": "mine"}
    ids = {client.post("/v1/models", content=frame(b"model"), headers=headers).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    check_problem(client.post("/v1/models", content=frame(b"other"), headers=headers), 422, "idempotency_key_reused")


def test_a_wrong_parameter_of_an_upload_is_named(client: TestClient) -> None:
    answer = client.post("/v1/models?dataset=svhn", content=b"m", headers=BINARY)
    check_problem(answer, 422, "validation_error", "dataset")
    check_problem(client.post("/v1/models", content=b"m", headers=PNG), 415, "unsupported_media_type", "Content-Type")


@pytest.mark.parametrize("name", [" ", "a\u200bb", "a\u202eb"], ids=ascii)
def test_a_name_that_nobody_can_read_is_refused_at_every_door(name: str, client: TestClient) -> None:
    answer = client.post("/v1/models", params={"name": name}, content=frame(b"model"), headers=BINARY)
    check_problem(answer, 422, "validation_error", "name")
    assert NAME not in answer.json()["detail"]
    check_problem(client.post("/v1/jobs/train", json={"name": name}), 422, "validation_error", "/name")
    check_problem(client.post("/v1/jobs/train", json={"labels": {"a": name}}), 422, "validation_error", "/labels/a")
    assert client.post("/v1/jobs/train", json={"name": "نیم\u200cفاصله"}).status_code == 202


def test_a_model_that_a_waiting_prediction_compares_to_is_kept(client: TestClient, workshop: Workshop) -> None:
    asked, compared = workshop.train(), workshop.train()
    job = client.post(
        f"/v1/models/{asked}/predict?wait_s=0&compare_to={compared}", content=b"\x89PNG", headers=PNG
    ).json()
    maker = client.get(f"/v1/models/{compared}").json()["job_id"]
    refused = client.delete(f"/v1/jobs/{maker}")
    check_problem(refused, 409, "conflict")
    assert job["id"] in refused.json()["detail"]
    client.post(f"/v1/jobs/{job['id']}/cancel")
    assert client.delete(f"/v1/jobs/{maker}").status_code == 204
    check_problem(client.post(f"/v1/jobs/{job['id']}/retry"), 404, "not_found", "compare_to")


def test_an_empty_body_is_called_that(client: TestClient, workshop: Workshop) -> None:
    # curl sends one, with a warning that is easily missed, where the file to send is not there.
    workshop.train()
    workshop.beat()
    for path, headers in (("/v1/models", BINARY), ("/v1/models/latest/predict", PNG)):
        check_problem(client.post(path, content=b"", headers=headers), 422, "empty_body", "")
    json = {"Content-Type": "application/json"}
    check_problem(client.post("/v1/jobs/train", content=b"", headers=json), 422, "empty_body", "")
    assert client.get("/v1/jobs?status=queued").json()["jobs"] == []
