"""Following, ending and finding jobs."""

from __future__ import annotations

import json
import re
import threading
import time

import anyio
import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from storage.database import Database
from storage.keys import create_key, revoke_key
from tests.service.conftest import Workshop, build_summary, check_problem
from tests.storage.conftest import lose_workers

READS = ["", "/events", "/stream", "/metrics", "/result", "/artifacts"]


def parse_frames(text: str) -> list[dict[str, str]]:
    """Server-sent events as their fields."""
    frames = [frame for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    return [dict(line.split(": ", 1) for line in frame.split("\n")) for frame in frames]


@pytest.mark.parametrize("path", READS)
def test_every_view_of_an_unknown_job_is_404(path: str, client: TestClient) -> None:
    check_problem(client.get(f"/v1/jobs/job_unknown{path}"), 404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")])
def test_an_unknown_job_cannot_be_changed(method: str, path: str, client: TestClient) -> None:
    check_problem(client.request(method, f"/v1/jobs/job_unknown{path}"), 404, "not_found")


def test_latest_is_the_job_submitted_last(client: TestClient, workshop: Workshop) -> None:
    check_problem(client.get("/v1/jobs/latest"), 404, "not_found", "job_id")
    workshop.submit("train")
    newest = workshop.submit("train")
    assert client.get("/v1/jobs/latest").json()["id"] == newest
    assert client.get("/v1/jobs/latest/events").json()["events"][0]["type"] == "queued"


@pytest.mark.parametrize(("method", "path"), [("POST", "/cancel"), ("DELETE", "")])
def test_what_is_stopped_or_deleted_must_be_named(
    method: str, path: str, client: TestClient, workshop: Workshop
) -> None:
    workshop.submit("train")
    check_problem(client.request(method, f"/v1/jobs/latest{path}"), 404, "not_found")


def test_a_running_job_shows_phase_and_progress(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.report(workshop.claim(), epoch=4, loss=0.5)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["phase"], job["attempt"]) == ("running", "training", 1)
    assert (job["progress"]["percent"], job["progress"]["epoch"], job["progress"]["eta_s"]) == (40.0, 4, None)
    assert job["started_at"].endswith("Z")
    assert job["finished_at"] is None


def test_a_failed_job_is_a_200_that_carries_its_error(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    answer = client.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200
    assert answer.json()["status"] == "failed"
    assert answer.json()["error"] == {
        "code": "diverged",
        "title": "Training diverged",
        "detail": "loss is not finite",
        "retryable": False,
    }


def test_a_job_that_has_not_changed_is_304(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    etag = client.get(f"/v1/jobs/{job_id}").headers["etag"]
    unchanged = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    workshop.claim()
    changed = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_a_long_poll_gives_up_after_its_time(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    started = time.monotonic()
    answer = client.get(f"/v1/jobs/{job_id}?wait_s=0.5")
    assert answer.json()["status"] == "queued"
    assert time.monotonic() - started >= 0.5


def test_a_long_poll_answers_when_the_job_ends(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    lease = workshop.claim()
    ending = threading.Timer(0.5, workshop.fail, [lease])
    ending.start()
    started = time.monotonic()
    answer = client.get(f"/v1/jobs/{job_id}?wait_s=30")
    ending.join()
    assert answer.json()["status"] == "failed"
    assert time.monotonic() - started < 25


def test_a_long_poll_with_an_etag_answers_at_the_first_change(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    etag = client.get(f"/v1/jobs/{job_id}").headers["etag"]
    start = threading.Timer(0.5, workshop.claim)
    start.start()
    answer = client.get(f"/v1/jobs/{job_id}?wait_s=30", headers={"If-None-Match": etag})
    start.join()
    assert (answer.status_code, answer.json()["status"]) == (200, "running")


def test_a_long_poll_whose_client_has_gone_frees_its_place(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": f"/v1/jobs/{job_id}",
        "raw_path": f"/v1/jobs/{job_id}".encode(), "query_string": b"wait_s=30", "root_path": "", "scheme": "http",
        "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1), "server": ("testserver", 80),
    }  # fmt: skip

    async def receive() -> Message:
        return next(messages, {"type": "http.disconnect"})

    async def send(_message: Message) -> None:
        """Nobody is there."""

    async def poll() -> None:
        await client.app(scope, receive, send)

    started = time.monotonic()
    anyio.run(poll)
    assert time.monotonic() - started < 25


@pytest.mark.slow
def test_a_long_poll_ends_when_its_key_is_revoked(client: TestClient, database: Database) -> None:
    with database.transaction() as session:
        key = create_key(session, "alice")
    headers = {"Authorization": f"Bearer {key.secret}"}
    job_id = client.post("/v1/jobs/train", json={}, headers=headers).json()["id"]

    def revoke() -> None:
        with database.transaction() as session:
            revoke_key(session, key.id)

    revoking = threading.Timer(0.5, revoke)
    revoking.start()
    answer = client.get(f"/v1/jobs/{job_id}?wait_s=30", headers=headers)
    revoking.join()
    check_problem(answer, 401, "invalid_key", "Authorization")


@pytest.mark.parametrize("wait_s", ["-1", "31", "soon", "nan"])
def test_a_wait_out_of_bounds_is_named(wait_s: str, client: TestClient) -> None:
    check_problem(client.get(f"/v1/jobs/job_1?wait_s={wait_s}"), 422, "validation_error", "wait_s")


def test_a_waiting_job_is_cancelled_at_once_and_again_without_effect(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    for _ in range(2):
        answer = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_a_running_job_is_cancelling_until_its_worker_has_stopped_it(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.claim()
    for _ in range(2):
        answer = client.post(f"/v1/jobs/{job_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelling")
        assert int(answer.headers["retry-after"]) > 0


def test_a_finished_job_cannot_be_cancelled(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    check_problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409, "conflict")


def test_a_retry_is_a_new_job_with_the_same_spec(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train", epochs=3, labels={"team": "vision"})
    check_problem(client.post(f"/v1/jobs/{job_id}/retry"), 409, "conflict")
    workshop.fail(workshop.claim())
    answer = client.post(f"/v1/jobs/{job_id}/retry")
    first, again = client.get(f"/v1/jobs/{job_id}").json(), answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/jobs/{again['id']}"
    assert again["id"] != job_id
    assert (again["status"], again["attempt"], again["error"]) == ("queued", 0, None)
    same = ["kind", "spec", "resolved_spec", "labels", "max_attempts"]
    assert {name: again[name] for name in same} == {name: first[name] for name in same}


def test_a_retry_with_a_key_happens_once(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    key = {"Idempotency-Key": "again"}
    ids = {client.post(f"/v1/jobs/{job_id}/retry", headers=key).json()["id"] for _ in range(2)}
    assert len(ids) == 1


def test_a_deleted_job_takes_its_model_and_files_along(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.train()
    job_id = client.get(f"/v1/models/{model_id}").json()["job_id"]
    sha256 = client.get(f"/v1/jobs/{job_id}/artifacts").json()["artifacts"][0]["sha256"]
    answer = client.delete(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    check_problem(client.get(f"/v1/jobs/{job_id}"), 404, "not_found")
    check_problem(client.get(f"/v1/models/{model_id}"), 404, "not_found")
    assert not workshop.files.has(sha256)


def test_a_job_that_runs_or_that_others_build_on_cannot_be_deleted(client: TestClient, workshop: Workshop) -> None:
    running = workshop.submit("train")
    check_problem(client.delete(f"/v1/jobs/{running}"), 409, "conflict")
    workshop.fail(workshop.claim())
    model_id = workshop.train()
    parent_job = client.get(f"/v1/models/{model_id}").json()["job_id"]
    # Who is told only that there is one would have to look for it among all jobs.
    waiting = workshop.submit("prune", model_id=model_id)
    assert waiting in check_problem(client.delete(f"/v1/jobs/{parent_job}"), 409, "conflict")["detail"]
    workshop.fail(workshop.claim())
    child_id = workshop.compress(model_id)
    detail = check_problem(client.delete(f"/v1/jobs/{parent_job}"), 409, "conflict")["detail"]
    assert {child_id, client.get(f"/v1/models/{child_id}").json()["job_id"]} <= set(re.findall(r"\w+_\w+", detail))


def test_events_are_numbered_and_continue_where_the_last_page_ended(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    lease = workshop.claim()
    workshop.report(lease, epoch=1, loss=0.7)
    workshop.fail(lease)
    first = client.get(f"/v1/jobs/{job_id}/events?limit=2").json()
    rest = client.get(f"/v1/jobs/{job_id}/events?after={first['next_after']}").json()
    events = first["events"] + rest["events"]
    assert [event["type"] for event in events] == ["queued", "started", "progress", "failed"]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert events[2]["data"]["message"] == "epoch 1"
    assert client.get(f"/v1/jobs/{job_id}/events?after=4").json() == {"events": [], "next_after": 4}


def test_the_stream_is_the_log_and_ends_with_done(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    lease = workshop.claim()
    workshop.report(lease, epoch=1, loss=0.7)
    ending = threading.Timer(0.5, workshop.fail, [lease])
    ending.start()
    answer = client.get(f"/v1/jobs/{job_id}/stream")
    ending.join()
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = parse_frames(answer.text)
    log = client.get(f"/v1/jobs/{job_id}/events").json()["events"]
    assert [json.loads(frame["data"]) for frame in frames[:-1]] == log
    assert [(frame["id"], frame["event"]) for frame in frames[:-1]] == [(str(e["seq"]), e["type"]) for e in log]
    assert frames[-1]["event"] == "done"
    assert json.loads(frames[-1]["data"])["status"] == "failed"


def test_a_stream_is_resumed_behind_the_last_event_seen(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    resumed = client.get(f"/v1/jobs/{job_id}/stream?after=1", headers={"Last-Event-ID": "2"})
    assert [frame["event"] for frame in parse_frames(resumed.text)] == ["failed", "done"]
    wrong = client.get(f"/v1/jobs/{job_id}/stream", headers={"Last-Event-ID": "two"})
    check_problem(wrong, 422, "validation_error", "last-event-id")


def test_series_hold_one_point_per_report_and_null_where_it_was_not_finite(
    client: TestClient, workshop: Workshop
) -> None:
    job_id = workshop.submit("train")
    lease = workshop.claim()
    for epoch, loss in enumerate([0.9, None, 0.4], start=1):
        workshop.report(lease, epoch, loss)
    losses = {1.0: 0.9, 2.0: None, 3.0: 0.4}
    points = [{"step": step, "value": loss, "attempt": 1} for step, loss in losses.items()]
    assert client.get(f"/v1/jobs/{job_id}/metrics").json() == {"series": {"train_loss": points}}
    thinned = client.get(f"/v1/jobs/{job_id}/metrics?name=train_loss&max_points=2").json()
    assert thinned == {"series": {"train_loss": [points[0], points[2]]}}
    assert client.get(f"/v1/jobs/{job_id}/metrics?name=accuracy").json() == {"series": {}}


def test_the_result_is_there_once_the_job_has_succeeded(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    lease = workshop.claim()
    check_problem(client.get(f"/v1/jobs/{job_id}/result"), 409, "conflict")
    model_id = workshop.succeed(lease, build_summary(test=0.93))
    result = client.get(f"/v1/jobs/{job_id}/result").json()
    assert (result["output_model_id"], result["result"]) == (model_id, {"epochs": 3})
    assert [artifact["name"] for artifact in result["artifacts"]] == ["model.safetensors"]


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_a_job_that_did_not_succeed_has_no_result(ending: str, client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    if ending == "failed":
        workshop.fail(workshop.claim())
    else:
        client.post(f"/v1/jobs/{job_id}/cancel")
    assert ending in check_problem(client.get(f"/v1/jobs/{job_id}/result"), 409, "conflict")["detail"]


def test_a_lost_workers_job_waits_again(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.claim()
    with workshop.database.transaction() as session:
        lose_workers(session)
    job = client.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["attempt"], job["max_attempts"]) == ("queued", 1, 2)
