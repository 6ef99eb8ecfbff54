"""Seconds from starting `python -m service` to its first answer, beside a bare FastAPI application's."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from service.demo.server import find_free_port
from tests.benchmarks.record import CHECKOUT, write_result

ROUNDS = 5
TIMEOUT_S = 60.0
BARE = (
    "import fastapi, uvicorn; app = fastapi.FastAPI(); app.get('/healthz')(lambda: {{}}); "
    "uvicorn.run(app, port={port}, log_level='error')"
)


def measure_start(command: list[str], port: int, data_dir: Path) -> float:
    """Seconds until /healthz answers 200."""
    environment = {**os.environ, "TONOK_PORT": str(port), "TONOK_DATA_DIR": str(data_dir)}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() - started < TIMEOUT_S:
            try:
                opener.open(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
                return time.perf_counter() - started
            except urllib.error.URLError:
                time.sleep(0.01)
        raise SystemExit(f"no answer within {TIMEOUT_S:.0f} s: {' '.join(command)}")
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    seconds: dict[str, list[float]] = {"service, new database": [], "service": [], "bare FastAPI": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            port = find_free_port()
            service = [sys.executable, "-m", "service"]
            bare = [sys.executable, "-c", BARE.format(port=port)]
            data_dir = Path(folder) / str(number)
            seconds["service, new database"].append(measure_start(service, port, data_dir))
            seconds["service"].append(measure_start(service, port, data_dir))
            seconds["bare FastAPI"].append(measure_start(bare, port, data_dir))
    medians = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"  {name:<24} {median:.2f} s")
    path = write_result(
        "api_start",
        {
            "seconds_median": medians,
            "seconds_rounds": {name: [round(v, 3) for v in values] for name, values in seconds.items()},
        },
        seeds=[],
        conditions={"rounds": ROUNDS},
    )
    print(f"  written to {path.name}")


if __name__ == "__main__":
    main()
