"""Files that were written of a model for other programs."""

from __future__ import annotations

from fastapi.testclient import TestClient

from storage.artifacts import build_artifact
from storage.attempts import finish_succeeded
from tests.service.conftest import Workshop, check_problem


def export(workshop: Workshop, model_id: str, name: str, content: bytes, **spec: str) -> str:
    """Id of a finished export job that left one file."""
    job_id = workshop.submit("export", model_id=model_id, **spec)
    lease = workshop.claim()
    stored = workshop.files.put_bytes(content)
    artifact = build_artifact(
        job_id=job_id,
        kind="export",
        name=name,
        media_type="application/octet-stream",
        sha256=stored.sha256,
        num_bytes=stored.num_bytes,
    )
    with workshop.database.transaction() as session:
        finish_succeeded(session, lease, result={}, output_model_id=None, artifacts=[artifact], models=[])
    return job_id


def test_the_newest_export_of_each_format_is_among_the_files_of_its_model(
    client: TestClient, workshop: Workshop
) -> None:
    model_id = workshop.compress(workshop.train(), bit_width=4)
    export(workshop, model_id, "c.zip", b"first", target="c")
    export(workshop, model_id, "onnx-int4.onnx", b"small", target="onnx")
    newest = export(workshop, model_id, "c.zip", b"second", target="c")
    files = client.get(f"/v1/models/{model_id}").json()["files"]
    assert files.keys() == {"compressed", "c", "onnx-int4"}
    assert client.get(files["c"]["url"]).content == b"second"
    assert client.get(f"/v1/models/{model_id}/download?format=onnx-int4").content == b"small"
    # What jobs start from stays what is downloaded by default.
    assert client.get(f"/v1/models/{model_id}/download").content == b"0123456789"
    problem = check_problem(client.get(f"/v1/models/{model_id}/download?format=litert"), 404, "not_found", "format")
    assert "onnx-int4" in problem["detail"]
    assert client.delete(f"/v1/jobs/{newest}").status_code == 204
    assert client.get(f"/v1/models/{model_id}/download?format=c").content == b"first"


def test_an_export_that_has_not_ended_is_no_file(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.compress(workshop.train(), bit_width=4)
    workshop.submit("export", model_id=model_id, target="c")
    assert client.get(f"/v1/models/{model_id}").json()["files"].keys() == {"compressed"}
    workshop.fail(workshop.claim())
    assert client.get(f"/v1/models/{model_id}").json()["files"].keys() == {"compressed"}


def test_a_target_that_cannot_hold_the_model_is_refused_before_it_is_queued(
    client: TestClient, workshop: Workshop
) -> None:
    floats = workshop.train()
    integers = workshop.compress(floats, bit_width=4)
    for spec in (
        {"model_id": floats, "target": "c"},
        {"model_id": "latest", "target": "c"},
        {"model_id": floats, "target": "onnx", "weight_type": "int8"},
    ):
        check_problem(client.post("/v1/jobs/export", json=spec), 409, "conflict", "/model_id")
    for spec in ({"model_id": floats, "target": "onnx"}, {"model_id": integers, "target": "c"}):
        assert client.post("/v1/jobs/export", json=spec).status_code == 202
    wrong = {"model_id": integers, "target": "c", "weight_type": "int8"}
    assert client.post("/v1/jobs/export", json=wrong).status_code == 422
    assert client.post("/v1/jobs/export", json={"model_id": integers}).status_code == 422


def test_other_kinds_still_start_from_floats_alone(client: TestClient, workshop: Workshop) -> None:
    integers = workshop.compress(workshop.train(), bit_width=4)
    check_problem(client.post("/v1/jobs/prune", json={"model_id": integers}), 409, "conflict", "/model_id")


def test_a_model_that_was_measured_on_nothing_can_be_exported(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.train(not_measured="no data set here has its classes")
    assert client.post("/v1/jobs/export", json={"model_id": model_id, "target": "onnx"}).status_code == 202
    check_problem(client.post("/v1/jobs/prune", json={"model_id": model_id}), 422, "not_measured", "/model_id")
