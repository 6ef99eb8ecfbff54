"""The worker's signs of life to whoever has started it: a byte in a pipe, once a second at most.

Not its row in the database: where that is locked or its disk is full, the worker waits, and is well.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

_INTERVAL_S = 1.0


class Pulse:
    """descriptor: the pipe's end to write to, not blocking; None where nobody listens."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._beats_at = 0.0
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # a job must not speak for its worker

    def beat(self) -> None:
        """To be called again and again by the loop that must not stop. Never waits."""
        now = time.monotonic()
        if self._descriptor is None or now < self._beats_at:
            return
        self._beats_at = now + _INTERVAL_S
        # Nobody reads any more, or reads as slowly as that: both are for the reader to mind.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._descriptor, b".")
