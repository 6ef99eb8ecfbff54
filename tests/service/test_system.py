"""What can be asked for, how the service stands, and the documents that describe it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from service.app import create_app
from service.errors import STATUS, get_status
from storage import errors
from storage.database import Database
from storage.settings import Settings
from storage.workers import record_heartbeat
from tests.service.conftest import Workshop, check_problem
from worker import catalog
from worker.jobs import POSTED_SPECS

STATIC = Path(__file__).parents[2] / "service" / "static"


@pytest.fixture
def heartbeat(database: Database) -> None:
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=4711, host="here", slots=2, info={"torch": "2.15.0"})


@pytest.mark.usefixtures("heartbeat")
def test_the_system_page_shows_settings_workers_queue_and_disk(client: TestClient, workshop: Workshop) -> None:
    workshop.submit("train")
    system = client.get("/v1/system").json()
    assert system["slots"] == 2
    assert system["workers"][0] | {"silent_s": 0} == {
        "id": "wrk_1", "pid": 4711, "host": "here", "slots": 2, "info": {"torch": "2.15.0"}, "silent_s": 0,
    }  # fmt: skip
    assert system["jobs"]["queued"] == 1
    assert 0 < system["disk"]["free_bytes"] < system["disk"]["total_bytes"]
    assert system["settings"]["port"] == 8000
    assert re.fullmatch(r"3\.\d+\.\d+.*", system["versions"]["python"])


def test_the_system_page_shows_no_secret(settings: Settings) -> None:
    secret = settings.model_copy(
        update={
            "database_url": SecretStr(f"sqlite:///{settings.data_dir}/hunter2.db"),
            "dataset_mirror": "https://me:hunter2@example.org/data?token=hunter2",
        }
    )
    with TestClient(create_app(secret)) as client:
        answer = client.get("/v1/system")
    assert "hunter2" not in answer.text
    assert answer.json()["settings"]["dataset_mirror"] == "https://example.org/data"


def test_methods_list_every_name_with_a_line_about_it(client: TestClient) -> None:
    methods = client.get("/v1/methods").json()
    assert [kind["name"] for kind in methods["job_kinds"]] == list(POSTED_SPECS)
    prune = next(kind for kind in methods["job_kinds"] if kind["name"] == "prune")
    assert prune["json_schema"]["properties"]["max_accuracy_drop"]["maximum"] == 100
    names = {choice["name"] for choice in methods["choices"]["pruning_method"]}
    assert names == {method.value for method in catalog.PruningMethod}
    nameless = [
        choice["name"] for group in methods["choices"].values() for choice in group if not choice["description"]
    ]
    assert nameless == []


def test_the_version_is_that_of_the_project(client: TestClient) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert client.get("/v1/system").json()["versions"]["tonok"] == project["version"]
    assert client.get("/openapi.json").json()["info"]["version"] == project["version"]


def test_data_sets_are_listed_with_a_line_about_each(client: TestClient) -> None:
    datasets = client.get("/v1/datasets").json()["datasets"]
    assert [dataset["name"] for dataset in datasets] == [
        "fashion_mnist", "digits", "mnist", "kmnist", "emnist", "qmnist", "usps", "cifar10", "cifar100", "stl10",
        "gtsrb", "eurosat", "imagenette",
    ]  # fmt: skip
    assert all(dataset["description"] for dataset in datasets)


def test_every_domain_error_has_a_status_and_only_faults_of_ours_are_500() -> None:
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.DomainError)]
    assert set(STATUS) <= set(classes)
    ours = {cls for cls in classes if get_status(cls) == 500}
    # What can be told when a job is submitted is the client's, though it may also come to be told later.
    execution = {cls for cls in classes if issubclass(cls, errors.JobError)} - {errors.TooMuchMemory}
    assert ours == {errors.DomainError, errors.CorruptFile} | execution


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("GET", "/static/../app.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/app.py", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int, code: str, client: TestClient) -> None:
    check_problem(client.request(method, path), status, code)


def test_a_wrong_method_is_told_all_the_right_ones(client: TestClient) -> None:
    assert client.put("/v1/jobs/job_1").headers["allow"] == "DELETE, GET, HEAD"
    assert client.put("/v1/jobs/train").headers["allow"] == "POST"
    assert client.post("/v1/models/mdl_1/download").headers["allow"] == "GET, HEAD"


def test_a_kind_that_there_is_not_is_404_and_a_method_that_there_is_not_405(client: TestClient) -> None:
    problem = check_problem(client.post("/v1/jobs/trian", json={}), 404, "not_found")
    assert "`train`" in problem["detail"]
    answer = client.post("/v1/jobs/job_01KAS0000000000000000000000", json={})
    check_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "DELETE, GET, HEAD"
    assert client.post("/static/swagger-ui/swagger-ui.css").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/v1/jobs", "text/html", 406),
        ("/v1/jobs", "application/xml, text/*;q=0.5", 406),
        ("/v1/jobs", "application/json;q=0", 406),
        ("/v1/jobs", "application/json;q=0, */*", 406),
        ("/v1/jobs", "text/html, */*;q=0.1", 200),
        ("/v1/jobs", "application/*", 200),
        ("/v1/jobs", "Application/JSON; charset=utf-8", 200),
        ("/v1/jobs", "", 200),
        ("/v1/jobs", "nonsense", 200),
        ("/metrics", "text/plain", 200),
        ("/metrics", "application/json", 406),
        ("/docs", "image/png", 200),
    ],
)
def test_a_form_that_nobody_has_is_406(path: str, accept: str, status: int, client: TestClient) -> None:
    answer = client.get(path, headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        check_problem(answer, 406, "not_acceptable", "Accept")


def test_a_stream_is_for_who_reads_streams(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    workshop.fail(workshop.claim())
    path = f"/v1/jobs/{job_id}/stream"
    check_problem(client.get(path, headers={"Accept": "application/json"}), 406, "not_acceptable", "Accept")
    assert client.get(path, headers={"Accept": "text/event-stream"}).status_code == 200


def test_a_path_that_has_no_end_is_414(client: TestClient) -> None:
    check_problem(client.get(f"/v1/jobs?label={'x' * 9000}"), 414, "uri_too_long", "query")
    check_problem(client.get(f"/v1/jobs/{'x' * 9000}"), 414, "uri_too_long", "query")


def test_a_packed_body_is_415(client: TestClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = client.post("/v1/jobs/train", content=b"\x1f\x8b", headers=headers)
    check_problem(answer, 415, "unsupported_content_encoding", "Content-Encoding")


def test_an_unexpected_error_is_a_500_that_tells_nothing(settings: Settings) -> None:
    app: FastAPI = create_app(settings)

    @app.get("/broken")
    def break_down() -> None:
        raise RuntimeError("the password is hunter2")

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken", headers={"X-Request-ID": "req-7"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["request_id"]) == ("internal_error", "req-7")
    assert (answer.headers["x-request-id"], answer.headers["x-content-type-options"]) == ("req-7", "nosniff")
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text


def test_a_request_id_is_taken_over_if_it_is_a_sane_one(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", headers={"X-Request-ID": "a b\x7f"}).headers["x-request-id"] != "a b\x7f"


def test_any_host_name_is_answered(client: TestClient) -> None:
    assert client.get("/healthz", headers={"Host": "tonok.example.org:8443"}).status_code == 200


def test_every_operation_of_the_document_can_be_told_apart_and_explains_itself(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert [o["operationId"] for o in operations if not (o.get("summary") and o.get("description") and o["tags"])] == []
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []


@pytest.mark.slow
def test_every_reference_of_the_document_leads_somewhere(client: TestClient) -> None:
    answer = client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    referenced = set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text))
    assert referenced <= set(schemas)
    assert "HTTPValidationError" not in referenced


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_documentation_needs_no_other_server(page: str, client: TestClient) -> None:
    html = client.get(page).text
    addresses = re.findall(r'(?:src|href|url)\s*[=:]\s*["\']([^"\']+)["\']', html)
    assert addresses
    for address in addresses:
        assert address.startswith("/"), address
        assert client.get(address).status_code == 200


FETCHED = re.compile(
    r"""(?:\bsrc\s*[:=]|\bsrcset\s*[:=]|@import|\bimport\b(?:\s*\(|[^"'`;]*\bfrom\b)?|\bfetch\(|\burl\()\s*"""
    r"""["'`]?\s*((?:https?:)?//[^"'`)\s]+)"""
)
"""An address of another host where a browser fetches what it names: no link, which waits until somebody follows it."""


def test_nothing_that_a_browser_is_given_names_another_host_to_fetch_from(client: TestClient) -> None:
    assert FETCHED.findall('e("img",{src:"https://a.b/c.svg"}) url(//d.e/f) import x from "https://g.h"') == [
        "https://a.b/c.svg", "//d.e/f", "https://g.h",
    ]  # fmt: skip
    paths = ["/", "/docs", "/redoc"]
    paths += [f"/static/{file.relative_to(STATIC).as_posix()}" for file in STATIC.rglob("*") if file.is_file()]
    served = {path: answer for path in paths if (answer := client.get(path)).status_code == 200}
    assert {"/", "/docs", "/redoc", "/static/redoc/redoc.standalone.js"} < served.keys()
    for path, answer in served.items():
        if not path.endswith((".md", ".txt", "LICENSE")):
            assert FETCHED.findall(answer.text) == [], path
            # Where a link tag, unlike a link, is fetched.
            assert re.findall(r"<link\b[^>]*href=[\"'](?:https?:)?//", answer.text) == [], path
            # And what slips through, the browser refuses.
            assert re.search(r"https?:|\*", answer.headers["content-security-policy"]) is None, path
    # Its own default would send every document's address there.
    assert '"validatorUrl": null' in served["/docs"].text
