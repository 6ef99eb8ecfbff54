"""Room on the disk: what must stay free of it, and how much the data directory may take."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from storage.errors import DiskFull
from storage.settings import Settings

UNNAMED = "files/tmp"
"""Below the data directory: copies that are being written, for which room is held elsewhere."""

_REMEASURE_S = 10.0
"""The directory's size is found by looking at every file: not with every request."""


class Room:
    """Asked before something grows, so that a job or an upload ends clearly, and not in the middle of a write.

    The directory is measured outside the lock: who gives a file its name holds the database's write lock, and would
    wait with it for a look at every file.
    """

    def __init__(self, settings: Settings, measure: Callable[[Path, Path], int] | None = None) -> None:
        """measure: (folder, what is left out of it) → its bytes; None for `measure_folder`."""
        self._folder = settings.data_dir
        self._min_free_bytes = settings.min_free_bytes
        self._max_data_bytes = settings.max_data_bytes
        self._measure = measure or measure_folder
        self._num_bytes = 0
        self._num_noted = 0
        """Of all files that got their names."""
        self._twice = 0
        """So many of these got them while the directory was measured, and may have been seen there too."""
        self._measured_at: float | None = None
        self._held_bytes = 0
        self._lock, self._measuring = Lock(), Lock()

    def check(self, num_bytes: int = 0, *, held_bytes: int = 0) -> None:
        """Raises DiskFull where so many bytes more would be too many. held_bytes: of these, held already."""
        self._check_disk(num_bytes)
        self._measure_again()
        with self._lock:
            self._check_quota(num_bytes - held_bytes)

    def _check_disk(self, num_bytes: int) -> None:
        folder = next(path for path in (self._folder, *self._folder.parents) if path.is_dir())
        if shutil.disk_usage(folder).free - num_bytes < self._min_free_bytes:
            raise DiskFull(f"the disk must keep {_in_mib(self._min_free_bytes)} MiB free: delete jobs, or make room")

    def _check_quota(self, num_bytes: int) -> None:
        if self._max_data_bytes is None:
            return
        excess = self._num_bytes + self._held_bytes + num_bytes - self._max_data_bytes
        if 0 < excess <= self._twice:  # nobody is refused for what is counted twice: under the lock nothing comes along
            before = self._num_bytes
            self._num_bytes, self._twice = self._measure(self._folder, self._folder / UNNAMED), 0
            excess += self._num_bytes - before
        if excess > 0:
            raise DiskFull(f"the service may store {_in_mib(self._max_data_bytes)} MiB, all of it taken: delete jobs")

    @contextmanager
    def note(self, num_bytes: int, held: Held | None = None) -> Iterator[None]:
        """So many bytes get their name inside the block: they count before the folder is measured again.

        held: what was held for them and is held no longer, at the same moment. Counted twice for an instant, they would
        keep out who has room.
        """
        with self._lock:
            yield
            self._num_bytes += num_bytes
            self._num_noted += num_bytes
            if held is not None:
                self._release(held)

    @contextmanager
    def hold(self) -> Iterator[Held]:
        """Room for what comes bit by bit and has no name on the disk, where it would be found, for as long as that."""
        held = Held(self)
        try:
            yield held
        finally:
            with self._lock:
                self._release(held)

    def take(self, held: Held, num_bytes: int) -> None:
        """Holds so many bytes more. Raises DiskFull, and then holds nothing of the writer's any more.

        At that same moment: of many files that come together and do not all fit, every one would be refused before the
        room of the first was free for the others.
        """
        self._check_disk(num_bytes)
        self._measure_again()
        with self._lock:
            try:
                self._check_quota(num_bytes)
            except DiskFull:
                self._release(held)
                raise
            self._held_bytes += num_bytes
            held.num_bytes += num_bytes

    def _release(self, held: Held) -> None:
        self._held_bytes -= held.num_bytes
        held.num_bytes = 0

    def _measure_again(self) -> None:
        """Measures the directory where it is time. Who finds somebody at it goes by what is known, if anything is."""
        if not self._is_due() or not self._measuring.acquire(blocking=self._measured_at is None):
            return
        try:
            if not self._is_due():
                return
            with self._lock:
                noted = self._num_noted
            now, num_bytes = time.monotonic(), self._measure(self._folder, self._folder / UNNAMED)
            with self._lock:
                self._twice = self._num_noted - noted
                self._num_bytes, self._measured_at = num_bytes + self._twice, now
        finally:
            self._measuring.release()

    def _is_due(self) -> bool:
        measured_at = self._measured_at
        is_old = measured_at is None or time.monotonic() - measured_at > _REMEASURE_S
        return self._max_data_bytes is not None and is_old


class Held:
    """What one writer holds of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.num_bytes = 0

    def grow(self, num_bytes: int) -> None:
        """Before so many bytes more are written. Raises DiskFull."""
        self._room.take(self, num_bytes)


def measure_folder(folder: Path, but: Path | None = None) -> int:
    """Bytes of all files below the folder, `but` left out. Some may come and go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names if but is None or parent != str(but) else ():
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118 - for thousands of them
    return total


def _in_mib(num_bytes: int) -> str:
    return f"{num_bytes / 1024**2:,.0f}"
