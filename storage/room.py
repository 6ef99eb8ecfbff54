"""Room on the disk: what must stay free of it, and how much the data directory may take."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from storage.errors import DiskFull
from storage.settings import Settings

_REMEASURE_S = 10.0
"""The directory's size is found by looking at every file: not with every request."""


class Room:
    """Asked before something grows, so that a job or an upload ends clearly, and not in the middle of a write."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir
        self._min_free_bytes = settings.min_free_bytes
        self._max_data_bytes = settings.max_data_bytes
        self._num_bytes = 0
        self._measured_at: float | None = None

    def check(self, num_bytes: int = 0) -> None:
        """Raises DiskFull where so many bytes more would be too many."""
        folder = next(path for path in (self._folder, *self._folder.parents) if path.is_dir())
        if shutil.disk_usage(folder).free - num_bytes < self._min_free_bytes:
            raise DiskFull(f"the disk must keep {_in_mib(self._min_free_bytes)} MiB free: delete jobs, or make room")
        if self._max_data_bytes is not None and self._get_size() + num_bytes > self._max_data_bytes:
            raise DiskFull(f"the service may store {_in_mib(self._max_data_bytes)} MiB, all of it taken: delete jobs")

    def note(self, num_bytes: int) -> None:
        """So many bytes were just written: they count before the folder is measured again."""
        self._num_bytes += num_bytes

    def _get_size(self) -> int:
        now = time.monotonic()
        if self._measured_at is None or now - self._measured_at > _REMEASURE_S:
            self._num_bytes, self._measured_at = measure_folder(self._folder), now
        return self._num_bytes


def measure_folder(folder: Path) -> int:
    """Bytes of all files below the folder. Some may come and go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - for thousands of them
    return total


def _in_mib(num_bytes: int) -> str:
    return f"{num_bytes / 1024**2:,.0f}"
