"""Who comes in, and as whom."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from service.access import Caller, end_with_key
from service.app import create_app
from service.rate_limits import name_client
from storage.database import Database
from storage.files import FileStore
from storage.keys import create_key, revoke_key
from storage.settings import Settings
from tests.service.conftest import Workshop, check_problem
from tests.service.model_files import frame


def list_operations(client: TestClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation of the document."""
    paths = client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path, what) for path, methods in paths.items() for method, what in methods.items()]


def test_without_a_key_every_operation_but_the_probes_is_refused(guarded: TestClient) -> None:
    refused = {}
    for method, path, what in list_operations(guarded):
        answer = guarded.request(method, path)
        refused[path] = answer.status_code == 401
        if refused[path] and method != "HEAD":
            check_problem(answer, 401, "missing_key", "Authorization")
            assert answer.headers["www-authenticate"] == 'Bearer realm="tonok"'
            assert "401" in what["responses"]
            assert what["security"] == [{"api_key": []}]
    assert {path for path, was_refused in refused.items() if not was_refused} == {"/healthz", "/readyz"}
    assert guarded.get("/v1/nothing").status_code == 401
    for page in ("/docs", "/redoc", "/openapi.json", "/static/swagger-ui/swagger-ui.css"):
        assert guarded.get(page).status_code == 200


@pytest.mark.parametrize(
    "credentials",
    ["", "Bearer", "Bearer x", "Basic dG9ub2s6dG9ub2s=", f"Bearer tonok_{'a' * 43}", f"Bearer tonok_{'a' * 44}",
     f"tonok_{'a' * 43}", "Bearer ' OR 1=1 --"],
)  # fmt: skip
def test_a_wrong_key_is_refused_whatever_it_looks_like(credentials: str, guarded: TestClient) -> None:
    answer = guarded.get("/v1/jobs", headers={"Authorization": credentials})
    check_problem(answer, 401, "invalid_key", "Authorization")
    assert answer.headers["www-authenticate"] == 'Bearer realm="tonok", error="invalid_token"'


def test_a_revoked_key_is_refused_at_once(guarded: TestClient, database: Database) -> None:
    with database.transaction() as session:
        key = create_key(session, "alice")
    headers = {"Authorization": f"bearer {key.secret}"}
    assert guarded.get("/v1/jobs", headers=headers).status_code == 200
    with database.transaction() as session:
        revoke_key(session, key.id)
    check_problem(guarded.get("/v1/jobs", headers=headers), 401, "invalid_key", "Authorization")


def test_neither_the_path_in_host_nor_a_forged_one_leads_around_the_door(guarded: TestClient) -> None:
    for host in ("testserver/healthz?", "testserver/static/", "testserver/docs#"):
        assert guarded.get("/v1/jobs", headers={"Host": host}).status_code == 401
    for path in (
        "/static/../v1/jobs",
        "/static/%2e%2e/v1/jobs",
        "//v1/jobs",
        "/healthz/../v1/jobs",
        "/v1/jobs?/healthz",
    ):
        assert guarded.get(path).status_code in (401, 404)


def forget(answer: Response, *ids: str) -> tuple[int, dict[str, str], str]:
    """What an answer says, less what differs between any two requests."""
    text = answer.text
    for row_id in (*ids, answer.headers["x-request-id"]):
        text = text.replace(row_id, "ID")
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "date")}
    headers.pop("content-length", None)  # of the ids' lengths
    return answer.status_code, headers, text


