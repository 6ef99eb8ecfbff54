"""Bytes and test accuracy of `compress`, by effort and seed, through a service of its own as its users run it.

For each seed a baseline is trained and compressed, both as jobs of the API. Every figure is the job's own: the test
accuracy is that of the integers decoded from the file on the disk. Finished jobs are kept in the data directory and
found again, a job that was cut off goes on from its last finished step, and each finished run is written at once: so
a run can be stopped and taken up at any time. Runs that another call measured stay in the record.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from service.demo.server import run_service, stop_on_sigterm
from storage.settings import load_settings
from tests.benchmarks.record import RESULTS, describe_commit, describe_machine, write_result
from tonok.client import Client
from tonok.display import LiveLine
from worker.jobs.compress import CompressSpec

BASELINE = {"dataset": "fashion_mnist", "architecture": "fashion_cnn", "epochs": 16}
EFFORTS = ("quick", "standard", "thorough")
MAX_RUNTIME_S = 24 * 3600
POINT = 100
"""Accuracies are fractions; drops are told in points."""


def run_job(client: Client, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """The succeeded job of this spec, run now unless it was before. Raises JobFailed."""
    resolved = client.validate(kind, **spec)
    listed = (job for status in ("succeeded", "running", "queued") for job in client.jobs(kind=kind, status=status))
    job = next((job for job in listed if job.resolved_spec == resolved), None) or client.submit(kind, **spec)
    return job.live(LiveLine(sys.stdout, f"{kind}, seed {spec['seed']}")).data


def measure(client: Client, effort: str, seed: int) -> dict[str, Any]:
    """One run: a baseline of this seed and its compressed file."""
    baseline = run_job(client, "train", {**BASELINE, "seed": seed})
    spec = {"effort": effort, "max_accuracy_drop": 1.0, "max_runtime_s": MAX_RUNTIME_S}
    job = run_job(client, "compress", {**spec, "model_id": baseline["output_model_id"], "seed": seed})
    result = job["result"]
    started, finished = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return {
        "effort": effort,
        "seed": seed,
        "file_bytes": result["file_bytes"],
        "compression_ratio": result["compression_ratio"],
        "baseline_test_accuracy": baseline["result"]["evaluation"]["test"]["accuracy"],
        "test_accuracy": result["evaluation"]["test"]["accuracy"],
        "test_drop_points": result["accuracy_drop"]["test"],
        "validation_drop_points": result["accuracy_drop"]["validation"],
        "seconds": round((finished - started).total_seconds(), 1),
        "attempts": job["attempt"],
        "threads": load_settings().resolved_threads_per_slot,
    }


def summarise(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The means and ranges over the seeds of each effort."""
    summary = {}
    for effort in EFFORTS:
        rows = [run for run in runs if run["effort"] == effort]
        if rows:
            columns = ("compression_ratio", "file_bytes", "test_drop_points", "baseline_test_accuracy", "seconds")
            values = {column: [row[column] for row in rows] for column in columns}
            summary[effort] = {"seeds": sorted(row["seed"] for row in rows)} | {
                column: {"mean": round(statistics.fmean(column_values), 4), "all": column_values}
                for column, column_values in values.items()
            }
    return summary


def render_table(runs: Sequence[Mapping[str, Any]]) -> str:
    """The runs and the means of each effort, in Markdown."""
    lines = [
        "| Effort | Seed | Baseline test % | Bytes | × smaller | Test % | Drop | On validation | Minutes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    columns = (
        "baseline_test_accuracy",
        "file_bytes",
        "compression_ratio",
        "test_accuracy",
        "test_drop_points",
        "validation_drop_points",
        "seconds",
    )

    def write(effort: str, seed: str, row: Mapping[str, float]) -> None:
        lines.append(
            f"| {effort} | {seed} | {POINT * row['baseline_test_accuracy']:.2f} | {row['file_bytes']:,.0f} "
            f"| {row['compression_ratio']:.1f} | {POINT * row['test_accuracy']:.2f} | {row['test_drop_points']:.2f} "
            f"| {row['validation_drop_points']:.2f} | {row['seconds'] / 60:.1f} |"
        )

    for effort in EFFORTS:
        rows = [run for run in runs if run["effort"] == effort]
        for row in rows:
            write(effort, str(row["seed"]), row)
        if len(rows) > 1:
            means = {column: statistics.fmean(row[column] for row in rows) for column in columns}
            write(f"**{effort}**", "mean", means)
    return "\n".join(lines)


def record(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Writes a run into `results/compress.json` beside the others there; returns them all."""
    path = RESULTS / "compress.json"
    runs = json.loads(path.read_text(encoding="utf-8"))["numbers"]["runs"] if path.exists() else []
    runs = [other for other in runs if (other["effort"], other["seed"]) != (run["effort"], run["seed"])]
    runs.append({**run, "commit": describe_commit(), "processor": describe_machine()["processor"]})
    runs.sort(key=lambda other: (EFFORTS.index(other["effort"]), other["seed"]))
    seeds = sorted({other["seed"] for other in runs})
    numbers = {"summary": summarise(runs), "runs": runs}
    write_result("compress", numbers, seeds=seeds, conditions={"baseline": BASELINE, "max_accuracy_drop": 1.0})
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effort", choices=EFFORTS, default="quick")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    stop_on_sigterm()
    settings = load_settings()
    runs: list[dict[str, Any]] = []
    # What another version of the search had made would be found again.
    with run_service(settings, settings.data_dir / f"bench-compress-{CompressSpec.version}") as service:
        for seed in arguments.seeds:
            run = measure(service.client, arguments.effort, seed)
            runs = record(run)
            print(
                f"{run['effort']}, seed {seed}: {run['file_bytes']} bytes, {run['compression_ratio']:.1f}x, "
                f"{POINT * run['test_accuracy']:.2f} % on test, drop {run['test_drop_points']:.2f} points "
                f"from {POINT * run['baseline_test_accuracy']:.2f} %, {run['seconds']:.0f} s",
                flush=True,
            )
    print(render_table(runs))


if __name__ == "__main__":
    main()
