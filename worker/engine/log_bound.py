"""An attempt's log within bounds: everything that its process writes goes there, whoever wrote the code."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_HEAD_SHARE = 4
"""A quarter of the allowed bytes is kept of the beginning: what was asked for, and how the run set out."""
_TAIL_SHARE = 2
"""Half of them of the end: how it came to what it did. The last quarter is room to go on."""


def bound_log(path: Path, max_bytes: int) -> bool:
    """Shortens a log that has grown beyond so many bytes, and says so in it; returns whether it had.

    The process may go on writing meanwhile: it has opened the file for appending, and continues at the new end. What it
    writes in the very moment is left out with the rest.
    """
    with suppress(OSError):  # there is none; or no room, not even for what is left
        if path.stat().st_size <= max_bytes:
            return False
        with path.open("r+b") as stream:
            head = stream.read(max_bytes // _HEAD_SHARE)
            stream.seek(-(max_bytes // _TAIL_SHARE), os.SEEK_END)
            tail = stream.read(max_bytes // _TAIL_SHARE)
            note = f"\n[tonok: the log grew beyond {max_bytes} bytes (TONOK_MAX_LOG_BYTES); lines are left out here]\n"
            # Whole lines, where there are any.
            head, tail = head[: head.rfind(b"\n") + 1] or head, tail[tail.find(b"\n") + 1 :]
            stream.truncate(len(head))
        with path.open("ab") as stream:
            stream.write(note.encode() + tail)
        return True
    return False
