"""The port through which a claimed job reaches a process. One file per adapter stands beside this one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from storage.attempts import Lease


class Lane(StrEnum):
    """Where an attempt runs: a light one never waits behind an hour of training."""

    HEAVY = "heavy"
    LIGHT = "light"


@dataclass(frozen=True)
class Attempt:
    """One try at a job: all that a process needs to know to run it."""

    lease: Lease
    resolved_spec: dict[str, Any]
    staging: Path
    """A folder of this attempt alone, for its log, its outcome and its artifacts until they are published."""
    owner: str
    """Whose models it may read."""
    request_id: str | None
    """The HTTP request that submitted the job: its log names it."""
    lane: Lane = Lane.HEAVY


@dataclass(frozen=True)
class ExitStatus:
    """How an attempt's process ended. `signal` is set where one killed it, else `exit_code`."""

    exit_code: int | None
    signal: int | None
    out_of_memory: bool = False
    """The kernel killed a process for want of memory while this one ran."""
    exceeded_bytes: int | None = None
    """The engine killed it because it held more memory than this, which is what a job may hold."""
    disk_full: bool = False
    """No room was left for so much as the attempt's folder."""


class Engine(Protocol):
    """Runs attempts; knows nothing of jobs' rows and decides nothing about them."""

    def count_free(self, lane: Lane) -> int:
        """Attempts of this lane that may be submitted now."""

    def submit(self, attempt: Attempt) -> None:
        """Starts the attempt. Returns at once."""

    def cancel(self, lease: Lease, grace_s: float) -> None:
        """Asks the attempt to stop. Idempotent: called again, it presses harder, and once `grace_s` seconds are
        over it ends the process by force.
        """

    def status(self, lease: Lease) -> ExitStatus | None:
        """None while the attempt runs. An exit status is told once; the attempt is forgotten with it."""

    def reconcile(self, held: Collection[Lease]) -> None:
        """Tells which attempts are still ours. Those get a sign of life, without which they stop by themselves
        before their lease runs out; all others are ended at once, by force.
        """

    def close(self) -> None:
        """Ends whatever still runs."""
