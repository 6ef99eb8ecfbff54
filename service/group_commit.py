"""The one queue before the database's one write lock, and submissions that are committed together.

A commit waits for the disk for longer than everything else in a submission takes. Who submits while one is under way
waits for its end; then all who wait go together, each answered by itself, and nobody before the disk has confirmed.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from storage.database import Database
from storage.disk_quota import Room
from storage.errors import DomainError
from storage.owners import set_owner
from storage.tables import Job

_log = logging.getLogger(__name__)

_MOST_TOGETHER = 50
"""Others want the write lock too: workers, who claim jobs and report on them."""

Write = Callable[[Session], tuple[Job, bool]]
"""Puts one job into the queue; returns it and whether it is new. May be called again after a rollback."""


@dataclass(eq=False)
class _Entry:
    """One who waits. result, error or failure, which is also that of others: once it is decided."""

    owner: str
    write: Write
    result: tuple[Job, bool] | None = None
    error: Exception | None = None
    failure: Exception | None = None
    decided: anyio.Event = field(default_factory=anyio.Event)


class GroupCommit:
    """The writers of one API process: submissions together, everybody else alone, and one at a time."""

    def __init__(self, database: Database, room: Room) -> None:
        self._database = database
        self._room = room
        self._waiting: list[_Entry] = []
        self._writing: asyncio.Task[None] | None = None
        self._turn = anyio.Lock()

    @asynccontextmanager
    async def take_turn(self) -> AsyncIterator[None]:
        """Holds the turn to write for as long as the block lasts: who waits for it keeps no thread from who reads.

        Raises OperationalError after as long as one waits for the lock itself.
        """
        try:
            with anyio.fail_after(self._database.busy_timeout_s):
                await self._turn.acquire()
        except TimeoutError as error:
            raise OperationalError("BEGIN IMMEDIATE", None, error) from None
        try:
            yield
        finally:
            self._turn.release()

    async def submit(self, owner: str, write: Write) -> tuple[Job, bool]:
        """What `write` has returned, committed. Raises what it raised, DiskFull, OperationalError."""
        entry = _Entry(owner, write)
        self._waiting.append(entry)
        if self._writing is None:
            # A task of its own: a request that is cancelled does not take along what others wait for. And in nobody's
            # name: it logs what befell all of them.
            self._writing = asyncio.create_task(self._write_waiting(), context=contextvars.Context())
        await entry.decided.wait()
        if entry.failure is not None:
            # Its own copy: an exception collects the tracebacks of all who raise it.
            raise copy.copy(entry.failure) from entry.failure
        if entry.result is None:
            raise entry.error or AssertionError("an entry is decided when its turn is over")
        return entry.result

    async def _write_waiting(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:_MOST_TOGETHER], self._waiting[_MOST_TOGETHER:]
                try:
                    async with self.take_turn():
                        failure = await anyio.to_thread.run_sync(self._write, together)
                except Exception as error:  # noqa: BLE001 - no turn, or no thread could be started: they would wait for ever
                    failure = error
                if failure is not None:
                    if not isinstance(failure, DomainError):
                        _log.error("%d submissions could not be written", len(together), exc_info=failure)
                    # For fifteen seconds maybe: who has come meanwhile does not wait for that again.
                    together, self._waiting = together + self._waiting, []
                for entry in together:
                    if entry.result is None and entry.error is None:
                        entry.failure = failure
                    entry.decided.set()
        finally:
            self._writing = None

    def _write(self, entries: Sequence[_Entry]) -> Exception | None:
        """Decides the entries, or returns why no more of them could be."""
        reached: _Entry | None = None
        try:
            self._room.check()
            with self._database.transaction() as session:
                session.connection()  # begins, here and not in the first one's statements: it is nobody's own to wait
                for reached in entries:
                    set_owner(session, reached.owner)
                    reached.result = reached.write(session)
                    session.flush()
                reached = None
        except Exception as error:  # noqa: BLE001 - raised again in the request that it belongs to
            for entry in entries:
                entry.result = None
            if reached is None:
                return error
            if len(entries) == 1:
                reached.error = error
                return None
            # Nothing is left of any. Each alone now, so that nobody bears what another one has asked for.
            for entry in entries:
                if (failure := self._write([entry])) is not None:
                    return failure
        return None
