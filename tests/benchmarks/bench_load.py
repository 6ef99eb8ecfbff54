"""The service under load: rows by the hundred thousand, a training job on all cores, two hundred open streams.

`python -m tests.benchmarks.bench_load` measures everything; the names of sections (tests/benchmarks/load_sections.py)
measure those alone and write nothing. Client and servers speak over the loopback address. No section takes longer than
its limit, six minutes in all: one that cannot be measured says why, and the others go on. A target that is missed is
named at the end.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.settings import Settings
from tests.benchmarks.load_sections import CONNECTIONS, GROWTH, NUM_STREAMS, SECTIONS, SEED, SERVED_BY, Numbers
from tests.benchmarks.record import CHECKOUT, write_result

LEAST_RATIO = 0.5
MOST_GROWTH = 2.0
ORDERLY_S = 10.0
"""What a section has started may take to stop by itself."""
_PR_SET_CHILD_SUBREAPER = 36


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
    rates = numbers.get(SECTIONS["ratio"].title, {}).get(f"{CONNECTIONS} at a time", {})
    for name in SERVED_BY.values():
        if f"ratio to {name}" in rates:
            ratio = rates[f"ratio to {name}"]["median"]
            targets.append(
                Target(f"submissions per second to {name}", f">= {LEAST_RATIO}", ratio, ratio >= LEAST_RATIO)
            )
    if (growth := numbers.get(SECTIONS["rows"].title, {}).get(GROWTH)) is not None:
        times = growth["times"]
        targets.append(Target(f"{GROWTH} ({growth['request']})", f"<= {MOST_GROWTH}", times, times <= MOST_GROWTH))
    if (
        complete := numbers.get(SECTIONS["streams"].title, {}).get("received every event once, in order, and the end")
    ) is not None:
        targets.append(Target("streams with every event", f"== {NUM_STREAMS}", complete, complete == NUM_STREAMS))
    return targets


def adopt_orphans() -> None:
    """On Linux: the processes of a section that was stopped become this one's own, so that none is forgotten."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants() -> None:
    """Ends every process that a section has left behind: those of a stopped service too, as they become orphans."""
    deadline = time.monotonic() + ORDERLY_S
    asked: set[int] = set()
    while children := _list_children():
        for child in children:
            with suppress(ProcessLookupError):
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                elif child not in asked:
                    os.kill(child, signal.SIGTERM)
            asked.add(child)
            with suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
        time.sleep(0.05)


def _list_children() -> list[int]:
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def run_section(name: str, folder: Path, output: Path) -> tuple[Numbers, str | None]:
    """What was measured, and why not all of it was."""
    command = [sys.executable, "-m", "tests.benchmarks.load_sections", name, str(folder), str(output)]
    process = subprocess.Popen(command, cwd=CHECKOUT)
    reason = None
    try:
        code = process.wait(SECTIONS[name].limit_s)
        if code != 0:
            reason = f"it ended with exit code {code}"
    except subprocess.TimeoutExpired:
        reason = f"it took longer than {SECTIONS[name].limit_s} s"
    finally:
        process.kill()
        process.wait()
        end_descendants()
    numbers: Numbers = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    return numbers, reason


def main() -> int:
    """0 where everything could be measured, targets missed or not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    wanted = parser.parse_args().sections
    if unknown := set(wanted) - SECTIONS.keys():
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    numbers: Numbers = {}
    not_measured: dict[str, str] = {}
    adopt_orphans()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("TONOK_DATASET_DIR", f"{temporary}/datasets")
        for name, section in SECTIONS.items():
            if wanted and name not in wanted:
                continue
            print(f"  {section.title}", flush=True)
            folder = Path(temporary) / ("rows" if section.shares_rows else name)
            numbers[section.title], reason = run_section(name, folder, Path(temporary) / f"{name}.json")
            if reason is not None:
                not_measured[section.title] = reason
                print(f"  NOT ALL MEASURED: {reason}", flush=True)
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
        "training": "digits" if Settings().dataset_mirror is None else "fashion_mnist",
        "durability": "WAL, synchronous=FULL, on both sides of the ratio; nobody is answered before its commit",
    }
    path = write_result("load", numbers, seeds=[SEED], conditions=conditions)
    print(f"  written to {path.name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
