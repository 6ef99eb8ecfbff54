"""`python -m service.demo`: train → prune → quantize → compress through the public API, and a table of it all."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from service.demo.display import Row, build_table
from service.demo.server import ServiceFailed, read_tail, run_service, stop_on_sigterm
from service.demo.steps import BIT_WIDTHS, DIGITS, FASHION_MNIST, FROM_BASELINE, Step
from storage.settings import load_settings
from tonok.client import Client
from tonok.display import LiveLine, format_seconds, show_event
from tonok.errors import Problem, TonokError
from tonok.resources import Job
from worker.results.quantize import QuantizeResult

UNAVAILABLE = """
  FashionMNIST could not be had, so everything below runs on scikit-learn's DIGITS instead, with lenet5.
  Nothing that follows says anything about FashionMNIST. To have it, give one of these and run again:
    TONOK_DATASET_MIRROR  a folder or an https:// URL that holds its four original .gz files
    TONOK_DATASET_DIR     the folder of data sets, with those files in FashionMNIST/raw/
"""


class Demo:
    """One run: its results, and the files that it leaves in `output`."""

    def __init__(self, client: Client, output: Path) -> None:
        self.client = client
        self.output = output
        self.rows: list[Row] = []
        self.failed: list[str] = []
        self.running_job: Job[Any] | None = None
        self._number = 0

    def run(self, *, digits: bool) -> None:
        """Every step. A step that fails is told and counted; without a baseline nothing follows."""
        self._stop_leftovers()
        baseline = self._run_step(DIGITS if digits else FASHION_MNIST)
        if not digits and (baseline["error"] or {}).get("code") == "dataset_unavailable":
            print(f"{UNAVAILABLE}  The reason: {baseline['error']['detail']}\n", flush=True)
            self.failed.clear()
            baseline = self._run_step(DIGITS)
        if baseline["status"] == "succeeded":
            for step in FROM_BASELINE:
                self._run_step(step, baseline["output_model_id"])

    def _stop_leftovers(self) -> None:
        # Of a demo that was killed: a new run begins with an empty queue.
        for status in ("queued", "running"):
            for job in self.client.jobs(status=status):
                try:
                    job.cancel()
                except Problem as problem:
                    if problem.status != HTTPStatus.CONFLICT:  # else it has ended meanwhile
                        raise

    def _run_step(self, step: Step, model_id: str | None = None) -> Mapping[str, Any]:
        self._number += 1
        spec = {"name": step.name, **step.spec} | ({"model_id": model_id} if model_id else {})
        started = time.monotonic()
        self.running_job = submitted = self.client.submit(step.kind, **spec)
        line = LiveLine(sys.stdout, f"[{self._number}] {step.row}")
        line.show({"phase": "queued"})
        for event in submitted.events():
            show_event(line, event)
        self.running_job, job = None, submitted.data
        took = format_seconds(time.monotonic() - started)
        logs = self._save_artifacts(submitted, step)
        if job["status"] != "succeeded":
            self.failed.append(step.row)
            line.note(f"{job['status'].upper()} after {took}\n{_explain(job, logs)}")
            return job
        added = self._add_rows(step, job)
        line.note("; ".join(_summarise(row) for row in added) + f" ({took})")
        return job

    def _add_rows(self, step: Step, job: Mapping[str, Any]) -> list[Row]:
        if step.kind == "quantize":
            widths = {width.bit_width: width.model_id for width in QuantizeResult.read(job["result"]).widths}
            names = {f"{bits} bit": widths[bits] for bits in BIT_WIDTHS}
        else:
            names = {step.row: job["output_model_id"]}
        added = [Row(name, self.client.model(model_id).data) for name, model_id in names.items()]
        self.rows += added
        return added

    def _save_artifacts(self, job: Job[Any], step: Step) -> list[Path]:
        """Everything that the job made, in a folder of the step; returns its logs."""
        files = job.save_all(self.output / f"{self._number}-{step.name}")
        return [file for file in files if file.name.startswith("log-")]


def _summarise(row: Row) -> str:
    parts = [row.name] if row.name.endswith("bit") else []
    if row.test_accuracy is not None:
        parts.append(f"{100 * row.test_accuracy:.2f} % on test")
    if row.test_drop is not None:
        parts.append(f"drop {row.test_drop:.2f}")
    return " ".join(parts)


def _explain(job: Mapping[str, Any], logs: list[Path]) -> str:
    error = job["error"]
    text = f"    {error['code']}: {error['title']}: {error['detail']}" if error else "    it was cancelled"
    return text + "".join(f"\n    the end of {log}:\n{read_tail(log)}" for log in logs)


def main() -> int:
    """Runs the demo; returns the exit status: 0, 1 when anything failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m service.demo", description=__doc__)
    parser.add_argument("--dataset", choices=["fashion_mnist", "digits"], default="fashion_mnist")
    arguments = parser.parse_args()
    stop_on_sigterm()

    settings = load_settings()
    data_dir = settings.data_dir / "demo"
    output = data_dir / "output"
    shutil.rmtree(output, ignore_errors=True)
    started = time.monotonic()
    print(f"Tonok's demo. Everything it makes is kept in {data_dir}", flush=True)
    try:
        with run_service(settings, data_dir) as service:
            print(f"The service answers at {service.client.base_url}/docs while the demo runs.\n", flush=True)
            demo = Demo(service.client, output)
            try:
                demo.run(digits=arguments.dataset == "digits")
            except KeyboardInterrupt:
                if demo.running_job is not None:
                    with contextlib.suppress(TonokError):
                        demo.running_job.cancel()
                raise
    except KeyboardInterrupt:
        print("\nInterrupted: the job was cancelled and the service stopped.", flush=True)
        return 130
    except (ServiceFailed, TonokError, OSError) as error:
        print(f"\nThe demo cannot go on: {error}\nThe service's log: {data_dir / 'service.log'}", flush=True)
        return 1

    if demo.rows:
        table = build_table(demo.rows)
        (output / "table.txt").write_text(table + "\n", encoding="utf-8")
        results = [{"row": row.name, "model": row.model} for row in demo.rows]
        (output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(f"\n{table}\n")
    print(f"Plots, reports, logs and models, by job: {output}")
    print(f"Total: {format_seconds(time.monotonic() - started)}")
    if demo.failed:
        print(f"FAILED: {', '.join(demo.failed)}")
    return 1 if demo.failed else 0


if __name__ == "__main__":
    sys.exit(main())
