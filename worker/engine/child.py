"""The process of one attempt: `python -m worker.engine.child`, started by engine/local.py and by nobody else.

It starts before it is needed, imports what is slow to import, and waits on a pipe for its attempt. The same pipe
brings signs of life and the wish to cancel; when it closes or falls silent, the process ends with all its group.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import importlib
import json
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

from sqlalchemy.exc import OperationalError

from storage.attempts import Lease
from storage.database import Database
from storage.errors import DiskFull, JobError, LeaseLost, is_disk_full
from storage.logs import bind_log_fields, configure_logging
from storage.settings import load_settings
from worker.engine.context import Context
from worker.engine.memory import limit_growth, offer_to_kernel, read_peak_bytes, return_free_memory
from worker.engine.outcome import ATTEMPT_NAME, DISK_FULL, LOG_NAME, Outcome, save_outcome
from worker.job_spec import JobContext, JobOutcome, JobSpec, StepsPending
from worker.progress import JobCancelled
from worker.stored_specs import StoredSpec

_PR_SET_PDEATHSIG = 1

log = logging.getLogger("worker.job")


class JobsModule(Protocol):
    """What the engine needs of a module of job kinds; worker.jobs is the one in production."""

    PRELOAD: Collection[str]
    """Modules that a waiting process imports ahead of its job."""

    LIGHT_KINDS: Collection[str]
    """Kinds that run beside the slots."""

    def parse_stored_spec(self, resolved_spec: Mapping[str, Any]) -> StoredSpec:
        """Stored JSON to a spec, whichever version stored it. Raises InvalidSpec."""

    def check_memory(
        self, spec: JobSpec, describe_model: Callable[[str], Mapping[str, Any]], max_bytes: int | None
    ) -> object:
        """Raises TooMuchMemory for a job that would need more than one may hold."""

    def run_spec(self, spec: JobSpec, context: JobContext) -> JobOutcome:
        """Runs the spec."""


class Channel:
    """The child's end of the pipe: one JSON object per line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""

    def receive(self, timeout_s: float | None) -> dict[str, Any] | None:
        """The next message; None once the pipe is closed. Raises TimeoutError."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._descriptor], [], [], remaining)[0]:
                raise TimeoutError
            chunk = os.read(self._descriptor, 65_536)
            if not chunk:
                return None
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: dict[str, Any] = json.loads(line)
        return message


class Watch(threading.Thread):
    """Listens to the worker while the job runs."""

    def __init__(self, channel: Channel, silence_s: float) -> None:
        super().__init__(name="watch", daemon=True)
        self._channel = channel
        self._silence_s = silence_s
        self.cancelled = threading.Event()

    def run(self) -> None:
        last_sign = time.monotonic()
        while True:
            try:
                message = self._channel.receive(last_sign + self._silence_s - time.monotonic())
            except TimeoutError:
                _end_group("the worker has fallen silent")
            if message is None:
                _end_group("the worker is gone")
            if message["type"] == "alive":
                last_sign = time.monotonic()
            elif message["type"] == "cancel":
                self.cancelled.set()
            elif message["type"] == "trim":
                return_free_memory()


def _end_group(reason: str) -> NoReturn:
    """Ends this process and all that it started, by force: the job's code may be anywhere, even in C."""
    log.error("stopping: %s", reason)
    os.killpg(0, signal.SIGKILL)
    raise SystemExit(1)


def _die_with(parent_pid: int) -> None:
    """Asks the kernel to kill this process when its parent dies: the pipe alone would not, inside long C calls."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before we asked
        sys.exit(1)


def _redirect_output(path: Path) -> None:
    """Everything the process says from here on, in Python or in C, goes to the job's log."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable()


