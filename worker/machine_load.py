"""What else the machine did while something was timed: a time beside a busy neighbour compares with no other."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATISTICS = Path("/proc/stat")
_BUSY = (0, 1, 2, 5, 6, 7)
"""Of the numbers of its first line: user, nice, system, irq, softirq, and steal, what other guests took."""

FEWEST_BUSY_CORES, BUSY_SHARE = 0.25, 0.1
"""Others that take so many cores, and so large a part of all, are felt."""
LEAST_OWN_CORES = 0.9
"""Whoever computes without a pause and gets less of a core was kept from it."""


@dataclass(frozen=True)
class Moment:
    """Clocks at one moment, in seconds. all_s: of all cores together, None where the system does not tell."""

    wall_s: float
    own_s: float
    all_s: float | None


@dataclass(frozen=True)
class Load:
    """Cores that this process with its children and the others kept busy, on average.

    average_1m: the system's own of the last minute.
    """

    own_cores: float
    other_cores: float | None
    num_cores: int
    average_1m: float | None

    @property
    def is_busy(self) -> bool:
        """Whether the others took enough to be felt."""
        if self.other_cores is None:
            return self.own_cores < LEAST_OWN_CORES
        return self.other_cores > max(FEWEST_BUSY_CORES, BUSY_SHARE * self.num_cores)

    def to_json(self) -> dict[str, Any]:
        """`load` of a latency."""
        return {
            "own_cores": round(self.own_cores, 2),
            "other_cores": None if self.other_cores is None else round(self.other_cores, 2),
            "num_cores": self.num_cores,
            "average_1m": self.average_1m,
            "is_busy": self.is_busy,
        }


def read_moment() -> Moment:
    """The clocks now. What a child that was waited for has used counts as this process's own."""
    used = os.times()
    own_s = time.process_time() + used.children_user + used.children_system
    return Moment(time.perf_counter(), own_s, _read_all_s())


def _read_all_s() -> float | None:
    if not _STATISTICS.is_file():
        return None
    numbers = _STATISTICS.read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    return sum(int(numbers[place]) for place in _BUSY) / os.sysconf("SC_CLK_TCK")


def compute_load(before: Moment, after: Moment, *, num_cores: int, average_1m: float | None) -> Load:
    """What was done between two moments."""
    wall_s, own_s = after.wall_s - before.wall_s, after.own_s - before.own_s
    other_cores = None
    if before.all_s is not None and after.all_s is not None:
        all_s = after.all_s - before.all_s
        # Where the system counts less than this process alone has used, its numbers are made up.
        if all_s >= 0.5 * own_s:
            other_cores = max(0.0, (all_s - own_s) / wall_s)
    return Load(own_s / wall_s, other_cores, num_cores, average_1m)


def measure_load(before: Moment) -> Load:
    """What has been done since."""
    average = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return compute_load(before, read_moment(), num_cores=os.cpu_count() or 1, average_1m=average)
