"""`make storm`: jobs are submitted over HTTP while the API, the workers and their jobs are killed.

One API and two workers, real processes on a real socket, each started again as soon as it dies. Every named point of
points.py kills once, the other kills strike at random moments (`--seed`). In the middle a backup is taken. What must
hold afterwards is asked of the database, the files and the answers, in verdict.py.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.settings import Settings
from tests.faults.points import CHECKOUT, FOLDER_VARIABLE, POINTS, FaultFolder, Point
from tests.faults.verdict import Submission, Verdict, judge_storm

PATIENCE_S = 1200.0
"""For one step of the storm on a machine that others use too."""

_NUM_WORKERS = 2
_MAX_ATTEMPTS = 5
_MAX_WAITING = 20
_SETTINGS = {
    "TONOK_LEASE_TTL_S": "6",
    "TONOK_CANCEL_GRACE_S": "1",
    "TONOK_THREADS_PER_SLOT": "1",
    "TONOK_LOG_LEVEL": "WARNING",
}


@dataclass
class Service:
    """The processes under fire. `deaths` are those that nobody ordered: there must be none."""

    data_dir: Path
    faults: FaultFolder
    listening: socket.socket
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    deaths: list[str] = field(default_factory=list)
    log: Any = None
    _is_stopping: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def start(self, name: str) -> None:
        command = [sys.executable, "-m", "tests.faults.process"]
        if name == "api":
            command += ["service", "--fd", str(self.listening.fileno())]
        else:
            command += ["worker", "--jobs-module", "tests.faults.quick_jobs"]
        self.processes[name] = subprocess.Popen(
            command, env=self.environment, pass_fds=[self.listening.fileno()], stdout=self.log, stderr=self.log,
            start_new_session=True, cwd=CHECKOUT,
        )  # fmt: skip

    def keep_alive(self) -> None:
        """Starts again what has died, until told to stop: what a thread of its own does."""
        while not self._is_stopping.wait(0.02):
            for name, process in list(self.processes.items()):
                code = process.poll()
                if code is not None:
                    if code != -signal.SIGKILL:
                        self.deaths.append(f"{name} ended with {code}")
                    self.start(name)

    def list_targets(self) -> dict[str, list[int]]:
        """Kind of process → ids of those that live."""
        alive = {name: process.pid for name, process in self.processes.items() if process.poll() is None}
        workers = [pid for name, pid in alive.items() if name != "api"]
        return {
            "api": [alive["api"]] if "api" in alive else [],
            "worker": workers,
            "job": [child for worker in workers for child in _list_children(worker)],
        }

    def stop(self) -> None:
        """Asks everything to stop; what does not is a death that nobody ordered."""
        self._stop_keeping()
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            try:
                if (code := process.wait(PATIENCE_S)) not in (0, -signal.SIGTERM):
                    self.deaths.append(f"{name} ended with {code}")
            except subprocess.TimeoutExpired:
                self.deaths.append(f"{name} did not stop")

    def kill_all(self) -> None:
        self._stop_keeping()
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def start_all(self) -> None:
        for name in ("api", *(f"worker-{number}" for number in range(_NUM_WORKERS))):
            self.start(name)
        self._keeper = threading.Thread(target=self.keep_alive, name="keeper", daemon=True)
        self._keeper.start()

    def _stop_keeping(self) -> None:
        self._is_stopping.set()
        if self._keeper is not None:
            self._keeper.join()


def _list_children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Client:
    """Speaks HTTP and does not give up: what it sends again, it sends under the same Idempotency-Key."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        """Status and JSON of the first answer that is none of a service in trouble."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            request = urllib.request.Request(self._url + path, method=method)
            if body is not None:
                request.data = json.dumps(body).encode()
                request.add_header("Content-Type", "application/json")
            if key is not None:
                request.add_header("Idempotency-Key", key)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    content = answer.read()
                    return answer.status, json.loads(content) if content else None
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503):
                    return error.code, json.loads(error.read())
            except (
                OSError,
                ValueError,
                http.client.HTTPException,
            ):  # reset, closed before the answer, or an answer cut short
                pass
            time.sleep(0.05)
        raise TimeoutError(f"{method} {path}: no answer")


