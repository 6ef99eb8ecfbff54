"""The whole service as a client meets it: the API, and a real worker process that empties the queue."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from storage.settings import Settings

PATIENCE_S = 3600.0
"""For what takes a minute where nothing else runs: this ends a test that hangs, and no other."""


class Service:
    """Submits jobs by HTTP and has a worker run them."""

    def __init__(self, client: TestClient, settings: Settings) -> None:
        self.client, self.settings = client, settings

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def run(self, kind: str, **spec: Any) -> dict[str, Any]:
        """Submits one job and drains the queue; returns the job, which must have succeeded."""
        answer = self.client.post(f"/v1/jobs/{kind}", json=spec)
        assert answer.status_code == 202, answer.text
        self.drain()
        job = self.get(answer.headers["location"])
        assert job["status"] == "succeeded", job["error"]
        return job

    def drain(self) -> None:
        """Runs a worker until every job has ended."""
        environment = os.environ | {
            "TONOK_DATA_DIR": str(self.settings.data_dir),
            "TONOK_DATASET_DIR": str(self.settings.resolved_dataset_dir),
            "TONOK_THREADS_PER_SLOT": str(self.settings.resolved_threads_per_slot),
        }
        if self.settings.dataset_mirror is not None:
            environment["TONOK_DATASET_MIRROR"] = self.settings.dataset_mirror
        worker = subprocess.run(
            [sys.executable, "-m", "worker", "--drain"],
            env=environment,
            timeout=PATIENCE_S,
            check=False,
            capture_output=True,
        )
        assert worker.returncode == 0, worker.stderr.decode()

    def download(self, job_id: str, suffix: str) -> bytes:
        """The one artifact of a job whose name ends in `suffix`."""
        artifacts = self.get(f"/v1/jobs/{job_id}/artifacts")["artifacts"]
        (found,) = [artifact for artifact in artifacts if artifact["name"].endswith(suffix)]
        answer = self.client.get(f"/v1/jobs/{job_id}/artifacts/{found['id']}")
        assert answer.status_code == 200
        return answer.content


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    with TestClient(create_app(settings)) as client:
        yield Service(client, settings)
