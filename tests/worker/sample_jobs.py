"""Job kinds for the engine's tests: each does one thing that jobs do, or that goes wrong with them."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from storage.errors import Diverged, TooMuchMemory
from worker.catalog import ArtifactKind
from worker.job_spec import JobContext, JobOutcome, JobSpec, Step
from worker.progress import Progress
from worker.stored_specs import StoredSpec, adapt_spec
from worker.workspace import ModelRecord

PRELOAD = ()
LIGHT_KINDS = ("light_sample", "lighter_sample")


class SampleSpec(JobSpec):
    """`action` is what the run does; `witness` is a folder where it leaves signs of what it has seen."""

    kind: Literal["sample"] = "sample"
    action: str
    witness: Path


def parse_stored_spec(resolved_spec: Mapping[str, Any]) -> StoredSpec:
    return adapt_spec(SampleSpec, resolved_spec)


def check_memory(spec: JobSpec, _describe_model: object, max_bytes: int | None) -> None:
    assert isinstance(spec, SampleSpec)
    if spec.action == "too_large" and max_bytes is not None:
        raise TooMuchMemory("too large for any machine")


def run_spec(spec: JobSpec, context: JobContext) -> JobOutcome:
    assert isinstance(spec, SampleSpec)
    with (spec.witness / context.job_id).open("a") as stream:
        stream.write(f"{os.getpid()}\n")
    print(f"the run says {spec.action}", flush=True)
    return _ACTIONS[spec.action](spec, context)


def _write_and_save(context: JobContext) -> str:
    context.artifact_path("weights.bin", ArtifactKind.CHECKPOINT).write_bytes(b"weights" * 1000)
    context.artifact_path("curve.png", ArtifactKind.PLOT).write_bytes(b"\x89PNG")
    return context.save_model(
        ModelRecord("net", "mlp", "digits", None, {"checkpoint": "weights.bin"}, {"sparsity": 0.5, "loss": math.nan})
    )


def _succeed(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    for epoch in range(1, 4):
        metrics = {"train_loss": 1 / epoch, "bad": math.nan if epoch == 2 else 1.0}
        context.report(
            Progress(
                phase="training", percent=epoch * 30, epoch=epoch, message=f"epoch {epoch}", metrics=metrics,
                metrics_step=epoch,
            )
        )  # fmt: skip
    model_id = _write_and_save(context)
    assert context.model_file(model_id).read_bytes().startswith(b"weights")
    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return JobOutcome({"accuracy": 0.9, "infinite": math.inf, "threads": threads}, model_id)


def _fail(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    _write_and_save(context)
    raise Diverged("the loss is not finite")


def _raise(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    _write_and_save(context)
    raise RuntimeError("secret-path-in-message")


def _memory_error(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    raise MemoryError


def _exit(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    os._exit(7)


def _segfault(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    ctypes.string_at(0)
    raise AssertionError


def _exit_once(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    """Dies in the first attempt; in the second finds in scratch what the first has kept there."""
    kept = context.scratch / "kept"
    if not kept.exists():
        kept.write_text("first")
        os._exit(1)
    return JobOutcome({"kept": kept.read_text()})


def _wait(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    """Runs until it is asked to stop."""
    while True:
        context.report(Progress(phase="waiting"))
        time.sleep(0.02)


def _wait_for_go(spec: SampleSpec, context: JobContext) -> JobOutcome:
    while not (spec.witness / "go").exists():
        time.sleep(0.02)
    return _succeed(spec, context)


def _ignore_everything(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    """Neither reports nor minds SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.05)


