"""What each kind of job holds in memory at its peak, beside what is estimated before its start.

Each job runs in a process forked from one that has imported everything, so that a machine's hour is not spent on
imports; its peak is Linux's VmHWM. A later kind starts from the network that the train job before it has left.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.attempts import Lease, claim_job
from storage.database import Database
from storage.jobs import get_job, submit_job
from storage.settings import Settings
from storage.tables import Job
from tests.benchmarks.record import write_result
from worker import jobs
from worker.engine.context import Context, staging_folder
from worker.engine.finalize import finalize_attempt
from worker.engine.memory import read_peak_bytes
from worker.engine.outcome import Outcome, find_outcome, save_outcome
from worker.engine.port import Attempt, ExitStatus
from worker.engine.verdict import judge

MIB = 1 << 20
NETWORKS: tuple[Mapping[str, Any], ...] = (
    {"dataset": "fashion_mnist", "architecture": "fashion_cnn"},
    {"dataset": "digits", "architecture": "mlp", "widths": [4096, 4096], "optimizer": "adamw"},
    {"dataset": "digits", "architecture": "fashion_cnn", "widths": [128, 256, 1024], "batch_size": 512},
    {"dataset": "fashion_mnist", "architecture": "resnet_small", "widths": [128, 128, 256, 256], "batch_size": 512},
    {"dataset": "digits", "architecture": "lenet5"},
    {"dataset": "fashion_mnist", "architecture": "depthwise_cnn", "batch_size": 600},
)
"""What of a train job's spec shapes its network and its memory."""
LATER: tuple[Mapping[str, Any], ...] = (
    {"kind": "prune", "sparsity": 0.5, "fine_tune_epochs": 1},
    {"kind": "quantize", "bit_widths": [8, 4], "epochs": 1},
    {"kind": "compress"},
)


class Bench:
    """A data directory, and jobs run on it one by one."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.database = Database(self.settings)
        self.database.create()

    def run(self, spec: Mapping[str, Any]) -> tuple[Job, int]:
        """The job as it ended, and its peak in bytes."""
        parsed = jobs.parse_spec(dict(spec))
        resolved = parsed.model_dump(mode="json")
        with self.database.transaction() as session:
            submit_job(
                session,
                spec=dict(spec),
                resolved_spec=resolved,
                kind=parsed.kind,
                name=None,
                labels={},
                model_id=resolved.get("model_id"),
                max_attempts=1,
                max_runtime_s=7200,
                max_queued=1000,
            )
            job = claim_job(session, "bench", 7200)
        assert job is not None
        lease = Lease(job.id, job.attempt, "bench")
        staging = staging_folder(self.settings, lease)
        staging.mkdir(parents=True)
        self.database.dispose()
        pid = os.fork()
        if pid == 0:
            self._run_forked(parsed, lease, staging, job.owner)
        os.waitpid(pid, 0)
        attempt = Attempt(lease, resolved, staging, job.owner, None)
        outcome = find_outcome(staging)
        peak = int((staging / "peak").read_text()) if outcome is not None else 0
        finalize_attempt(
            self.settings, self.database, attempt, judge(None, ExitStatus(0, None), outcome, 7200), outcome
        )
        with self.database.read() as session:
            return get_job(session, job.id), peak

    def _run_forked(self, spec: Any, lease: Lease, staging: Path, owner: str) -> None:
        try:
            context = Context(self.settings, Database(self.settings), lease, staging, lambda: False, owner)
            outcome: Outcome = context.build_outcome(jobs.run_spec(spec, context))
            (staging / "peak").write_text(str(read_peak_bytes()))
            save_outcome(staging, outcome)
        finally:
            os._exit(0)


def main() -> None:
    """Prints one line for each job and writes results/memory.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=600)
    parser.add_argument("--networks", type=int, nargs="*", default=range(len(NETWORKS)))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for module in (*jobs.PRELOAD, "worker.model_files"):
        importlib.import_module(module)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for number in arguments.networks:
            train = {"kind": "train", "epochs": 1, "max_train_examples": arguments.examples, **NETWORKS[number]}
            job, peak = bench.run(train)
            rows.append({"spec": train, "network": train, "peak_mib": round(peak / MIB), "status": job.status})
            print(json.dumps(rows[-1]), flush=True)
            for later in LATER if job.status == "succeeded" else ():
                again, peak = bench.run({**later, "model_id": job.output_model_id})
                rows.append({"spec": later, "network": train, "peak_mib": round(peak / MIB), "status": again.status})
                print(json.dumps(rows[-1]), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    else:
        write_result("memory", {"jobs": rows}, seeds=[0], conditions={"examples": arguments.examples})


if __name__ == "__main__":
    main()
