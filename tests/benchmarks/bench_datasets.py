"""Seconds from the 60,000 pictures of CIFAR-10 in a zip file to a decoded cache, beside a plain loop over them."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.record import CHECKOUT, write_result
from tests.needs import NO_CIFAR10, find_cifar10

ROUNDS = 3
MAX_SECONDS = 20.0
"""What it may take on two idle cores."""


def measure_import(path: Path, target: Path) -> tuple[float, float, int]:
    """(seconds, seconds of processor time, most bytes held) of an import in a process of its own."""
    command = [sys.executable, "-m", "tests.worker.dataset_files.measured_import", str(path), str(target), "{}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, processor_s, json.loads(ended.stdout)["peak_bytes"]


def measure_loop(path: Path) -> float:
    """Seconds of reading and decoding every picture, one after the other, and keeping none."""
    start = time.perf_counter()
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            with file.open(info) as entry:
                np.asarray(Image.open(entry).convert("RGB"))
    return time.perf_counter() - start


def main() -> int:
    """Writes results/datasets.json."""
    path = find_cifar10()
    if path is None:
        print(f"!!! NOT RUN: {NO_CIFAR10}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        rounds = [(*measure_import(path, Path(folder, "decoded")), measure_loop(path)) for _ in range(ROUNDS)]
    seconds, processor_s, peak_bytes, loop_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    numbers = {
        "import_s": round(seconds, 2),
        "processor_s": round(processor_s, 2),
        "peak_mb": round(peak_bytes / 1e6),
        "plain_loop_s": round(loop_s, 2),
        "ratio_to_plain_loop": round(seconds / loop_s, 3),
    }
    write_result("datasets", numbers, seeds=[], conditions={"pictures": 60_000, "rounds": ROUNDS, "threads": 2})
    print(json.dumps(numbers, indent=2))
    return int(seconds > MAX_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
