"""Data directories that older states of the code wrote, opened by today's: `make_directory.py` made them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.service.processes import CHECKOUT, find_free_port

ARCHIVES = sorted((Path(__file__).parent / "directories").glob("*.tar.xz"))
_PATIENCE_S = 1800.0
_STOP_S = 90.0
_ENDED = ("succeeded", "failed", "cancelled")


class Upgraded:
    """Today's service on an older state's directory. jobs: what the directory holds, by the name given there."""

    def __init__(self, url: str, jobs: Mapping[str, str]) -> None:
        self._url = url
        self.jobs = jobs

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                read = response.read()
                is_json = "json" in response.headers["Content-Type"]
                return response.status, json.loads(read) if is_json else read
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def get(self, path: str) -> Any:
        status, answer = self.call("GET", path)
        assert status == 200, (path, answer)
        return answer

    def wait(self, job_id: str, is_there: Any = lambda job: job["status"] in _ENDED) -> Any:
        deadline = time.monotonic() + _PATIENCE_S
        while not is_there(job := self.get(f"/v1/jobs/{job_id}")):
            assert time.monotonic() < deadline, f"waited in vain for {job_id}, which is {job['status']}"
            time.sleep(0.2)
        return job

    def find_changes(self, job_id: str) -> set[str]:
        """The fields that were not run as they were stored."""
        events = self.get(f"/v1/jobs/{job_id}/events?limit=1000")["events"]
        return {event["data"]["field"] for event in events if event["data"].get("code") == "spec_changed"}


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Upgraded]:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    port = find_free_port()
    environment = os.environ | {
        "TONOK_DATA_DIR": str(tmp_path / "data"), "TONOK_PORT": str(port), "TONOK_SLOTS": "1",
        "TONOK_LEASE_TTL_S": "5", "TONOK_THREADS_PER_SLOT": "1",
    }  # fmt: skip
    service = subprocess.Popen([sys.executable, "-m", "service.supervisor"], cwd=CHECKOUT, env=environment)
    found = Upgraded(f"http://127.0.0.1:{port}", json.loads((tmp_path / "data" / "jobs.json").read_text()))
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if found.call("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            assert service.poll() is None, "the service does not start"
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield found
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(_STOP_S)


def test_there_is_a_directory_to_open() -> None:
    assert len(ARCHIVES) >= 2
    assert all(path.stat().st_size < 300_000 for path in ARCHIVES)


@pytest.mark.slow
@pytest.mark.minutes
def test_everything_in_an_older_states_directory_is_read_and_goes_on(upgraded: Upgraded) -> None:
    jobs = dict(upgraded.jobs)
    models = upgraded.get("/v1/models?page_size=100")["models"]
    assert {model["job_id"] for model in models} >= {jobs["trained"], jobs["pruned"], jobs["quantized"]}
    if "running" in jobs:
        # Its worker is gone: it is taken over. Hours of training are not waited for.
        taken_over = upgraded.wait(jobs["running"], lambda job: job["num_starts"] == 2)
        assert (taken_over["status"], taken_over["attempt"]) == ("running", 1)
        upgraded.call("POST", f"/v1/jobs/{jobs['running']}/cancel")
        assert upgraded.wait(jobs.pop("running"))["status"] == "cancelled"

    ended = {name: upgraded.wait(job_id) for name, job_id in jobs.items()}
    assert {name: (job["status"], job["error"]) for name, job in ended.items() if name != "failed"} == dict.fromkeys(
        ended.keys() - {"failed"}, ("succeeded", None)
    )
    assert ended["failed"]["error"]["code"] == "deadline_exceeded"
    assert all(job["attempt"] <= job["max_attempts"] == 2 for job in ended.values())
    # Named where it was stored with what is forbidden now: until 100fb74 every one-shot job was.
    for name in ("queued prune", "queued channels", "queued retry", "queued steps", "queued train"):
        stored = ended[name]["resolved_spec"]
        is_forbidden = stored.get("schedule") == "one_shot" and stored["steps"] is not None
        assert upgraded.find_changes(jobs[name]) == ({"steps", "epochs_per_step"} if is_forbidden else set())

    status, again = upgraded.call("POST", f"/v1/jobs/{jobs['pruned']}/retry")
    assert status == 202
    assert upgraded.wait(again["id"])["status"] == "succeeded"

    picture = {"pixels": [[0] * 8] * 3 + [[255] * 8] * 2 + [[0] * 8] * 3}
    for model in models:
        for part in ("", "/size", "/layers", "/sparsity", "/download"):
            upgraded.get(f"/v1/models/{model['id']}{part}")
        status, answer = upgraded.call("POST", f"/v1/models/{model['id']}/predict?wait_s=30&top_k=10", picture)
        while status == 202:
            answer = upgraded.wait(answer["id"])["result"]
            status = 200
        assert status == 200, answer
        assert sum(found["probability"] for found in answer["predictions"][0]["top"]) == pytest.approx(1.0)
    for page in ("/v1/jobs?page_size=100", "/metrics", "/v1/pareto"):
        upgraded.get(page)
