"""The service's own job kinds, run without computing: files and models of known bytes, in a fraction of a second.

A client posts ordinary specs; whoever knows a job's seed knows what must lie in the store when it has succeeded. A
`compress` job is one that waits: for a `train` and then a `prune` job, its steps.
"""

from __future__ import annotations

import os
import random
import time

from tests.faults.points import FOLDER_VARIABLE, install
from worker.catalog import ArtifactKind
from worker.job_spec import JobContext, JobOutcome, JobSpec, Step
from worker.jobs import check_memory, parse_stored_spec
from worker.jobs.compress import CompressSpec
from worker.jobs.prune import PruneSpec
from worker.jobs.train import TrainSpec
from worker.progress import Progress
from worker.workspace import ModelRecord

__all__ = [
    "LIGHT_KINDS",
    "PRELOAD",
    "build_content",
    "build_step_seed",
    "check_memory",
    "parse_stored_spec",
    "run_spec",
]

PRELOAD = ()
LIGHT_KINDS: tuple[str, ...] = ()

if FOLDER_VARIABLE in os.environ:
    install()


def build_content(seed: int, name: str) -> bytes:
    """What the file `name` of a job with this seed holds."""
    return random.Random(f"{seed} {name}").randbytes(150_000)


def build_step_seed(seed: int, number: int) -> int:
    """The seed of a step of the job with this seed."""
    return 1_000_000 + 10 * seed + number


def run_spec(spec: JobSpec, context: JobContext) -> JobOutcome:
    """What each kind does here."""
    return _run_steps(spec, context) if isinstance(spec, CompressSpec) else _run_alone(spec, context)


def _run_steps(spec: CompressSpec, context: JobContext) -> JobOutcome:
    train = TrainSpec(seed=build_step_seed(spec.seed, 1), max_attempts=spec.max_attempts, name="first")
    first = context.run_steps({"first": Step(train, 1.0)}, later_s=1.0)["first"]
    prune = PruneSpec(
        model_id=str(first.output_model_id), seed=build_step_seed(spec.seed, 2), max_attempts=spec.max_attempts,
        name="second",
    )  # fmt: skip
    second = context.run_steps({"second": Step(prune, 1.0)})["second"]
    for artifact in second.artifacts:
        assert artifact.kind == "log" or artifact.path.read_bytes() == build_content(prune.seed, artifact.name)
    context.artifact_path("curve.png", ArtifactKind.PLOT).write_bytes(build_content(spec.seed, "curve.png"))
    return JobOutcome({"seed": spec.seed}, second.output_model_id)


def _run_alone(spec: JobSpec, context: JobContext) -> JobOutcome:
    parent: str | None = getattr(spec, "model_id", None)
    if parent is not None:
        context.model_file(parent)  # its SHA-256 is checked
    for epoch in range(1, 4):
        context.report(Progress(phase="training", percent=epoch * 30, metrics={"loss": 1 / epoch}, metrics_step=epoch))
        time.sleep(0.05)
    (context.scratch / "kept").write_bytes(b"kept")
    for name, kind in (("weights.bin", ArtifactKind.CHECKPOINT), ("curve.png", ArtifactKind.PLOT)):
        context.artifact_path(name, kind).write_bytes(build_content(spec.seed, name))
    model_id = context.save_model(
        ModelRecord("net", "mlp", "digits", parent, {"checkpoint": "weights.bin"}, {"sparsity": 0.0})
    )
    return JobOutcome({"seed": spec.seed}, model_id)
