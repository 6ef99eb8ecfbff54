"""Disks that fill up, and processes that run on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import NO_MOUNT
from tests.storage.conftest import claim, submit, submit_as
from tests.worker.engine.conftest import bench

__all__ = ["SmallDisk", "bench", "claim", "disk", "submit", "submit_as"]


class SmallDisk:
    """A file system of a few megabytes, so that full means full."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, keep_bytes: int = 0) -> None:
        """Leaves room for so many bytes, rounded down to pages."""
        with self._filler.open("ab", buffering=0) as stream:
            while (free := self._count_free() - keep_bytes) >= 4096:
                stream.write(bytes(free // 4096 * 4096))

    def empty(self) -> None:
        self._filler.unlink(missing_ok=True)

    def _count_free(self) -> int:
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mounted for the test; skipped where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tonok-test", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(NO_MOUNT)
    yield SmallDisk(folder)
    # Lazily, for a worker that is just being killed may still have a file open there.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