class Submitter(threading.Thread):
    """Submits, cancels some, deletes some that have ended; paced by the kills, so that the storm has always prey."""

    def __init__(self, client: Client) -> None:
        super().__init__(name="submitter", daemon=True)
        self._client = client
        self.allowed = 0
        self.is_closing = False
        self.submissions: list[Submission] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.is_closing or len(self.submissions) < self.allowed:
                if len(self.submissions) < self.allowed and self._count_waiting() < _MAX_WAITING:
                    self._submit(len(self.submissions))
                else:
                    time.sleep(0.05)
        except BaseException as error:  # noqa: BLE001 - told to the main thread, which raises it
            self.error = error

    def _submit(self, seed: int) -> None:
        spec: dict[str, Any] = {"seed": seed, "max_attempts": _MAX_ATTEMPTS}
        _, models = self._client.call("GET", "/v1/models?page_size=1")
        parent = next((model["id"] for model in models["models"]), None)
        # A fifth is pruned from what is there, a tenth waits for two steps of its own.
        kind = "train" if parent is None else {3: "prune", 5: "compress", 8: "prune"}.get(seed % 10, "train")
        if kind != "train":
            spec["model_id"] = parent
        status, job = self._client.call("POST", f"/v1/jobs/{kind}", spec, key=f"storm-{seed}")
        assert status == 202, (status, job)
        submission = Submission(job["id"], seed)
        self.submissions.append(submission)
        if seed % 20 == 10:
            status, _ = self._client.call("POST", f"/v1/jobs/{job['id']}/cancel")
            assert status in (200, 202, 409), status
        if seed % 10 == 9:
            self._delete_one()

    def _count_waiting(self) -> int:
        _, answer = self._client.call("GET", f"/v1/jobs?status=queued&page_size={_MAX_WAITING}")
        return len(answer["jobs"])

    def _delete_one(self) -> None:
        """The oldest job that nothing builds on; asked again, the answer may be that it is gone."""
        for submission in self.submissions:
            if submission.deleted:
                continue
            status, _ = self._client.call("DELETE", f"/v1/jobs/{submission.job_id}")
            if status in (204, 404):
                submission.deleted = True
                return


@dataclass(frozen=True)
class Storm:
    """How large: jobs, kills, and what the random ones are drawn from."""

    num_jobs: int
    num_kills: int
    seed: int


