"""What a file of a job is served as."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from storage.artifacts import build_artifact
from storage.attempts import finish_succeeded
from tests.service.conftest import Workshop
from worker.engine.outcome import guess_media_type

TYPES = {
    "report.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "report.pdf": "application/pdf",
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "bit-widths.png": "image/png",
    "table.csv": "text/csv; charset=utf-8",
    "log.txt": "text/plain; charset=utf-8",
    "model.safetensors": "application/octet-stream",
    "compressed.tonok": "application/octet-stream",
    "no-suffix": "application/octet-stream",
}


@pytest.mark.parametrize("name", TYPES)
def test_a_file_is_served_as_what_its_name_says(name: str, client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    stored = workshop.files.put_bytes(b"content")
    # As worker/engine/publish.py does.
    artifact = build_artifact(
        job_id=job_id,
        kind="report",
        name=name,
        media_type=guess_media_type(name),
        sha256=stored.sha256,
        num_bytes=stored.num_bytes,
    )
    lease = workshop.claim()
    with workshop.database.transaction() as session:
        finish_succeeded(session, lease, result={}, output_model_id=None, artifacts=[artifact], models=[])
    answer = client.get(f"/v1/jobs/{job_id}/artifacts/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[name])
    (listed,) = client.get(f"/v1/jobs/{job_id}/artifacts").json()["artifacts"]
    assert listed["media_type"].partition(";")[0] == TYPES[name].partition(";")[0]
