"""The service under load: rows by the hundred thousand, a training job on all cores, two hundred open streams.

`python -m tests.benchmarks.bench_load` measures everything; the names of sections measure those alone and write
nothing. Client and servers speak over the loopback address. No section takes longer than its limit, six minutes in all:
one that cannot be measured says why, and the others go on. A target that is missed is named at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from service.demo.server import build_environment, find_free_port, run_service
from storage.database import Database
from storage.jobs import find_statuses
from storage.settings import Settings
from storage.tables import utc_now
from tests.benchmarks.load_client import Connection, Timings, measure_requests
from tests.benchmarks.load_rows import MOST_JOBS, SECONDS_APART, add_jobs, build_job_id
from tests.benchmarks.load_streams import measure_streams
from tests.benchmarks.record import CHECKOUT, write_result

SEED = 0
SIZES = (1_000, 10_000, 100_000)
CONNECTIONS = 8
START_TIMEOUT_S = 240.0
SCALE_WINDOW_S = 1.0
RATIO_WINDOW_S = 2.0
RATIO_ROUNDS = 3
TRAINING_WINDOW_S = 5.0
NUM_STREAMS = 200
NUM_STARTS = 3

LEAST_RATIO = 0.5
ROWS = "one client over more and more jobs"
RATIO = "submissions beside a bare application"
TRAINING = "beside a training job"
STARTS = "from submission to start, beside a training job"

Numbers = dict[str, Any]
Build = Callable[[int], tuple[str, str, bytes]]
POST_BODY = json.dumps({"dataset": "digits", "labels": {"team": "bench"}}).encode()


def get_path(path: str, _number: int) -> tuple[str, str, bytes]:
    return "GET", path, b""


def post_job(_number: int) -> tuple[str, str, bytes]:
    return "POST", "/v1/jobs/train", POST_BODY


@contextmanager
def run_server(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
    """A server alone, without a worker, from its first answer on; stopped at the end."""
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(wait_until_up(port, process))
        yield
    finally:
        process.terminate()
        process.wait(30)


async def wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.poll() is None:
            try:
                async with Connection(port) as connection:
                    await connection.request("GET", "/")
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return
    raise SystemExit("a server ended before it answered")


@contextmanager
def run_api(data_dir: Path) -> Iterator[int]:
    """The API without a worker: what is submitted stays queued."""
    port = find_free_port()
    environment = dict(build_environment(Settings(data_dir=data_dir), data_dir, port))
    with run_server([sys.executable, "-m", "service"], environment | {"TONOK_MAX_QUEUED_JOBS": "1000000"}, port):
        yield port


# --- rows


def list_requests(num_rows: int) -> dict[str, Build]:
    """Name → builder of requests, on what exists among so many rows."""
    generator = random.Random(SEED)
    fixed = {
        "list": "/v1/jobs",
        "list, a page in the middle": f"/v1/jobs?page_token={build_middle_token(num_rows)}",
        "list by status": "/v1/jobs?status=failed",
        "list by kind": "/v1/jobs?kind=prune",
        "list by kind and status": "/v1/jobs?kind=prune&status=cancelled",
        "list by a label of many": "/v1/jobs?label=team%3Dteam-7",
        "list by a label of one": "/v1/jobs?label=run%3Drun-17",
        "list by time": "/v1/jobs?created_after=2020-01-01T00:00:00Z",
        "scrape of /metrics": "/metrics",
        "GET /v1/system": "/v1/system",
    }
    return {name: partial(get_path, path) for name, path in fixed.items()} | {
        "list by model": lambda _: get_path(f"/v1/jobs?model_id=mdl_{generator.randrange(num_rows // 10):026d}", 0),
        "GET one job": lambda _: get_path(f"/v1/jobs/{build_job_id(generator.randrange(num_rows))}", 0),
    }


def build_middle_token(num_rows: int) -> str:
    """A position behind every row that the middle one follows."""
    seconds = utc_now().timestamp() - SECONDS_APART * (MOST_JOBS - num_rows // 2)
    return f"{round(seconds * 1e6):016d}{0:026d}"


def measure_rows(folder: Path, quantiles: Numbers) -> None:
    """The same requests over more and more rows, one client: p50 by number of rows."""
    database = Database(Settings(data_dir=folder))
    database.create()
    with run_api(folder) as port:
        have = 0
        for size in SIZES:
            add_jobs(database, have, size, SEED)
            have = size
            for name, build in list_requests(size).items():
                timings = asyncio.run(
                    measure_requests(port, build, expected=200, window_s=SCALE_WINDOW_S, connections=1)
                )
                quantiles.setdefault(name, {})[f"{size} jobs"] = timings.describe()
    database.dispose()
    for name, by_size in quantiles.items():
        medians = [f"{described['p50_ms']:7.2f}" for described in by_size.values()]
        print(f"  {name:<28} p50 ms {' '.join(medians)}   at {', '.join(by_size)}")


# --- beside a bare application


def measure_ratio(folder: Path, numbers: Numbers) -> None:
    """Requests per second of POST /v1/jobs/train beside a bare FastAPI + SQLite insert, in alternating rounds."""
    bare_port = find_free_port()
    bare = [sys.executable, "-m", "tests.benchmarks.bare_insert", str(folder / "bare.db"), str(bare_port)]
    rates: dict[str, list[float]] = {"bare FastAPI + SQLite insert": [], "POST /v1/jobs/train": []}
    latencies: dict[str, Timings] = {name: Timings() for name in rates}
    with run_api(folder) as port, run_server(bare, dict(os.environ), bare_port):
        for number in range(RATIO_ROUNDS + 1):
            for name, target, build in (
                ("bare FastAPI + SQLite insert", bare_port, lambda _n: ("POST", "/items", POST_BODY)),
                ("POST /v1/jobs/train", port, post_job),
            ):
                timings = asyncio.run(
                    measure_requests(
                        target, build, expected=202, window_s=RATIO_WINDOW_S, connections=CONNECTIONS
                    )
                )  # fmt: skip
                if number > 0:  # the first round warms up
                    rates[name].append(round(timings.per_second, 1))
                    latencies[name].seconds += timings.seconds
                    latencies[name].window_s += timings.window_s
    ratios = [ours / theirs for theirs, ours in zip(*rates.values(), strict=True)]
    print(f"  {', '.join(f'{name} {statistics.median(values):.0f}/s' for name, values in rates.items())}")
    print(f"  ratio {statistics.median(ratios):.2f} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    numbers |= {
        "per_second_rounds": rates,
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_rounds": [round(ratio, 3) for ratio in ratios],
        "latencies": {name: timings.describe() for name, timings in latencies.items()},
    }


# --- beside a training job


def build_training(mirror: bool) -> bytes:
    """Hours of training, which the benchmark cancels."""
    dataset = {"dataset": "fashion_mnist"} if mirror else {"dataset": "digits", "architecture": "lenet5"}
    return json.dumps(dataset | {"epochs": 200, "name": "load"}).encode()


async def start_training(port: int) -> str:
    """Submits the training job and returns its id once it trains."""
    async with Connection(port) as connection:
        status, answer = await connection.request("POST", "/v1/jobs/train", build_training(has_fashion_mnist()))
        if status != 202:
            raise SystemExit(f"the training job was answered {status}: {answer[:500]!r}")
        job_id: str = json.loads(answer)["id"]
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                job = await connection.get_json(f"/v1/jobs/{job_id}")
                if job["progress"]["step"]:
                    return job_id
                if job["error"]:
                    raise SystemExit(f"the training job failed: {job['error']}")
                await asyncio.sleep(0.2)


def has_fashion_mnist() -> bool:
    return Settings().dataset_mirror is not None


@contextmanager
def run_loaded(data_dir: Path, slots: int) -> Iterator[int]:
    """API and worker; its jobs may use every core."""
    os.environ |= {
        "TONOK_SLOTS": str(slots),
        "TONOK_THREADS_PER_SLOT": str(os.cpu_count() or 1),
        "TONOK_MAX_QUEUED_JOBS": "1000000",
    }
    with run_service(Settings(data_dir=data_dir), data_dir) as running:
        yield int(running.client.base_url.rpartition(":")[2])


def measure_beside_training(folder: Path, numbers: Numbers) -> None:
    """Latencies over the largest number of rows, then the streams, while a real job trains on every core."""
    database = Database(Settings(data_dir=folder))
    database.create()
    if not is_filled(database):
        add_jobs(database, 0, SIZES[-1], SEED)
    database.dispose()
    numbers |= {"rows": SIZES[-1], "connections": CONNECTIONS}
    with run_loaded(folder, slots=1) as port:
        training = asyncio.run(start_training(port))
        builders = list_requests(SIZES[-1])
        for name, build, expected in (
            ("GET one job", builders["GET one job"], 200),
            ("list", builders["list"], 200),
            ("POST /v1/jobs/train", post_job, 202),
        ):
            timings = asyncio.run(
                measure_requests(
                    port, build, expected=expected, window_s=TRAINING_WINDOW_S, connections=CONNECTIONS
                )
            )  # fmt: skip
            numbers[name] = timings.describe()
            print(f"  {name:<22} {numbers[name]}")
        numbers["streams"] = asyncio.run(measure_streams(port, training, NUM_STREAMS))
        print(f"  streams {numbers['streams']}")


def is_filled(database: Database) -> bool:
    with database.read() as session:
        return bool(find_statuses(session, [build_job_id(SIZES[-1] - 1)]))


async def _start_jobs(port: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"claimed": [], "first sign of its process": []}
    body = {"dataset": "digits", "architecture": "mlp", "epochs": 1}
    async with Connection(port) as connection:
        for seed in range(NUM_STARTS):
            await asyncio.sleep(5)  # for the process that waits for the next job to be there
            _, answer = await connection.request("POST", "/v1/jobs/train", json.dumps(body | {"seed": seed}).encode())
            job = json.loads(answer)
            path = f"/v1/jobs/{job['id']}"
            while (await connection.get_json(f"{path}?wait_s=30"))["finished_at"] is None:
                pass
            events = (await connection.get_json(f"{path}/events"))["events"]
            moments = {event["type"]: datetime.fromisoformat(event["created_at"]) for event in reversed(events)}
            begin = datetime.fromisoformat(job["created_at"])
            seconds["claimed"].append((moments["started"] - begin).total_seconds())
            seconds["first sign of its process"].append((moments["progress"] - begin).total_seconds())
    return seconds


def measure_starts(folder: Path, numbers: Numbers) -> None:
    """Seconds from a submission to its start, in the second slot, while a job trains on every core in the first."""
    with run_loaded(folder, slots=2) as port:
        asyncio.run(start_training(port))
        seconds = asyncio.run(_start_jobs(port))
    numbers |= {
        name: {"median_ms": round(1e3 * statistics.median(values), 1), "all_ms": [round(1e3 * v, 1) for v in values]}
        for name, values in seconds.items()
    }
    print(f"  {numbers}")


# --- what is made of it


@dataclass(frozen=True)
class Target:
    """What a figure should be, and what it is."""

    name: str
    wanted: str
    measured: float
    is_met: bool


def compare_with_targets(numbers: Numbers) -> list[Target]:
    """Those of the sections that were measured."""
    targets = []
    if (ratio := numbers.get(RATIO, {}).get("ratio_median")) is not None:
        targets.append(Target("requests per second, ours to bare", f">= {LEAST_RATIO}", ratio, ratio >= LEAST_RATIO))
    if (streams := numbers.get(TRAINING, {}).get("streams")) is not None:
        complete = streams["received every event once, in order, and the end"]
        targets.append(Target("streams with every event", f"== {NUM_STREAMS}", complete, complete == streams["opened"]))
    return targets


class OutOfTime(Exception):
    """A section's time is up. No TimeoutError: that is an OSError, which those who wait for a server expect."""


