"""What an attempt's processes hold of the machine's memory, and what keeps that within bounds. On Linux; elsewhere the
system tells nothing of it, and nothing is bounded.

Two bounds, because neither is enough. The worker measures resident memory every second: that is what the setting is
about, but a tensor of any size is filled between two looks. RLIMIT_DATA stops such a jump at once, in the run's own
code; what it counts is addresses that may be written, and there are always more of those than of memory held.
RLIMIT_AS would count what torch and CUDA merely reserve, tens of gigabytes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

OOM_SCORE_ADJUSTMENT = 500
"""As if the process held half of the machine more than it does: of all of ours, the kernel takes it first."""
_SLACK_BYTES = 512 << 20
"""Addresses that a job may have and never fill: stacks of threads, and what the allocator fetches ahead."""
_NVIDIA = Path("/dev/nvidiactl")
_KIB = 1024


def offer_to_kernel() -> None:
    """Lets the kernel kill this process, and none of the service's others, when the machine runs out of memory."""
    path = Path("/proc/self/oom_score_adj")
    # Whoever started the service may have raised it further; to lower it takes a right that we may not have.
    with suppress(OSError, ValueError):
        if int(path.read_text(encoding="ascii")) < OOM_SCORE_ADJUSTMENT:
            path.write_text(str(OOM_SCORE_ADJUSTMENT), encoding="ascii")


def limit_growth(max_bytes: int) -> None:
    """From here on this process gets no more than so many bytes, and some slack, on top of what it has."""
    # CUDA's driver maps buffers of its own with addresses that nobody here has counted.
    if sys.platform != "linux" or _NVIDIA.exists():
        return
    data_bytes = _read_status(Path("/proc/self/status"), "VmData")
    if data_bytes is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = data_bytes + max_bytes + _SLACK_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def return_free_memory() -> None:
    """Gives back to the system what the allocator keeps for later."""
    with suppress(AttributeError, OSError):  # glibc's
        ctypes.CDLL(None).malloc_trim(0)


def read_peak_bytes() -> int | None:
    """The most that this process has held."""
    return _read_status(Path("/proc/self/status"), "VmHWM")


def measure_groups(groups: Collection[int]) -> dict[int, int]:
    """Process group → resident bytes of its processes. Pages that a fork shares count for each who has them."""
    held = dict.fromkeys(groups, 0)
    if not groups or sys.platform != "linux":
        return held
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    for name in os.listdir("/proc"):  # noqa: PTH208 - every second, for each process of the machine
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):  # gone in between
                with open(f"/proc/{name}/stat", "rb") as stream:  # noqa: PTH123
                    # Behind the name, which may hold anything: state, parent, group, ...; the 22nd is pages held.
                    fields = stream.read().rpartition(b")")[2].split()
                group = int(fields[2])
                if group in held:
                    held[group] += int(fields[21]) * page_bytes
    return held


def _read_status(path: Path, name: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * _KIB
    return None
