"""What is measured of the service under load, section by section: `python -m tests.benchmarks.load_sections NAME …`.

Each section is a process of its own, which bench_load.py starts, limits and clears up after. It yields its numbers as
it goes, and they are written at once: what was measured before the time is up stays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from storage.database import Database
from storage.jobs import find_statuses
from storage.settings import Settings
from storage.tables import utc_now
from tests.benchmarks.load_client import Connection, Timings, measure_requests
from tests.benchmarks.load_rows import MOST_JOBS, SECONDS_APART, add_jobs, build_job_id
from tests.benchmarks.load_servers import run_api, run_bare, run_loaded, start_training
from tests.benchmarks.load_streams import measure_streams

SEED = 0
SIZES = (1_000, 10_000, 100_000)
CONNECTIONS = 8
ROWS_WINDOW_S = 1.0
RATIO_WINDOW_S = 1.5
RATIO_ROUNDS = 3
TRAINING_WINDOW_S = 5.0
NUM_STREAMS = 200
NUM_STARTS = 3
STANDBY_S = 5.0
"""For the process that waits for the next job to be there."""

OURS = "POST /v1/jobs/train"
SERVED_BY = {"by-hand": "FastAPI + sqlite3 by hand", "sqlmodel": "FastAPI + SQLModel"}
GROWTH = "largest growth of a median, 1,000 to 100,000 jobs"

Numbers = dict[str, Any]
Build = Callable[[int], tuple[str, str, bytes]]
POST_BODY = json.dumps({"dataset": "digits", "labels": {"team": "bench"}}).encode()


def get_path(path: str, _number: int) -> tuple[str, str, bytes]:
    return "GET", path, b""


def post_to(path: str, _number: int) -> tuple[str, str, bytes]:
    return "POST", path, POST_BODY


def measure(port: int, build: Build, *, expected: int, window_s: float, connections: int) -> Timings:
    return asyncio.run(
        measure_requests(port, build, expected=expected, window_s=window_s, connections=connections)
    )  # fmt: skip


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


def measure_rows(folder: Path) -> Iterator[Numbers]:
    """The same requests over more and more rows, one client."""
    database = Database(Settings(data_dir=folder))
    database.create()
    quantiles: dict[str, Numbers] = {}
    with run_api(folder) as port:
        have = 0
        for size in SIZES:
            add_jobs(database, have, size, SEED)
            have = size
            for name, build in list_requests(size).items():
                measure(port, build, expected=200, window_s=0.1, connections=1)  # statements are compiled, pages read
                timings = measure(port, build, expected=200, window_s=ROWS_WINDOW_S, connections=1)
                quantiles.setdefault(name, {})[f"{size} jobs"] = timings.describe()
                yield {name: quantiles[name]}
    database.dispose()
    fewest, most = f"{SIZES[0]} jobs", f"{SIZES[-1]} jobs"
    growths = {name: by_size[most]["p50_ms"] / by_size[fewest]["p50_ms"] for name, by_size in quantiles.items()}
    worst = max(growths, key=growths.__getitem__)
    yield {GROWTH: {"request": worst, "times": round(growths[worst], 2)}}


# --- beside a bare application


def measure_ratio(folder: Path) -> Iterator[Numbers]:
    """Submissions per second beside the bare applications', in turns, by one client and by eight at a time."""
    with ExitStack() as stack:
        targets = {OURS: (stack.enter_context(run_api(folder / "service")), "/v1/jobs/train")}
        for way, name in SERVED_BY.items():
            targets[name] = (stack.enter_context(run_bare(way, folder)), "/items")
        for connections in (CONNECTIONS, 1):
            rounds: dict[str, list[Timings]] = {name: [] for name in targets}
            for _ in range(RATIO_ROUNDS + 1):  # the first one warms up
                for name, (port, path) in targets.items():
                    rounds[name].append(
                        measure(
                            port, partial(post_to, path), expected=202, window_s=RATIO_WINDOW_S, connections=connections
                        )
                    )  # fmt: skip
            yield {f"{connections} at a time": compare_rates({name: of[1:] for name, of in rounds.items()})}


def compare_rates(rounds: dict[str, list[Timings]]) -> Numbers:
    """Rates and latencies of each, and for each bare application the ratio of each round and their median."""
    ours = [timings.per_second for timings in rounds[OURS]]
    ratios = {
        f"ratio to {name}": [mine / timings.per_second for mine, timings in zip(ours, of, strict=True)]
        for name, of in rounds.items()
        if name != OURS
    }
    whole = {
        name: Timings(sum(timings.window_s for timings in of), [one for timings in of for one in timings.seconds])
        for name, of in rounds.items()
    }
    return {name: timings.describe() for name, timings in whole.items()} | {
        name: {"median": round(statistics.median(values), 3), "rounds": [round(value, 3) for value in values]}
        for name, values in ratios.items()
    }


