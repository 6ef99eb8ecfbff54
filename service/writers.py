"""Who writes by a thread of its own waits for a turn before it takes one: the threads are there for who reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from sqlalchemy.exc import OperationalError

_MOST_AT_ONCE = 4
"""Threads of forty that may wait for the database's one write lock."""


class Writers:
    """The turns of one process. max_wait_s: for one, as long as for the lock itself."""

    def __init__(self, max_wait_s: float) -> None:
        self._max_wait_s = max_wait_s
        self._turns = anyio.Semaphore(_MOST_AT_ONCE)

    @asynccontextmanager
    async def take_turn(self) -> AsyncIterator[None]:
        """Holds a turn for as long as the block lasts. Raises OperationalError."""
        try:
            with anyio.fail_after(self._max_wait_s):
                await self._turns.acquire()
        except TimeoutError as error:
            raise OperationalError("BEGIN IMMEDIATE", None, error) from None
        try:
            yield
        finally:
            self._turns.release()