@pytest.mark.slow
def test_somebody_elses_id_is_answered_as_one_that_does_not_exist(
    guarded: TestClient, enter: Callable[[str], TestClient], database: Database, files: FileStore
) -> None:
    alice, bob = enter("alice"), enter("bob")
    shop = Workshop(alice, database, files)
    model_id = shop.train()
    [finished] = alice.get("/v1/jobs").json()["jobs"]
    [artifact] = alice.get(finished["links"]["artifacts"]).json()["artifacts"]
    waiting = shop.submit("prune", model_id=model_id)
    known = {
        "job_id": (finished["id"], waiting),
        "model_id": (model_id,),
        "artifact_id": (artifact["id"], artifact["name"]),
    }
    unknown = {"job_id": "job_" + "0" * 26, "model_id": "mdl_" + "0" * 26, "artifact_id": "art_" + "0" * 26}
    tried = 0
    for method, path, what in list_operations(guarded):
        names = [name for name in known if f"{{{name}}}" in path]
        bodies = what.get("requestBody", {}).get("content", {})
        media_type = next(iter(bodies), "application/json")
        body = json.dumps(bodies.get(media_type, {}).get("example", {})).encode() if bodies else None
        # What could be answered 206 or 304 without a look at the owner.
        headers = {"Range": "bytes=0-0", "If-None-Match": "*", "Content-Type": media_type}
        for ids in itertools.product(*(known[name] for name in names)) if names else ():
            nobodys = [unknown[name] for name in names]
            there = path.format(**dict(zip(names, ids, strict=True)))
            nowhere = path.format(**dict(zip(names, nobodys, strict=True)))
            one = bob.request(method, there, content=body, headers=headers)
            other = bob.request(method, nowhere, content=body, headers=headers)
            assert one.status_code in (404, 422), (method, path, one.text)
            assert forget(one, *ids) == forget(other, *nobodys), (method, path)
            tried += 1
    assert tried >= 20
    assert alice.get(f"/v1/jobs/{waiting}").json()["status"] == "queued"
    assert alice.get(f"/v1/jobs/{finished['id']}").status_code == 200


@pytest.mark.slow
def test_lists_and_everything_that_names_no_id_show_only_ones_own(
    enter: Callable[[str], TestClient], database: Database, files: FileStore
) -> None:
    alice, bob = enter("alice"), enter("bob")
    shop = Workshop(alice, database, files)
    model_id = shop.train()
    shop.submit("train", labels={"team": "a"})
    shop.claim()
    assert len(alice.get("/v1/jobs?label=team=a").json()["jobs"]) == 1
    for query in ("", "?label=team=a", "?status=running", "?kind=train", f"?model_id={model_id}"):
        assert bob.get(f"/v1/jobs{query}").json()["jobs"] == []
    for query in ("", f"?parent_model_id={model_id}", f"?job_id={alice.get('/v1/jobs').json()['jobs'][-1]['id']}"):
        assert bob.get(f"/v1/models{query}").json()["models"] == []
    assert bob.get("/v1/pareto").json()["points"] == []
    assert set(bob.get("/v1/system").json()["jobs"].values()) == {0}
    check_problem(bob.get("/v1/jobs/latest"), 404, "not_found", "job_id")
    check_problem(bob.get("/v1/models/latest"), 404, "not_found", "model_id")
    mine = Workshop(bob, database, files).train()
    check_problem(bob.get(f"/v1/compare?models={mine},{model_id}"), 404, "not_found", "models")
    assert [point["model_id"] for point in bob.get("/v1/pareto").json()["points"]] == [mine]
    check_problem(bob.post("/v1/jobs/prune", json={"model_id": model_id}), 404, "not_found", "/model_id")
    assert bob.post("/v1/jobs/prune", json={"model_id": "latest"}).json()["model_id"] == mine


def test_a_page_token_of_another_owner_leads_to_ones_own_jobs(
    enter: Callable[[str], TestClient], database: Database, files: FileStore
) -> None:
    alice, bob = enter("alice"), enter("bob")
    for _ in range(3):
        Workshop(alice, database, files).submit("train")
    token = alice.get("/v1/jobs?page_size=1").json()["next_page_token"]
    assert bob.get(f"/v1/jobs?page_token={token}").json()["jobs"] == []


