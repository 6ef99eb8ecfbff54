"""`python -m tests.benchmarks.rivals`: our jobs and the rivals' on one checkpoint, the record, the page.

What a tool has finished is kept and not done again, whoever calls next; `--again` forgets one. A failing tool is
named in the table with its reason, and does not keep the others from being measured.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from storage.settings import Settings
from tests.benchmarks.record import CHECKOUT, describe_commit, write_result
from tests.benchmarks.rivals.collect import NAMES, RIVALS, collect_rows, find_version, read_failures
from tests.benchmarks.rivals.environments import prepare_environment
from tests.benchmarks.rivals.ours import Ours, train_baseline
from tests.benchmarks.rivals.page import write_page
from tests.benchmarks.rivals.shelf import Shelf
from tests.benchmarks.rivals.task import TaskFiles, write_task

CACHE = CHECKOUT / ".tonok" / "rivals"
REASON_LENGTH = 200


def run_rival(tool: str, task: TaskFiles, environments: Path) -> None:
    """Runs a rival's script in its environment; its output goes to `log.txt`, what stops it to `failure.txt`."""
    folder = task.folder / tool
    folder.mkdir(parents=True, exist_ok=True)
    failure, log = folder / "failure.txt", folder / "log.txt"
    failure.unlink(missing_ok=True)
    print(f"{NAMES[tool]}: its environment", flush=True)
    try:
        python = prepare_environment(tool, environments)
    except subprocess.CalledProcessError as error:
        _note_failure(failure, f"cannot be installed: {error.stderr}")
        return
    print(f"{NAMES[tool]}: see {log}", flush=True)
    command = [str(python), "-m", f"tests.benchmarks.rivals.tools.{tool}", str(task.description), str(folder)]
    started = time.perf_counter()
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} at {describe_commit()}\n")
        stream.flush()
        code = subprocess.run(command, cwd=CHECKOUT, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode
    print(f"{NAMES[tool]}: {time.perf_counter() - started:.0f} s", flush=True)
    if code != 0:
        _note_failure(failure, log.read_text(encoding="utf-8"))


def _note_failure(path: Path, told: str) -> None:
    reason = told.strip().splitlines()[-1][:REASON_LENGTH].replace("|", "/")
    path.write_text(reason, encoding="utf-8")
    print(f"  failed: {reason}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a fashion_cnn checkpoint of Tonok; else one is trained and kept")
    parser.add_argument("--jobs", type=Path, help="a data directory whose jobs are taken where they were the same")
    parser.add_argument("--tools", nargs="+", choices=list(NAMES), default=list(NAMES))
    parser.add_argument("--again", nargs="+", choices=list(NAMES), default=[], help="forget what these have finished")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cache", type=Path, default=CACHE, help="environments, checkpoints and artifacts")
    parser.add_argument("--max-train-examples", type=int, help="a trial on fewer pictures; nothing is recorded")
    parser.add_argument("--page", action="store_true", help="only write docs/benchmarks.md anew from the record")
    arguments = parser.parse_args()
    if arguments.page:
        write_page()
        return

    settings = Settings()
    torch.set_num_threads(arguments.threads)
    cache, limit = arguments.cache.resolve(), arguments.max_train_examples
    checkpoint = arguments.model or train_baseline(cache, settings, arguments.threads, limit)
    task = write_task(cache, checkpoint, settings, max_train_examples=limit, threads=arguments.threads)
    for tool in arguments.again:
        shutil.rmtree(task.folder / tool, ignore_errors=True)
    ours = Ours(task, settings, Shelf(arguments.jobs, task.checkpoint) if arguments.jobs else None)
    if "tonok" in arguments.tools:
        ours.measure()
    else:
        ours.measure_baseline()
    for tool in RIVALS:
        if tool in arguments.tools:
            run_rival(tool, task, cache / "environments")
    rows = collect_rows(task, prepare_environment("zstandard", cache / "environments"))
    for row in rows:
        print(
            f"{NAMES[row.tool]:<14} {row.variant:<24} {row.artifact:<20} {row.num_bytes:>10,} {row.zstd_bytes:>10,} "
            f"{100 * row.accuracy:6.2f} % {row.drop:5.2f}"
        )
    if limit is not None:
        print("a trial on part of the pictures: not recorded")
        return
    path = write_result(
        "rivals",
        {
            "rows": [row.to_json() for row in rows],
            "versions": {tool: find_version(tool) for tool in RIVALS},
            "failures": read_failures(task),
        },
        seeds=[task.seed],
        conditions={
            "threads": arguments.threads,
            "checkpoint": task.folder.name,
            "zstd": "level 22",
            "our_jobs": "a service's, where it had done them, the others run here" if arguments.jobs else "run here",
        },
    )
    write_page()
    print(f"written to {path.name} and docs/benchmarks.md")


if __name__ == "__main__":
    main()
