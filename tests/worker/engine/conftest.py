"""Real workers: `python -m worker` on a database of the test's own, with the kinds of sample_jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.jobs import get_job, submit_job
from storage.settings import Settings
from storage.steps import compute_step_hash
from storage.tables import Job
from tests.worker.sample_jobs import SampleSpec

_PATIENCE_S = 300.0


class Bench:
    """One data directory, the workers started on it, and the jobs sent to them."""

    def __init__(self, settings: Settings, database: Database, witness: Path) -> None:
        self.settings = settings
        self.database = database
        self.witness = witness
        self._workers: list[subprocess.Popen[bytes]] = []

    def submit(self, action: str, *, more: Mapping[str, Any] | None = None, **options: Any) -> str:
        """more: of the stored spec; options: of the row."""
        spec: dict[str, Any] = {"kind": "sample", "action": action, "witness": str(self.witness)}
        values: dict[str, Any] = {"kind": "sample", "max_attempts": 2, "max_runtime_s": 300, **options}
        resolved = SampleSpec.model_validate(spec).model_dump(mode="json")
        with self.database.transaction() as session:
            job, _ = submit_job(
                session, spec=spec, resolved_spec={**spec, **(more or {})}, name=None, labels={}, model_id=None,
                max_queued=1000, step_hash=compute_step_hash(session, resolved, 1), **values,
            )  # fmt: skip
        return job.id

    def start_worker(self, *, drain: bool = False, light: bool = False) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "worker", "--jobs-module", "tests.worker.sample_jobs"]
        environment = os.environ | {
            "TONOK_DATA_DIR": str(self.settings.data_dir),
            "TONOK_LEASE_TTL_S": str(self.settings.lease_ttl_s),
            "TONOK_CANCEL_GRACE_S": str(self.settings.cancel_grace_s),
            "TONOK_THREADS_PER_SLOT": "1",
            "TONOK_MIN_FREE_BYTES": str(self.settings.min_free_bytes),
        }
        if self.settings.max_job_bytes is not None:
            environment["TONOK_MAX_JOB_BYTES"] = str(self.settings.max_job_bytes)
        environment["TONOK_MAX_LOG_BYTES"] = str(self.settings.max_log_bytes)
        worker = subprocess.Popen(command + ["--drain"] * drain + ["--light"] * light, env=environment)
        self._workers.append(worker)
        return worker

    def drain(self, *, light: bool = False) -> None:
        """Runs one worker until every job has ended, or every light one."""
        assert self.start_worker(drain=True, light=light).wait(_PATIENCE_S) == 0

    def get(self, job_id: str) -> Job:
        with self.database.read() as session:
            return get_job(session, job_id)

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Polls until `what` is true; fails after five minutes."""
        deadline = time.monotonic() + _PATIENCE_S
        while not (value := what()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)
        return value

    def get_runs(self, job_id: str) -> list[int]:
        """The process ids of the job's runs so far."""
        path = self.witness / job_id
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_run(self, job_id: str, number: int = 1) -> int:
        """Waits until the job's run has begun `number` times; returns the last one's process id."""
        self.wait_for(lambda: len(self.get_runs(job_id)) >= number)
        return self.get_runs(job_id)[number - 1]

    def wait_for_status(self, job_id: str, status: str) -> Job:
        self.wait_for(lambda: self.get(job_id).status == status)
        return self.get(job_id)

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.wait()


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", cancel_grace_s=0.6, threads_per_slot=1)


@pytest.fixture
def bench(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Bench]:
    witness = tmp_path / "witness"
    witness.mkdir()
    bench = Bench(settings, database, witness)
    yield bench
    bench.close()