def test_the_same_idempotency_key_of_two_owners_makes_two_jobs(enter: Callable[[str], TestClient]) -> None:
    alice, bob = enter("alice"), enter("bob")
    ids = {
        client.post("/v1/jobs/train", json={"epochs": epochs}, headers={"Idempotency-Key": "k"}).json()["id"]
        for client, epochs in ((alice, 1), (bob, 2), (alice, 1), (bob, 2))
    }
    assert len(ids) == 2


def test_a_key_that_nobody_demands_still_says_whose_request_it_is(client: TestClient, database: Database) -> None:
    with database.transaction() as session:
        key = create_key(session, "alice")
    headers = {"Authorization": f"Bearer {key.secret}"}
    job_id = client.post("/v1/jobs/train", json={}, headers=headers).json()["id"]
    assert client.get(f"/v1/jobs/{job_id}").status_code == 404
    assert client.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200
    assert client.get("/v1/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_more_requests_than_a_minute_allows_are_429_and_shut_out_nobody_else(
    settings: Settings, database: Database
) -> None:
    strict = settings.model_copy(update={"require_key": True, "requests_per_minute": 3})
    with database.transaction() as session:
        alice, bob = ({"Authorization": f"Bearer {create_key(session, name).secret}"} for name in ("alice", "bob"))
    with TestClient(create_app(strict)) as client:
        for headers, usual in ((alice, 200), ({}, 401), ({"Authorization": f"Bearer tonok_{'a' * 43}"}, 429)):
            answers = [client.get("/v1/jobs", headers=headers) for _ in range(5)]
            assert answers[0].status_code == usual
            check_problem(answers[-1], 429, "too_many_requests")
            assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        # From the same address as all the refused ones.
        assert client.get("/v1/jobs", headers=bob).status_code == 200


def test_probes_are_answered_however_often_they_ask(settings: Settings) -> None:
    strict = settings.model_copy(update={"require_key": True, "requests_per_minute": 3})
    with TestClient(create_app(strict)) as client:
        assert {client.get("/healthz").status_code for _ in range(5)} == {200}
        assert 429 not in {client.get("/readyz").status_code for _ in range(5)}
        assert client.get("/v1/jobs").status_code == 401  # and they have used up nothing of the address


@pytest.mark.parametrize(
    ("one", "other", "is_one_client"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),  # one household
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),  # IPv4 as a socket for both families names it
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_addresses_are_counted_by_who_has_been_given_them(one: str, other: str, is_one_client: bool) -> None:
    assert (name_client(one) == name_client(other)) is is_one_client


@pytest.mark.slow
@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:9", "[::1]:8000", "192.168.0.7", "testserver"]
)
def test_without_keys_the_service_answers_to_addresses_and_to_names_it_was_told(host: str, client: TestClient) -> None:
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1",
     "127.0.0.1@evil.example", "1.2.3"],
)  # fmt: skip
def test_without_keys_a_name_made_to_point_here_is_refused(host: str, client: TestClient) -> None:
    check_problem(client.get("/v1/jobs", headers={"Host": host}), 421, "host_not_allowed", "Host")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "https://testserver"}, 202),  # behind a proxy that speaks TLS
        ({"Sec-Fetch-Site": "none"}, 202),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://testserver:3000"}, 403),
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_without_keys_a_page_of_another_site_changes_nothing(
    headers: dict[str, str], status: int, client: TestClient
) -> None:
    answer = client.post("/v1/jobs/train", json={}, headers=headers)
    assert answer.status_code == status, answer.text
    job_id = client.post("/v1/jobs/train", json={}).json()["id"]
    # What has no body has no media type that would give a foreign page away.
    stopped = client.post(f"/v1/jobs/{job_id}/cancel", headers=headers)
    assert stopped.status_code == (200 if status == 202 else 403)
    assert client.get(f"/v1/jobs/{job_id}").json()["status"] == ("cancelled" if status == 202 else "queued")
    assert len(client.get("/v1/jobs").json()["jobs"]) == (2 if status == 202 else 1)