@contextmanager
def bound(seconds: int) -> Iterator[None]:
    """Raises OutOfTime inside when the time is up, whatever is waited for."""

    def leave(_signal: int, _frame: object) -> NoReturn:
        raise OutOfTime(f"took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, leave)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """0 where everything could be measured, targets missed or not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*")
    wanted = parser.parse_args().sections
    sections: dict[str, tuple[str, int, Callable[[Path, Numbers], None]]] = {
        "rows": (ROWS, 130, measure_rows),
        "ratio": (RATIO, 50, measure_ratio),
        "training": (TRAINING, 105, measure_beside_training),
        "starts": (STARTS, 65, measure_starts),
    }
    numbers: Numbers = {}
    not_measured: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("TONOK_DATASET_DIR", f"{temporary}/datasets")
        for name, (title, seconds, measure) in sections.items():
            if not wanted or name in wanted:
                print(f"  {title}", flush=True)
                # The rows of the first section are those of the third, where all of them were written.
                is_filled_already = name == "training" and ROWS in numbers and ROWS not in not_measured
                folder = Path(temporary) / ("rows" if is_filled_already else name)
                folder.mkdir(exist_ok=True)
                numbers[title] = {}  # filled as it goes: what was measured before a failure stays
                try:
                    with bound(seconds):
                        measure(folder, numbers[title])
                except (Exception, SystemExit) as error:  # noqa: BLE001 - the other sections go on
                    not_measured[title] = f"{type(error).__name__}: {error}"
                    print(f"  NOT MEASURED: {title}: {not_measured[title]}", flush=True)
            if not wanted:  # after each section: what was measured stays, whatever becomes of the next
                save(numbers, not_measured)
    for target in compare_with_targets(numbers):
        print(f"  {'met' if target.is_met else 'MISSED'}: {target.name}: {target.measured}, wanted {target.wanted}")
    return 1 if not_measured else 0


def save(numbers: Numbers, not_measured: dict[str, str]) -> None:
    """Writes what was measured so far."""
    numbers = numbers | {
        "targets": [asdict(target) for target in compare_with_targets(numbers)],
        "not measured": not_measured,
    }
    conditions = {
        "connections": CONNECTIONS,
        "training": "fashion_mnist" if has_fashion_mnist() else "digits",
        "durability": "WAL, synchronous=FULL, one commit per request, on both sides of the ratio",
    }
    path = write_result("load", numbers, seeds=[SEED], conditions=conditions)
    print(f"  written to {path.name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
