"""How much memory there is for this process: the machine's, or what a control group leaves of it."""

from __future__ import annotations

import functools
from contextlib import suppress
from pathlib import Path

KIB = 1024


@functools.cache
def read_memory_bytes(root: Path = Path("/")) -> int | None:
    """The least of the machine's memory and the limits of this process's control groups, their parents included.

    Asked once: every submission wants to know. root: the folder that holds `proc` and `sys`.
    None where the system tells nothing of it.
    """
    found = [_read_machine(root), *_read_limits(root)]
    return min((limit for limit in found if limit), default=None)


def _read_machine(root: Path) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * KIB
    return None


def _read_limits(root: Path) -> list[int]:
    """Of version 2 of control groups and of version 1. "No limit" is a word in one, a huge number in the other."""
    limits = []
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                top, name = root / "sys/fs/cgroup", "memory.max"
            elif "memory" in controllers.split(","):
                top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            else:
                continue
            group = top / path.lstrip("/")
            # Inside a container the path may be the host's, and the container's own group is mounted at the top.
            for folder in (group, *group.parents):
                with suppress(OSError, ValueError):
                    limits.append(int((folder / name).read_text(encoding="ascii")))
                if folder == top:
                    break
    return limits