def test_worker_rows_do_not_tell_of_other_peoples_jobs(
    enter: Callable[[str], TestClient], database: Database, files: FileStore
) -> None:
    alice = enter("alice")
    shop = Workshop(alice, database, files)
    job_id = shop.submit("train")
    shop.claim()
    shop.beat(jobs=[job_id])
    assert job_id in alice.get("/v1/system").text
    assert job_id not in enter("bob").get("/v1/system").text


PATHS = ["/v1/jobs", "/v1/jobs/job_none", "/v1/nothing", "/healthz", "/docs", "/openapi.json", "/metrics", "/broken",
         "/static/swagger-ui/swagger-ui.css", "/"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_tells_browsers_to_take_no_liberties_with_it(path: str, settings: Settings) -> None:
    app = create_app(settings)

    @app.get("/broken")
    def break_down() -> None:
        raise RuntimeError

    with TestClient(app, follow_redirects=False) as client:
        headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    # Files of pages are the same for everybody; a browser may keep them and asks whether they still are.
    assert headers["cache-control"] == ("no-cache" if path.startswith("/static/") else "no-store")
    assert "x-request-id" in headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    assert ("script-src" in policy) == (path in {"/", "/docs"})


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_policy_of_the_documentation_allows_the_scripts_that_are_in_it_and_no_others(
    page: str, client: TestClient
) -> None:
    answer = client.get(page)
    policy = answer.headers["content-security-policy"]
    inside = re.findall(r"<script>(.*?)</script>", answer.text, flags=re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inside]
    assert re.findall("'sha256-([^']+)'", policy) == hashes
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "unsafe-eval" not in policy


def test_a_stream_ends_when_its_key_is_revoked(database: Database) -> None:
    with database.transaction() as session:
        key = create_key(session, "alice")

    async def frames() -> AsyncIterator[bytes]:
        for number in range(3):
            yield bytes([number])
            if number == 1:
                with database.transaction() as session:
                    revoke_key(session, key.id)

    async def follow(key_id: str | None) -> list[bytes]:
        caller = Caller("alice", "req-1", key_id)
        return [frame async for frame in end_with_key(frames(), database, caller, recheck_s=0)]

    assert anyio.run(follow, key.id) == [b"\0", b"\1"]


def test_without_room_a_submission_is_507_and_leaves_nothing(settings: Settings) -> None:
    full = settings.model_copy(update={"max_data_bytes": 1})
    with TestClient(create_app(full)) as client:
        check_problem(client.post("/v1/jobs/train", json={}), 507, "disk_full")
        upload = client.post("/v1/models", content=b"x", headers={"Content-Type": "application/octet-stream"})
        check_problem(upload, 507, "disk_full")
        assert client.get("/v1/jobs").json()["jobs"] == []
    assert not list((settings.data_dir / "files").rglob("*"))


def test_uploads_that_come_one_right_after_the_other_do_not_pass_the_ceiling_together(settings: Settings) -> None:
    mib = 1024**2
    small = settings.model_copy(update={"max_data_bytes": 8 * mib, "min_free_bytes": 0})

    def send(client: TestClient, letter: bytes, num_bytes: int) -> Response:
        headers = {"Content-Type": "application/octet-stream"}
        return client.post("/v1/models", content=frame(letter * (num_bytes - 7)), headers=headers)

    with TestClient(create_app(small)) as client:
        check_problem(send(client, b"a", 9 * mib), 507, "disk_full")
        assert send(client, b"b", 4 * mib).status_code == 202
        check_problem(send(client, b"c", 4 * mib), 507, "disk_full")
        assert len(client.get("/v1/jobs").json()["jobs"]) == 1
    stored = [path.stat().st_size for path in (settings.data_dir / "files").rglob("*") if path.is_file()]
    assert stored == [4 * mib]
