"""How much memory there is, read from files as Linux has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from storage.machine import read_memory_bytes
from storage.settings import Settings

GIB = 1 << 30
MACHINE = {"proc/meminfo": "MemTotal:       16777216 kB\nMemFree: 1 kB\n"}
V1_UNLIMITED = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MACHINE, 16 * GIB),
        ({**MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ({**MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 16 * GIB),
        # A group's own limit, its parent's, and the host's path inside a container.
        (
            {**MACHINE, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": f"{3 * GIB}",
             "sys/fs/cgroup/a/memory.max": f"{5 * GIB}"},
            3 * GIB,
        ),
        (
            {**MACHINE, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max",
             "sys/fs/cgroup/a/memory.max": f"{5 * GIB}"},
            5 * GIB,
        ),
        ({**MACHINE, "proc/self/cgroup": "0::/docker/1\n", "sys/fs/cgroup/memory.max": f"{GIB}"}, GIB),
        (
            {**MACHINE, "proc/self/cgroup": "5:devices:/x\n4:cpu,memory:/docker/1\n",
             "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{4 * GIB}\n"},
            4 * GIB,
        ),
        (
            {**MACHINE, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED},
            16 * GIB,
        ),
        ({**MACHINE, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{64 * GIB}"}, 16 * GIB),
    ],
)  # fmt: skip
def test_the_least_limit_counts(tmp_path: Path, files: Mapping[str, str], expected: int | None) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert read_memory_bytes(tmp_path) == expected


def test_a_job_may_hold_what_is_set_and_by_default_a_share_of_what_there_is() -> None:
    assert Settings(max_job_bytes=GIB, slots=4).resolved_max_job_bytes == GIB
    one, four = Settings(slots=1).resolved_max_job_bytes, Settings(slots=4).resolved_max_job_bytes
    there = read_memory_bytes()
    if there is not None:
        assert one is not None
        assert four is not None
        assert four <= one <= max(there, 3 * GIB // 2)