def _freeze(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    """As something stops it that has nothing to do with us."""
    os.kill(os.getpid(), signal.SIGSTOP)
    raise AssertionError


def _with_grandchild(spec: SampleSpec, context: JobContext) -> JobOutcome:
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(0.05)
    (spec.witness / "grandchild").write_text(str(pid))
    return _ignore_everything(spec, context)


def _step(spec: SampleSpec, action: str, **changes: Any) -> Step:
    return Step(SampleSpec(action=action, witness=spec.witness, name=action, **changes), expected_s=10)


def _parent(spec: SampleSpec, context: JobContext) -> JobOutcome:
    """A step, then two that depend on nothing, and a result made of them all."""
    first = context.run_steps({"first": _step(spec, "succeed")}, later_s=20)["first"]
    both = context.run_steps({"second": _step(spec, "wait_for_go"), "third": _step(spec, "imports")})
    assert first.artifacts[1].path.read_bytes() == b"weights" * 1000
    steps = {"first": first, **both}
    return JobOutcome(
        {name: {"job_id": step.job_id, "is_reused": step.is_reused} for name, step in steps.items()},
        first.output_model_id,
    )


def _parent_of_failing(spec: SampleSpec, context: JobContext) -> JobOutcome:
    context.run_steps({"doomed": _step(spec, "fail"), "endless": _step(spec, "wait")})
    raise AssertionError


def _parent_of_crashing(spec: SampleSpec, context: JobContext) -> JobOutcome:
    context.run_steps({"doomed": _step(spec, "exit", max_attempts=1)})
    raise AssertionError


def _parent_of_waiting(spec: SampleSpec, context: JobContext) -> JobOutcome:
    context.run_steps({"endless": _step(spec, "wait"), "behind": _step(spec, "imports")})
    raise AssertionError


def _fill_disk(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    with context.artifact_path("large.bin", ArtifactKind.CHECKPOINT).open("wb") as stream:
        while True:
            stream.write(bytes(100_000))


def _write_large(_spec: SampleSpec, context: JobContext) -> JobOutcome:
    for number in range(2):
        path = context.artifact_path(f"large-{number}.bin", ArtifactKind.CHECKPOINT)
        path.write_bytes(bytes([number]) * 2_000_000)
    return JobOutcome({})


def _exhaust_memory(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    """As on a machine that has a gigabyte and no more: the system refuses, and does not kill."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    kept = []
    while True:
        kept.append(bytearray(1 << 26))


def _grow() -> None:
    """Fills memory step by step, up to four gigabytes."""
    kept = []
    for _ in range(512):
        kept.append(b"\1" * (1 << 23))
        time.sleep(0.05)


def _hoard(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    _grow()
    return JobOutcome({})


def _hoard_in_grandchild(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    if os.fork() == 0:
        _grow()
        os._exit(0)
    os.wait()
    return JobOutcome({})


def _jump(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    """Wants two gigabytes in one go."""
    return JobOutcome({"held": len(bytearray(1 << 31))})


def _chatter(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    """Writes to its log until somebody has shortened that."""
    print("the first line", flush=True)
    size = 0
    while (grown := os.fstat(1).st_size) >= size:
        size = grown
        os.write(1, b"all that there is to say, and once more\n" * 100)
    print("the last line", flush=True)
    return JobOutcome({})


def _imports(_spec: SampleSpec, _context: JobContext) -> JobOutcome:
    return JobOutcome({"torch": "torch" in sys.modules, "group": os.getpgid(0) == os.getpid()})


_ACTIONS = {
    "succeed": _succeed,
    "fail": _fail,
    "raise": _raise,
    "memory_error": _memory_error,
    "exit": _exit,
    "segfault": _segfault,
    "exit_once": _exit_once,
    "wait": _wait,
    "wait_for_go": _wait_for_go,
    "ignore_everything": _ignore_everything,
    "freeze": _freeze,
    "with_grandchild": _with_grandchild,
    "fill_disk": _fill_disk,
    "write_large": _write_large,
    "exhaust_memory": _exhaust_memory,
    "too_large": _succeed,
    "hoard": _hoard,
    "hoard_in_grandchild": _hoard_in_grandchild,
    "jump": _jump,
    "chatter": _chatter,
    "imports": _imports,
    "parent": _parent,
    "parent_of_failing": _parent_of_failing,
    "parent_of_crashing": _parent_of_crashing,
    "parent_of_waiting": _parent_of_waiting,
}