# --- beside a training job


def measure_training(folder: Path) -> Iterator[Numbers]:
    """Latencies over the largest number of rows while a real job trains on every core."""
    database = Database(Settings(data_dir=folder))
    database.create()
    if not is_filled(database):
        add_jobs(database, 0, SIZES[-1], SEED)
    database.dispose()
    yield {"rows": SIZES[-1], "connections": CONNECTIONS}
    with run_loaded(folder, slots=1) as port:
        asyncio.run(start_training(port))
        builders = list_requests(SIZES[-1])
        for name, build, expected in (
            ("GET one job", builders["GET one job"], 200),
            ("list", builders["list"], 200),
            (OURS, partial(post_to, "/v1/jobs/train"), 202),
        ):
            for connections in (1, CONNECTIONS):
                timings = measure(
                    port, build, expected=expected, window_s=TRAINING_WINDOW_S, connections=connections
                )  # fmt: skip
                yield {f"{name}, {connections} at a time": timings.describe()}


def is_filled(database: Database) -> bool:
    with database.read() as session:
        return bool(find_statuses(session, [build_job_id(SIZES[-1] - 1)]))


def measure_open_streams(folder: Path) -> Iterator[Numbers]:
    """Two hundred open streams while a real job trains on every core."""
    with run_loaded(folder, slots=1) as port:
        training = asyncio.run(start_training(port))
        yield asyncio.run(measure_streams(port, training, NUM_STREAMS))


def measure_starts(folder: Path) -> Iterator[Numbers]:
    """Milliseconds from a submission to its start in the second slot: idle, then beside a job that uses every core."""
    with run_loaded(folder, slots=2) as port:
        yield {"idle": asyncio.run(start_jobs(port, first_seed=0))}
        asyncio.run(start_training(port))
        yield {"beside a training job": asyncio.run(start_jobs(port, first_seed=NUM_STARTS))}


async def start_jobs(port: int, first_seed: int) -> Numbers:
    """Claimed: the worker has taken it. First sign: its process reports for the first time."""
    seconds: dict[str, list[float]] = {"claimed": [], "first sign of its process": []}
    body = {"dataset": "digits", "architecture": "mlp", "epochs": 1}
    async with Connection(port) as connection:
        for seed in range(first_seed, first_seed + NUM_STARTS):
            await asyncio.sleep(STANDBY_S)
            _, answer = await connection.request("POST", "/v1/jobs/train", json.dumps(body | {"seed": seed}).encode())
            job = json.loads(answer)
            path = f"/v1/jobs/{job['id']}"
            moments: dict[str, datetime] = {}
            while "progress" not in moments:
                await asyncio.sleep(0.05)
                events = (await connection.get_json(f"{path}/events"))["events"]
                moments = {event["type"]: datetime.fromisoformat(event["created_at"]) for event in reversed(events)}
            await connection.request("POST", f"{path}/cancel")
            while (await connection.get_json(f"{path}?wait_s=30"))["finished_at"] is None:
                pass
            begin = datetime.fromisoformat(job["created_at"])
            seconds["claimed"].append((moments["started"] - begin).total_seconds())
            seconds["first sign of its process"].append((moments["progress"] - begin).total_seconds())
    return {
        name: {"median_ms": round(1e3 * statistics.median(values), 1), "all_ms": [round(1e3 * v, 1) for v in values]}
        for name, values in seconds.items()
    }


@dataclass(frozen=True)
class Section:
    """limit_s: seconds that it may take. shares_rows: whether it begins with what `rows` has written."""

    title: str
    limit_s: int
    measure: Callable[[Path], Iterator[Numbers]]
    shares_rows: bool = False


SECTIONS = {
    "rows": Section("one client over more and more jobs", 95, measure_rows),
    "ratio": Section("submissions beside bare applications", 50, measure_ratio),
    "training": Section("beside a training job", 65, measure_training, shares_rows=True),
    "streams": Section("open streams beside a training job", 50, measure_open_streams),
    "starts": Section("from submission to start", 100, measure_starts),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=SECTIONS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    numbers: Numbers = {}
    for found in SECTIONS[arguments.name].measure(arguments.folder):
        numbers |= found
        for name, value in found.items():
            print(f"    {name}: {json.dumps(value)}", flush=True)
        temporary = arguments.output.with_suffix(".new")
        temporary.write_text(json.dumps(numbers), encoding="utf-8")
        temporary.replace(arguments.output)


if __name__ == "__main__":
    main()
