"""Room on the disk: what must stay free of it, and how much the data directory may take."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

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
        self._held_bytes = 0
        self._lock = Lock()

    def check(self, num_bytes: int = 0, *, held_bytes: int = 0) -> None:
        """Raises DiskFull where so many bytes more would be too many. held_bytes: of these, held already."""
        folder = next(path for path in (self._folder, *self._folder.parents) if path.is_dir())
        if shutil.disk_usage(folder).free - num_bytes < self._min_free_bytes:
            raise DiskFull(f"the disk must keep {_in_mib(self._min_free_bytes)} MiB free: delete jobs, or make room")
        if self._max_data_bytes is None:
            return
        if self._get_size() + self._held_bytes + num_bytes - held_bytes > self._max_data_bytes:
            raise DiskFull(f"the service may store {_in_mib(self._max_data_bytes)} MiB, all of it taken: delete jobs")

    def note(self, num_bytes: int) -> None:
        """So many bytes were just written: they count before the folder is measured again."""
        self._num_bytes += num_bytes

    @contextmanager
    def hold(self) -> Iterator[Held]:
        """Room for what comes bit by bit and has no name on the disk, where it would be found, for as long as that."""
        held = Held(self)
        try:
            yield held
        finally:
            self.change_held(-held.num_bytes)

    def change_held(self, num_bytes: int) -> None:
        """So many bytes more, or fewer, are held."""
        with self._lock:
            self._held_bytes += num_bytes

    def _get_size(self) -> int:
        now = time.monotonic()
        if self._measured_at is None or now - self._measured_at > _REMEASURE_S:
            self._num_bytes, self._measured_at = measure_folder(self._folder), now
        return self._num_bytes


class Held:
    """What one writer holds of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.num_bytes = 0

    def grow(self, num_bytes: int) -> None:
        """Before so many bytes more are written. Raises DiskFull."""
        self._room.check(num_bytes)
        self._room.change_held(num_bytes)
        self.num_bytes += num_bytes


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
