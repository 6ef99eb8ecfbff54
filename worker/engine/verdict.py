"""What an ended attempt means for its job: a pure decision, from three things that were seen."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.engine.outcome import DISK_FULL, Outcome
from worker.engine.port import ExitStatus


class Stop(StrEnum):
    """Why a running attempt was told to stop."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    RELEASE = "release"
    """The worker itself stops."""
    LOST = "lost"
    """Another attempt has taken over."""


class Verdict(StrEnum):
    """The transition of storage/attempts.py to take."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    WAITING = "waiting"
    CRASHED = "crashed"
    """Held against the job."""
    LOST = "lost"
    """Not held against it."""
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the job's `error` object where there is one."""

    verdict: Verdict
    error: Mapping[str, Any] | None = None


def judge(stop: Stop | None, exit_status: ExitStatus, outcome: Outcome | None, max_runtime_s: int) -> Judgement:
    """An outcome that the run reached by itself counts, even where a stop came at the same moment."""
    if stop is Stop.LOST:
        return Judgement(Verdict.DISCARDED)
    if outcome is not None and outcome.status == "succeeded":
        return Judgement(Verdict.SUCCEEDED)
    if outcome is not None and outcome.status == "failed":
        return Judgement(Verdict.FAILED, outcome.error)
    if stop is Stop.DEADLINE:
        return Judgement(Verdict.FAILED, _describe_deadline(max_runtime_s))
    if stop is Stop.RELEASE:
        return Judgement(Verdict.RELEASED)
    if stop is None and outcome is not None and outcome.status == "waiting":
        return Judgement(Verdict.WAITING)
    if stop is Stop.CANCEL or outcome is not None:
        return Judgement(Verdict.CANCELLED)
    if exit_status.disk_full:
        return Judgement(Verdict.FAILED, DISK_FULL)
    if exit_status.exceeded_bytes is not None:
        # Not tried again: the same run would come to hold as much.
        return Judgement(Verdict.FAILED, _describe_excess(exit_status.exceeded_bytes))
    if exit_status.exit_code is None and exit_status.signal is None:
        # The machine's fault, not the job's: as where the worker itself is lost.
        return Judgement(Verdict.LOST, _describe_crash(exit_status))
    return Judgement(Verdict.CRASHED, _describe_crash(exit_status))


def _describe_deadline(max_runtime_s: int) -> dict[str, Any]:
    return {
        "code": "deadline_exceeded",
        "title": "The job took too long",
        "detail": f"the job was stopped after max_runtime_s = {max_runtime_s} seconds",
        "retryable": False,
    }


def _describe_excess(max_bytes: int) -> dict[str, Any]:
    return {
        "code": "out_of_memory",
        "title": "Out of memory",
        "detail": f"the job came to hold more than the {max_bytes >> 20} MiB that one may hold (TONOK_MAX_JOB_BYTES)",
        "retryable": False,
    }


def _describe_crash(exit_status: ExitStatus) -> dict[str, Any]:
    if exit_status.out_of_memory:
        code, title, how = "out_of_memory", "Out of memory", "was killed because the machine ran out of memory"
    else:
        code, title = "worker_lost", "The job's process was lost"
        if exit_status.signal is not None:
            how = f"was ended by {signal.Signals(exit_status.signal).name}"
        elif exit_status.exit_code is not None:
            how = f"ended with exit code {exit_status.exit_code} and left no outcome"
        else:
            how = "could not be started"
    return {"code": code, "title": title, "detail": f"the job's process {how}", "retryable": True}
