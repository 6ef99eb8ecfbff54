"""Swagger fills its forms from the document: what it fills in must work as it stands."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.service.conftest import Workshop
from tests.service.model_files import ZIP, frame

# What stops or deletes must be named, and nobody can know the name beforehand.
NAMED = {"cancel_job", "delete_job", "delete_dataset"}
# Needs a worker: tests/fuzz and the README's commands send it.
ANSWERED_BY_A_WORKER = {"predict", "get_readiness"}


FILES = {"upload_dataset": ZIP}
"""Files whose head is looked at have one of their kind."""


def find_example(parameter: dict[str, Any]) -> Any:
    """What Swagger shows in the parameter's field, or None."""
    return parameter.get("example", parameter["schema"].get("default"))


def list_bodies(operation: dict[str, Any]) -> list[Any]:
    """What Swagger lets one choose from for the body; one None where it shows none."""
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return [example["value"] for example in media.get("examples", {}).values()] or [media.get("example")]


def send_example(client: TestClient, path: str, method: str, operation: dict[str, Any], body: Any) -> Response:
    values = {
        place: {
            parameter["name"]: example
            for parameter in operation.get("parameters", [])
            if parameter["in"] == place and (example := find_example(parameter)) is not None
        }
        for place in ("path", "query", "header")
    }
    if "artifact_id" in values["path"]:
        assert values["path"]["artifact_id"] == "log-1.txt"
        values["path"]["artifact_id"] = "model.safetensors"  # the workshop writes no log
    content = operation.get("requestBody", {}).get("content", {})
    kind = {"Content-Type": next(iter(content))} if content else {}
    return client.request(
        method,
        path.format(**values["path"]),
        params=values["query"],
        headers=values["header"] | kind,
        # A file has no example, and an empty one is refused.
        content=json.dumps(body)
        if body is not None
        else FILES.get(operation["operationId"], frame(b"a file"))
        if content
        else None,
    )


def test_every_example_can_be_sent_unchanged(client: TestClient, workshop: Workshop) -> None:
    workshop.bring_dataset()
    workshop.train()
    workshop.submit("train")
    workshop.fail(workshop.claim())
    workshop.train()
    document = client.get("/openapi.json").json()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] not in NAMED | ANSWERED_BY_A_WORKER
    ]
    # What reads comes first, for `latest` is then a job that has succeeded; and what submits it again before what
    # submits another.
    operations.sort(key=lambda found: (found[1] == "post", found[2]["operationId"] != "retry_job"))
    for path, method, operation in operations:
        for body in list_bodies(operation):
            answer = send_example(client, path, method, operation, body)
            assert answer.status_code < 400, (operation["operationId"], answer.text)
    assert len(operations) > 25
    chosen = [operation["operationId"] for _, _, operation in operations if len(list_bodies(operation)) > 1]
    assert chosen == ["estimate_size"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["get", "post", "delete", "head"])
def test_every_parameter_of_a_path_shows_an_example(method: str, client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    missing = [
        (path, parameter["name"])
        for path, operations in paths.items()
        for parameter in operations.get(method, {}).get("parameters", [])
        if parameter["in"] == "path" and find_example(parameter) is None
    ]
    assert missing == []


@pytest.mark.parametrize("method", ["get", "post", "delete", "head"])
def test_every_example_of_a_path_has_the_shape_that_the_document_says(method: str, client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    parameters = [
        parameter for operations in paths.values() for parameter in operations.get(method, {}).get("parameters", [])
    ]
    for parameter in parameters:
        if parameter["in"] == "path" and "pattern" in parameter["schema"]:
            assert re.search(parameter["schema"]["pattern"], find_example(parameter)), parameter


def test_no_parameter_of_the_document_is_null_and_no_schema_without_a_name(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                assert {"type": "null"} not in parameter["schema"].get("anyOf", [])
            for media in operation.get("requestBody", {}).get("content", {}).values():
                assert "$ref" in media["schema"] or media["schema"] == {
                    "type": "string",
                    "format": "binary",
                    "minLength": 1,
                }
    assert [
        name for name in document["components"]["schemas"] if name.startswith(("Body_", "HTTP", "Validation"))
    ] == []


def test_what_may_be_answered_everywhere_is_said_of_every_operation(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # The service stops, or its database is locked: see tests/faults.
            missing = {"406", "408", "413", "414", "503"} - set(operation["responses"])
            assert not missing, (path, operation["operationId"])
