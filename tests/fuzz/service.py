"""The real service on loopback, with small real models, for tests that send it anything at all.

What is submitted here is never trained: a caretaker cancels it. Predictions and their worker are real.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
PATIENCE_S = 300.0
TRAIN = {"dataset": "digits", "architecture": "lenet5", "widths": [4, 8, 16, 16], "epochs": 2, "learning_rate": 0.02}


class Service:
    """Where it listens and lies, and a few calls to it."""

    def __init__(self, port: int, folder: Path, key: str | None = None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON. Raises OSError for anything but a success."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        request = urllib.request.Request(self.url + path, data=content, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait_until_up(self) -> None:
        """Until it is ready to run jobs."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError):
                self.call("GET", "/readyz")
                return
            assert time.monotonic() < deadline, "it never came up"
            time.sleep(0.2)

    def finish(self, kind: str, spec: Mapping[str, Any]) -> str:
        """Runs a job to its success; returns its id."""
        job_id: str = self.call("POST", f"/v1/jobs/{kind}", spec)["id"]
        deadline = time.monotonic() + PATIENCE_S
        while (job := self.call("GET", f"/v1/jobs/{job_id}?wait_s=5"))["status"] in ("queued", "running"):
            assert time.monotonic() < deadline, "it never ended"
        assert job["status"] == "succeeded", job["error"]
        return job_id

    def cancel_waiting(self) -> None:
        """Cancels every job that waits for a slot."""
        for job in self.call("GET", "/v1/jobs?status=queued&page_size=200")["jobs"]:
            if job["kind"] != "predict":
                self.call("POST", f"/v1/jobs/{job['id']}/cancel")


@contextmanager
def run_service(folder: Path, *, with_key: bool = False) -> Iterator[Service]:
    """An API and a worker, a trained and a quantized model, and a caretaker. with_key: only a key lets anybody in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = os.environ | {
        "TONOK_DATA_DIR": str(folder / "data"),
        "TONOK_PORT": str(port),
        "TONOK_THREADS_PER_SLOT": "1",
        "TONOK_LOG_LEVEL": "WARNING",
        # What is too large for this machine is no matter of the document; and nothing of it is run.
        "TONOK_MAX_JOB_BYTES": str(1 << 60),
    }
    if with_key:
        # Who asks thousands of things within a minute is what this is about.
        environment |= {"TONOK_REQUIRE_KEY": "true", "TONOK_REQUESTS_PER_MINUTE": "1000000"}
    service = Service(port, folder, _make_key(environment) if with_key else None)
    with (folder / "service.log").open("ab") as log:

        def start(*command: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-m", *command], cwd=CHECKOUT, env=environment, stdout=log, stderr=log
            )

        processes = [start("service"), start("worker")]
        try:
            service.wait_until_up()
            service.finish("train", TRAIN)
            service.finish("quantize", {"model_id": "latest", "bit_widths": [4], "mode": "post_training"})
            processes[1].terminate()
            processes[1].wait(PATIENCE_S)
            processes[1] = start("worker", "--light")
            service.wait_until_up()
            with _caretaker(service):
                yield service
            assert [process.poll() for process in processes] == [None, None], "a process has died"
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(PATIENCE_S)


def _make_key(environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "service.keys", "create", "--owner", "fuzz"]
    return subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@contextmanager
def _caretaker(service: Service) -> Iterator[None]:
    stop = threading.Event()

    def take_care() -> None:
        while not stop.wait(0.2):
            with suppress(OSError):
                service.cancel_waiting()

    thread = threading.Thread(target=take_care)
    thread.start()
    yield
    stop.set()
    thread.join()