def _describe_error(error: Exception) -> dict[str, Any]:
    """The job's `error` object. Only domain errors speak for themselves; a traceback stays in the log."""
    if isinstance(error, JobError):
        return _error(error.code, error.title, error.detail, retryable=error.retryable)
    if is_disk_full(error):
        return DISK_FULL
    if _is_out_of_memory(error):
        detail = "the job needed more memory than there is, or than one job may hold (TONOK_MAX_JOB_BYTES)"
        return _error("out_of_memory", "Out of memory", detail, retryable=True)
    detail = f"the job ended with an unexpected {type(error).__name__}; its log tells more"
    return _error("internal_error", "The job failed", detail, retryable=False)


def _is_out_of_memory(error: Exception) -> bool:
    # torch has its own exceptions; they are told by name and text so that torch need not be imported here.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
        or "bad_alloc" in str(error)
    )


def _error(code: str, title: str, detail: str, *, retryable: bool) -> dict[str, Any]:
    return {"code": code, "title": title, "detail": detail, "retryable": retryable}


def _run(jobs: JobsModule, resolved_spec: dict[str, Any], context: Context, max_bytes: int | None) -> Outcome:
    try:
        stored = jobs.parse_stored_spec(resolved_spec)
        for change in stored.changes:
            context.warn(change.describe(), change.build_data())
        # Asked when it was submitted, too; but the setting may be another by now, and a step was submitted by nobody.
        jobs.check_memory(stored.spec, context.describe, max_bytes)
        return context.build_outcome(jobs.run_spec(stored.spec, context))
    except JobCancelled:
        log.info("cancelled")
        _write_pending(context)
        return Outcome(status="cancelled")
    except StepsPending:
        log.info("waits for its steps")
        _write_pending(context)
        return Outcome(status="waiting", wait=context.wait)
    except LeaseLost:
        raise
    except Exception as error:
        log.exception("the job failed")
        _write_pending(context)
        return Outcome(status="failed", error=_describe_error(error))


def _write_pending(context: Context) -> None:
    # A database that cannot be reached now must not hide how the run ended.
    with suppress(OperationalError, DiskFull):
        context.write_pending()


def _leave(staging: Path, outcome: Outcome) -> None:
    try:
        save_outcome(staging, outcome)
    except OSError as error:
        if not is_disk_full(error):
            raise
        # A failure throws the run's files away, and so has room.
        save_outcome(staging, Outcome(status="failed", error=DISK_FULL))


def main() -> None:
    """Waits for an attempt, runs it, leaves its outcome in the staging folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--jobs-module", required=True)
    arguments = parser.parse_args()
    _die_with(arguments.parent)
    offer_to_kernel()
    settings = load_settings()
    jobs: Any = importlib.import_module(arguments.jobs_module)
    for module in jobs.PRELOAD:
        importlib.import_module(module)

    channel = Channel(arguments.channel)
    message = channel.receive(None)
    if message is None:
        return
    staging = Path(message["staging"])
    _redirect_output(staging / LOG_NAME)
    configure_logging(settings)
    watch = Watch(channel, silence_s=0.8 * settings.lease_ttl_s)
    watch.start()
    if settings.resolved_max_job_bytes is not None:
        limit_growth(settings.resolved_max_job_bytes)
    attempt = json.loads((staging / ATTEMPT_NAME).read_bytes())
    lease = Lease(**attempt["lease"])
    with bind_log_fields(job_id=lease.job_id, attempt=lease.attempt, request_id=attempt["request_id"]):
        log.info("the attempt starts")
        context = Context(settings, Database(settings), lease, staging, watch.cancelled.is_set, attempt["owner"])
        _leave(staging, _run(jobs, attempt["resolved_spec"], context, settings.resolved_max_job_bytes))
        peak_bytes = read_peak_bytes()
        log.info("the attempt ends; it held %s MiB at most", "?" if peak_bytes is None else peak_bytes >> 20)
    logging.shutdown()
    with suppress(OSError):  # a log that cannot grow must not turn a finished job into a lost one
        sys.stdout.flush()
    # Not sys.exit: a library's exit handlers that hang or crash must not turn a finished job into a lost one.
    os._exit(0)


if __name__ == "__main__":
    main()