def run_storm(storm: Storm, folder: Path) -> Verdict:
    """Runs it in an empty folder and says what came of it. Raises AssertionError where it could not be run."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(512)
    data_dir = folder / "data"
    environment = os.environ | _SETTINGS | {"TONOK_DATA_DIR": str(data_dir), FOLDER_VARIABLE: str(folder / "faults")}
    with (folder / "service.log").open("ab") as log:
        service = Service(data_dir, FaultFolder(folder / "faults"), listening, environment, log=log)
        try:
            return _run(storm, service, folder)
        finally:
            service.kill_all()
            listening.close()


def _run(storm: Storm, service: Service, folder: Path) -> Verdict:
    chance = random.Random(storm.seed)
    strikes: list[Point | None] = [*POINTS, *[None] * (storm.num_kills - len(POINTS))]
    chance.shuffle(strikes)
    service.start_all()
    client = Client(service.url)
    submitter = Submitter(client)
    submitter.start()
    killed: dict[str, int] = {}
    backup: subprocess.Popen[bytes] | None = None
    for number, point in enumerate(strikes):
        submitter.allowed = max(submitter.allowed, 8, storm.num_jobs * (number + 1) // len(strikes))
        if number == len(strikes) // 2:
            backup = subprocess.Popen(
                [sys.executable, "-m", "storage", "backup", str(folder / "backup")],
                env=service.environment, stdout=service.log, stderr=service.log, cwd=CHECKOUT,
            )  # fmt: skip
        kinds = _strike_at_random(service, chance) if point is None else _strike_at(service, point, client, submitter)
        for kind in kinds:
            killed[kind] = killed.get(kind, 0) + 1
        print(f"{number + 1:3} {' + '.join(kinds)}", flush=True)
    submitter.allowed = max(submitter.allowed, storm.num_jobs)
    submitter.is_closing = True
    _wait(lambda: not submitter.is_alive(), "everything to be submitted")
    if submitter.error is not None:
        raise submitter.error
    for submission in submitter.submissions:
        if not submission.deleted:
            _wait_for_end(client, submission)
    assert backup is not None
    backup_code = backup.wait(PATIENCE_S)
    service.stop()
    settings = Settings(data_dir=service.data_dir, database_url=None)
    return judge_storm(
        settings, submitter.submissions, killed, service.deaths, folder / "backup" if backup_code == 0 else None
    )


def _strike_at_random(service: Service, chance: random.Random) -> list[str]:
    """Kills an API, a worker or a job's process, after a moment in which it has come to do something."""
    kind = chance.choice(("api", "worker", "job", "job"))
    time.sleep(chance.uniform(0.3, 1.5))
    _wait(lambda: bool(service.list_targets()[kind]), f"a living {kind}")
    victims = service.list_targets()[kind]
    with suppress(ProcessLookupError):
        os.kill(chance.choice(victims), signal.SIGKILL)
    return [f"{kind} at random"]


def _strike_at(service: Service, point: Point, client: Client, submitter: Submitter) -> list[str]:
    """Arms the point and waits until somebody has died there; what else was killed for it to be reached, first."""
    service.faults.arm(point)
    kinds = []
    deadline = time.monotonic() + PATIENCE_S
    lose_at = time.monotonic()
    while service.faults.is_armed(point):
        assert time.monotonic() < deadline, f"nobody came by {point.name}"
        assert submitter.error is None, submitter.error
        assert not service.deaths, service.deaths
        time.sleep(0.1)
        if point.name.startswith("recover") and time.monotonic() > lose_at and _holds_jobs(client):
            # Reached only by whoever takes over: a worker has to be lost, while it holds a job.
            for worker in service.list_targets()["worker"][:1]:
                os.kill(worker, signal.SIGKILL)
                kinds.append("worker that holds a job")
            lose_at = time.monotonic() + 10
        # Whatever the point needs (a job to end, to be deleted, to be taken over), more jobs will bring it about.
        if submitter.allowed == len(submitter.submissions) and _is_idle(client):
            submitter.allowed += 1
    return [*kinds, point.name]


def _holds_jobs(client: Client) -> bool:
    _, answer = client.call("GET", "/v1/jobs?status=running&page_size=2")
    return len(answer["jobs"]) == 2


def _is_idle(client: Client) -> bool:
    _, answer = client.call("GET", "/v1/jobs?status=queued&page_size=1")
    return not answer["jobs"]


def _wait(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def _wait_for_end(client: Client, submission: Submission) -> None:
    def has_ended() -> bool:
        _, job = client.call("GET", f"/v1/jobs/{submission.job_id}")
        submission.answered_status = job["status"]
        return submission.answered_status in ("succeeded", "failed", "cancelled")

    _wait(has_ended, f"the end of {submission.job_id}")


def main() -> int:
    """Prints what was killed and what came of it; 0 where everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tonok-storm-") as folder:
        started = time.monotonic()
        verdict = run_storm(Storm(arguments.jobs, arguments.kills, arguments.seed), Path(folder))
        print(verdict.describe(), f"{time.monotonic() - started:.0f} s", sep="\n")
        if verdict.faults:
            print((Path(folder) / "service.log").read_text("utf-8")[-20_000:], file=sys.stderr)
    return 1 if verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
