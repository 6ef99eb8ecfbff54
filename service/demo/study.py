"""`python -m service.demo.study`: a whole study through the public API, followed live, its report on the disk.

Stopped or killed, it goes on from its last finished step when it is called again.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.demo.display import Row, build_table
from service.demo.server import ServiceFailed, run_service, stop_on_sigterm
from storage.settings import load_settings
from tonok.client import Client
from tonok.display import LiveLine, format_seconds, show_event
from tonok.errors import TonokError
from tonok.resources import Job
from worker.results.quantize import QuantizeResult
from worker.results.study import StudyResult

STEP_ROWS = {
    "train": "baseline",
    "one_shot": "one-shot pruning",
    "step_by_step": "step-by-step pruning",
    "quantize": "quantization",
    "channels": "channel pruning",
    "compress": "compressed file",
    "control_unpruned": "control: retrained, unpruned",
    "control_random": "control: random pruning",
    "control_small_dense": "control: small dense network",
}


def submit_or_find(client: Client, spec: Mapping[str, Any]) -> tuple[Job[Any], bool]:
    """The study of this spec that has not ended yet, else a new one; and whether it is new."""
    resolved = client.validate("study", **spec)
    for status in ("running", "queued"):
        for job in client.jobs(kind="study", status=status):
            if job.resolved_spec == resolved:
                return job, False
    return client.submit("study", **spec), True


def follow_study(study: Job[Any]) -> None:
    """Shows what the study and its steps do until it has ended."""
    line = LiveLine(sys.stdout, "study")
    started: dict[str, float] = {}
    for event in study.events():
        data = event.data.get("data", {})
        if event.name == "step_started":
            started[data["job_id"]] = time.monotonic()
            line.note(f"{STEP_ROWS.get(data['step'], data['step'])} starts ({data['kind']} job {data['job_id']})")
        elif event.name == "step_ended":
            took = time.monotonic() - started.get(data["job_id"], time.monotonic())
            line.note(f"{STEP_ROWS.get(data['step'], data['step'])} {data['status']} after {format_seconds(took)}")
        else:
            show_event(line, event)


def build_rows(client: Client, result: Mapping[str, Any]) -> list[Row]:
    """One line per model that the study made, in the order of its steps."""
    rows, steps = [], StudyResult.read(result).steps
    for name, title in STEP_ROWS.items():
        if name not in steps:
            continue
        models = {title: steps[name].model_id}
        if name == "quantize":
            quantized = QuantizeResult.read(client.job(steps[name].job_id).result.data)
            models = {f"{width.bit_width} bit": width.model_id for width in quantized.widths}
        rows += [Row(row, client.model(model_id).data) for row, model_id in models.items() if model_id]
    return rows


def run_study(client: Client, spec: Mapping[str, Any], output: Path) -> bool:
    """Submits or takes up the study, follows it, saves what it made; whether it succeeded."""
    study, is_new = submit_or_find(client, spec)
    print(f"Study {study.id} {'begins' if is_new else 'goes on'}.", flush=True)
    follow_study(study)
    files, job = study.save_all(output), study.data
    if job["status"] != "succeeded":
        error = job["error"] or {"code": "cancelled", "title": "it was cancelled", "detail": ""}
        print(f"{job['status'].upper()}: {error['code']}: {error['title']}: {error['detail']}")
        return False
    table = build_table(build_rows(client, job["result"]))
    (output / "table.txt").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}\n")
    reused = sum(step["is_reused"] for step in job["result"]["steps"].values())
    seconds = sum(step["seconds"] for step in job["result"]["steps"].values() if not step["is_reused"])
    print(
        f"{len(job['result']['steps'])} steps, {reused} of them done before; the others took {format_seconds(seconds)}."
    )
    for file in files:
        print(f"  {file}")
    return True


def main() -> int:
    """Runs the study; returns the exit status: 0, 1 when anything failed, 130 when interrupted."""
    parser = argparse.ArgumentParser(prog="python -m service.demo.study", description=__doc__)
    parser.add_argument("--dataset", choices=["fashion_mnist", "digits"], default="fashion_mnist")
    parser.add_argument("--effort", choices=["quick", "standard"], default="quick")
    parser.add_argument("--language", choices=["en", "fa"], default="en")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    stop_on_sigterm()
    spec = {name: getattr(arguments, name) for name in ("dataset", "effort", "language", "seed")}
    if arguments.dataset == "digits":
        spec["architecture"] = "lenet5"

    settings = load_settings()
    data_dir = settings.data_dir / "study"
    output = data_dir / "output" / f"{arguments.dataset}-{arguments.effort}-{arguments.language}-seed{arguments.seed}"
    started = time.monotonic()
    print(f"A {arguments.effort} study of {arguments.dataset}. Everything it makes is kept in {data_dir}", flush=True)
    try:
        with run_service(settings, data_dir) as service:
            print(f"The service answers at {service.client.base_url}/docs while the study runs.\n", flush=True)
            succeeded = run_study(service.client, spec, output)
    except KeyboardInterrupt:
        print("\nInterrupted. Run it again, and it goes on from its last finished step.", flush=True)
        return 130
    except (ServiceFailed, TonokError, OSError) as error:
        print(f"\nThe study cannot go on: {error}\nThe service's log: {data_dir / 'service.log'}", flush=True)
        return 1
    print(f"Total: {format_seconds(time.monotonic() - started)}")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
