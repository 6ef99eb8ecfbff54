"""Where a measurement is written, with everything needed to judge it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
CHECKOUT = Path(__file__).parents[2]


def write_result(name: str, numbers: Mapping[str, Any], *, seeds: list[int], conditions: Mapping[str, Any]) -> Path:
    """Writes `results/<name>.json`. conditions: what else the numbers depend on (threads, batch size …)."""
    record = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "seeds": seeds,
        "conditions": dict(conditions),
        "numbers": dict(numbers),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path


def describe_commit() -> str:
    """The commit measured, marked when the tree differs from it in more than its results."""
    try:
        commit = _ask_git("rev-parse", "--short=12", "HEAD")
        changed = _ask_git("status", "--porcelain", "--untracked-files=no", "--", f":!{RESULTS.relative_to(CHECKOUT)}")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _ask_git(*arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return asked.stdout.strip()


def describe_machine() -> dict[str, Any]:
    """Processor, cores, load and versions. The load tells whether the machine was idle."""
    return {
        "processor": find_processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average_1_min": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {package: version(package) for package in ("torch", "torchvision", "numpy", "fastapi", "uvicorn")},
    }


def find_processor_name() -> str:
    """The model as the system names it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
