"""What the worker concludes from a process that has ended."""

from __future__ import annotations

import pytest

from worker.engine.outcome import Outcome
from worker.engine.port import ExitStatus
from worker.engine.verdict import Stop, Verdict, judge

SUCCEEDED = Outcome(status="succeeded")
FAILED = Outcome(status="failed", error={"code": "diverged"})
CANCELLED = Outcome(status="cancelled")
EXITED = ExitStatus(exit_code=0, signal=None)
KILLED = ExitStatus(exit_code=None, signal=9)
NOT_STARTED = ExitStatus(exit_code=None, signal=None)


@pytest.mark.parametrize(
    ("stop", "exit_status", "outcome", "verdict", "code"),
    [
        (None, EXITED, SUCCEEDED, Verdict.SUCCEEDED, None),
        (None, EXITED, FAILED, Verdict.FAILED, "diverged"),
        (None, EXITED, CANCELLED, Verdict.CANCELLED, None),
        (None, EXITED, None, Verdict.CRASHED, "worker_lost"),
        (None, KILLED, None, Verdict.CRASHED, "worker_lost"),
        (None, NOT_STARTED, None, Verdict.LOST, "worker_lost"),
        (None, ExitStatus(None, None, disk_full=True), None, Verdict.FAILED, "disk_full"),
        (None, ExitStatus(None, 9, out_of_memory=True), None, Verdict.CRASHED, "out_of_memory"),
        (None, ExitStatus(None, 9, exceeded_bytes=1 << 30), None, Verdict.FAILED, "out_of_memory"),
        (None, ExitStatus(None, 9, exceeded_bytes=1 << 30), SUCCEEDED, Verdict.SUCCEEDED, None),
        (Stop.CANCEL, ExitStatus(None, 9, exceeded_bytes=1 << 30), None, Verdict.CANCELLED, None),
        (Stop.DEADLINE, ExitStatus(None, 9, exceeded_bytes=1 << 30), None, Verdict.FAILED, "deadline_exceeded"),
        (Stop.CANCEL, KILLED, None, Verdict.CANCELLED, None),
        (Stop.CANCEL, EXITED, SUCCEEDED, Verdict.SUCCEEDED, None),
        (Stop.CANCEL, EXITED, FAILED, Verdict.FAILED, "diverged"),
        (Stop.DEADLINE, EXITED, CANCELLED, Verdict.FAILED, "deadline_exceeded"),
        (Stop.DEADLINE, KILLED, None, Verdict.FAILED, "deadline_exceeded"),
        (Stop.RELEASE, EXITED, CANCELLED, Verdict.RELEASED, None),
        (Stop.RELEASE, KILLED, None, Verdict.RELEASED, None),
        (Stop.RELEASE, EXITED, SUCCEEDED, Verdict.SUCCEEDED, None),
        (Stop.LOST, EXITED, SUCCEEDED, Verdict.DISCARDED, None),
    ],
)
def test_verdict(
    stop: Stop | None, exit_status: ExitStatus, outcome: Outcome | None, verdict: Verdict, code: str | None
) -> None:
    judgement = judge(stop, exit_status, outcome, max_runtime_s=10)
    assert judgement.verdict is verdict
    assert (judgement.error or {}).get("code") == code
