"""The servers under load: the API alone, a bare application, or API and worker with a job that trains."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service.demo.server import build_environment, find_free_port, read_tail, run_service
from service.supervisor import die_with_parent
from storage.settings import Settings
from tests.benchmarks.load_client import Connection, UnexpectedAnswer
from tests.benchmarks.record import CHECKOUT

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def run_api(data_dir: Path) -> Iterator[int]:
    """The API without a worker: what is submitted stays queued. Yields its port."""
    data_dir.mkdir(exist_ok=True)
    port = find_free_port()
    environment = {**build_environment(Settings(data_dir=data_dir), data_dir, port), "TONOK_MAX_QUEUED_JOBS": "1000000"}
    with _run_server([sys.executable, "-m", "service"], environment, port, data_dir / "api.log"):
        yield port


@contextmanager
def run_bare(way: str, folder: Path) -> Iterator[int]:
    """A bare application, written in this way (tests/benchmarks/bare_insert.py). Yields its port."""
    port = find_free_port()
    command = [sys.executable, "-m", "tests.benchmarks.bare_insert", way, str(folder / f"{way}.db"), str(port)]
    with _run_server(command, os.environ, port, folder / f"{way}.log"):
        yield port


@contextmanager
def _run_server(command: list[str], environment: Mapping[str, str], port: int, log: Path) -> Iterator[None]:
    """A server from its first answer on; stopped at the end, by force where it does not go by itself."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
        )
    try:
        asyncio.run(_wait_until_up(port, process, log))
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.poll() is None:
            try:
                async with Connection(port) as connection:
                    await connection.request("GET", "/")
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return
    raise RuntimeError(f"a server ended before it answered\n{read_tail(log)}")


@contextmanager
def run_loaded(data_dir: Path, slots: int) -> Iterator[int]:
    """API and worker, whose jobs may use every core. Yields the port."""
    os.environ |= {
        "TONOK_SLOTS": str(slots),
        "TONOK_THREADS_PER_SLOT": str(os.cpu_count() or 1),
        "TONOK_MAX_QUEUED_JOBS": "1000000",
    }
    with run_service(Settings(data_dir=data_dir), data_dir) as running:
        yield int(running.client.base_url.rpartition(":")[2])


async def start_training(port: int) -> str:
    """Submits a job that trains for hours, and returns its id once it trains. Stopping the worker ends it."""
    async with Connection(port) as connection:
        status, answer = await connection.request("POST", "/v1/jobs/train", json.dumps(choose_training()).encode())
        if status != 202:
            raise UnexpectedAnswer(f"the training job was answered {status}: {answer[:500]!r}")
        job_id: str = json.loads(answer)["id"]
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                job = await connection.get_json(f"/v1/jobs/{job_id}")
                if job["progress"]["step"]:
                    return job_id
                if job["error"]:
                    raise RuntimeError(f"the training job failed: {job['error']}")
                await asyncio.sleep(0.2)


def choose_training() -> dict[str, object]:
    """FashionMNIST where it is at hand."""
    if Settings().dataset_mirror is None:
        return {"dataset": "digits", "architecture": "lenet5", "epochs": 200, "name": "load"}
    return {"dataset": "fashion_mnist", "epochs": 200, "name": "load"}
