"""Has an older state of the code write a data directory, for test_upgrades.py to open with today's code.

    git worktree add /tmp/old 35393ab
    python -m tests.upgrades.make_directory /tmp/old tests/upgrades/directories/35393ab.tar.xz

The older state's own service does everything, over HTTP, on the digits that scikit-learn brings along. Everything is
then killed, while a job runs, one waits and, where that state knows studies, one is half done. To keep the archive
small each plot is replaced by the same picture of one pixel, in its row as in the store; nothing else is touched.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_PATIENCE_S = 1200.0
_TINY = {"dataset": "digits", "architecture": "mlp", "widths": [8, 8], "epochs": 3, "learning_rate": 0.05}
_LONG = {**_TINY, "epochs": 500, "patience": 500}
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b80000"
    "000049454e44ae426082"
)


class Client:
    """Asks the older state's API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def call(self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None) -> Any:
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        media_type = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(
            self._url + path, content, {"Content-Type": media_type} if content is not None else {}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def read(self, path: str) -> bytes:
        with urllib.request.urlopen(self._url + path, timeout=60) as response:
            content: bytes = response.read()
        return content

    def submit(self, kind: str, **spec: Any) -> str:
        return str(self.call("POST", f"/v1/jobs/{kind}", {"name": f"old {kind}", **spec})["id"])

    def wait(self, job_id: str, statuses: Sequence[str] = ("succeeded", "failed", "cancelled")) -> Any:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            job = self.call("GET", f"/v1/jobs/{job_id}")
            if job["status"] in statuses:
                return job
            if time.monotonic() > deadline:
                raise TimeoutError(f"{job_id} is still {job['status']}")
            time.sleep(0.1)

    def has(self, path: str) -> bool:
        document = self.call("GET", "/openapi.json")
        return path in document["paths"]


def write_directory(client: Client) -> dict[str, str]:
    """What the archive holds, by the name that the test calls it; the service is then to be killed."""
    has_studies = client.has("/v1/jobs/study")
    jobs = {"trained": client.submit("train", labels={"team": "a"}, **_TINY)}
    model_id = client.wait(jobs["trained"])["output_model_id"]
    started: dict[str, tuple[str, dict[str, Any]]] = {
        "pruned": ("prune", {"sparsity": 0.5}),
        "quantized": ("quantize", {"bit_widths": [4], "mode": "post_training"}),
        "failed": ("train", {**_LONG, "max_runtime_s": 1}),
    }
    for name, (kind, spec) in started.items():
        base = {} if kind == "train" else {"model_id": model_id}
        jobs[name] = client.submit(kind, **base, **spec)
    for name in started:
        client.wait(jobs[name])
    if has_studies:
        client.call("POST", f"/v1/models/{model_id}/predict", {"pixels": [[0] * 8] * 3 + [[255] * 8] * 2})
        checkpoint = client.read(f"/v1/models/{model_id}/download?format=checkpoint")
        jobs["imported"] = client.call("POST", "/v1/models?name=imported", checkpoint)["id"]
        client.wait(jobs["imported"])
        jobs["study"] = client.submit(
            "study", dataset="digits", architecture="mlp", widths=[8, 8], epochs=2, controls=False
        )
        _wait_for_steps(client, jobs["study"], 2)
    else:
        # Held by a lease when all is killed, as a step of the study is. With one slot whatever comes later waits.
        jobs["running"] = client.submit("train", **_LONG)
        client.wait(jobs["running"], ["running"])
    jobs["queued prune"] = client.submit("prune", model_id=model_id, max_accuracy_drop=50.0)
    jobs["queued channels"] = client.submit("prune", model_id=model_id, pattern="channels", sparsity=0.5)
    jobs["queued steps"] = client.submit("prune", model_id=model_id, schedule="linear", sparsity=0.5, steps=2)
    jobs["queued train"] = client.submit("train", **_TINY)
    jobs["queued quantize"] = client.submit("quantize", model_id=model_id, bit_widths=[4], mode="post_training")
    jobs["queued retry"] = client.call("POST", f"/v1/jobs/{jobs['pruned']}/retry")["id"]
    return jobs


def _wait_for_steps(client: Client, job_id: str, count: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        steps = client.call("GET", f"/v1/jobs?parent_job_id={job_id}")["jobs"]
        if sum(step["status"] == "succeeded" for step in steps) >= count and any(
            step["status"] == "running" for step in steps
        ):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the study does not come forward")
        time.sleep(0.05)


def shrink_plots(data_dir: Path) -> None:
    """Replaces every plot by one pixel."""
    sha256 = hashlib.sha256(_PIXEL).hexdigest()
    with closing(sqlite3.connect(data_dir / "tonok.db")) as connection:
        query = "SELECT DISTINCT sha256 FROM artifact WHERE name LIKE '%.png'"
        plots = [row[0] for row in connection.execute(query).fetchall()]
        with connection:
            connection.execute(
                "UPDATE artifact SET sha256 = ?, num_bytes = ? WHERE name LIKE '%.png'", (sha256, len(_PIXEL))
            )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("VACUUM")
    files = data_dir / "files"
    for plot in plots:
        (files / plot[:2] / plot[2:]).unlink()
    pixel = files / sha256[:2] / sha256[2:]
    pixel.parent.mkdir(exist_ok=True)
    pixel.write_bytes(_PIXEL)


def main() -> None:
    """Runs the checkout's service on a free port, writes the archive."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrades.make_directory")
    parser.add_argument("checkout", type=Path, help="a worktree of the older state")
    parser.add_argument("archive", type=Path, help="the .tar.xz to write")
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="tonok-directory-") as folder:
        data_dir = Path(folder) / "data"
        environment = os.environ | {"TONOK_DATA_DIR": str(data_dir), "TONOK_PORT": str(port), "TONOK_SLOTS": "1"}
        service = subprocess.Popen(
            [sys.executable, "-m", "service.supervisor"],
            cwd=arguments.checkout, env=environment | {"PYTHONPATH": str(arguments.checkout)}, start_new_session=True,
        )  # fmt: skip
        try:
            client = Client(port)
            _wait_until_ready(client)
            jobs = write_directory(client)
        finally:
            # Nothing may end in good order: the supervisor first, or it would start the others again. It is stopped
            # and not killed yet, for with its end the worker would be told to stop, and give its job back.
            service.send_signal(signal.SIGSTOP)
            for child in _list_children(service.pid):
                os.kill(child, signal.SIGKILL)
            service.kill()
            service.wait()
        time.sleep(3)
        shrink_plots(data_dir)
        (data_dir / "jobs.json").write_text(json.dumps(jobs, indent=1), encoding="utf-8")
        for name in ("datasets", "logs"):
            shutil.rmtree(data_dir / name, ignore_errors=True)
        with tarfile.open(arguments.archive, "w:xz") as archive:
            archive.add(data_dir, "data")
    print(f"{arguments.archive}: {arguments.archive.stat().st_size} bytes, {json.dumps(jobs)}")


def _list_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_until_ready(client: Client) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            client.call("GET", "/readyz")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


if __name__ == "__main__":
    main()
