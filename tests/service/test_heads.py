"""HEAD: GET's status and headers without its content, on every path that has a GET."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.service.conftest import Workshop, find_artifact

OF_EACH_REQUEST = {"x-request-id", "date"}


@pytest.mark.slow
@pytest.mark.usefixtures("heartbeat")
def test_head_answers_as_get_does_on_every_path(client: TestClient, workshop: Workshop) -> None:
    dataset_id = workshop.bring_dataset()
    model_id = workshop.compress(workshop.train())
    path, _ = find_artifact(client, model_id)
    job_id, artifact_id = path.split("/")[3], path.split("/")[5]
    documented = client.get("/openapi.json").json()["paths"]
    paths = [path for path, operations in documented.items() if "get" in operations]
    assert len(paths) > 20
    for template in ["/docs", "/openapi.json", "/v1/nothing", "/v1/jobs/job_unknown", *paths]:
        asked = template.format(job_id=job_id, model_id=model_id, artifact_id=artifact_id, dataset_id=dataset_id)
        query = {"models": f"{model_id},{model_id}"} if asked == "/v1/compare" else {}
        got, head = client.get(asked, params=query), client.head(asked, params=query)
        assert (head.status_code, head.content) == (got.status_code, b""), asked
        known = {name: value for name, value in got.headers.items() if name not in OF_EACH_REQUEST}
        told = {name: value for name, value in head.headers.items() if name not in OF_EACH_REQUEST}
        if asked in ("/metrics", "/v1/system"):  # what they tell has changed since: seconds, and one request more
            known["content-length"] = told["content-length"]
        assert told == known, asked


def test_head_knows_what_the_client_has(client: TestClient, workshop: Workshop) -> None:
    path = f"/v1/jobs/{workshop.submit('train')}"
    etag = client.head(path).headers["etag"]
    assert etag == client.get(path).headers["etag"]
    known = client.head(path, headers={"If-None-Match": etag})
    assert (known.status_code, known.headers["etag"]) == (304, etag)


def test_head_of_a_stream_does_not_wait_for_the_job(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")  # nobody runs it
    head = client.head(f"/v1/jobs/{job_id}/stream")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in head.headers


def test_where_there_is_nothing_to_get_head_is_405_too(client: TestClient) -> None:
    for path in ("/v1/jobs/train", "/v1/size-estimates"):
        answer = client.head(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
