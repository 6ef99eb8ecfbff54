"""Whether a process still works, told from outside: it answers, or it beats; and how long it may do neither."""

from __future__ import annotations

import os
import select
import socket
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit

_LONGEST_STEP_S = 1.0
_FIRST_FACTOR = 10
"""To its first sign a process has so many times as long: it may have a large database to migrate."""
_PROBES = 4
"""At the least so many probes in a row stay without an answer before a process counts as hanging."""
_PROBE_PAUSE_S = 5.0


class Patience:
    """How long a process has given no sign, and whether that is too long.

    Only time in which somebody listened counts: where the listener itself was stopped, waited for a busy processor or
    slept with the machine, one step of it counts for a second at most.
    """

    def __init__(self, longest_silence_s: float) -> None:
        self._longest_silence_s = longest_silence_s
        self._allowed_s = _FIRST_FACTOR * longest_silence_s
        self._silence_s = 0.0

    def hear(self) -> None:
        """The process gave a sign."""
        self._allowed_s, self._silence_s = self._longest_silence_s, 0.0

    def wait(self, seconds: float) -> None:
        """So much time has passed by a monotonic clock since the last call, and there was no sign."""
        self._silence_s += min(max(0.0, seconds), _LONGEST_STEP_S)

    @property
    def is_over(self) -> bool:
        """Whether it has been silent for too long."""
        return self._silence_s >= self._allowed_s


class Sign(Protocol):
    """Where signs of life come in."""

    def look(self, now: float) -> bool:
        """Whether one has come since the last look. Never waits. now: monotonic, seconds."""

    def restart(self) -> None:
        """The process that they come from is another one from now on."""


class HealthProbe:
    """Asks an HTTP server for /healthz, again and again. Any answer is a sign, also one that refuses."""

    def __init__(self, url: str, longest_silence_s: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._family = socket.AF_INET6 if ":" in str(parts.hostname) else socket.AF_INET
        self._request = f"GET /healthz HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
        self._deadline_s = longest_silence_s / _PROBES
        self._pause_s = min(_PROBE_PAUSE_S, self._deadline_s / 2)
        self._socket: socket.socket | None = None
        self._unsent = b""
        self._ends_at = 0.0
        self._begins_at = 0.0

    def look(self, now: float) -> bool:
        try:
            if self._socket is None:
                if now >= self._begins_at:
                    self._begin(now)
                return False
            if self._unsent and select.select([], [self._socket], [], 0)[1]:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            if select.select([self._socket], [], [], 0)[0]:
                has_answered = self._socket.recv(64).startswith(b"HTTP/")
                self._end(now)
                return has_answered
        except OSError:  # nobody listens, or it was cut off
            self._end(now)
            return False
        if now >= self._ends_at:
            self._end(now)
        return False

    def restart(self) -> None:
        self._end(0.0)
        self._begins_at = 0.0

    def _begin(self, now: float) -> None:
        self._socket = socket.socket(self._family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._unsent, self._ends_at = self._request, now + self._deadline_s
        self._socket.connect_ex(self._address)

    def _end(self, now: float) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._begins_at = now + self._pause_s


class Pulse:
    """A pipe into which a process writes now and then (worker/pulse.py). `writer` is for the process to inherit."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self.writer, False)

    def look(self, now: float) -> bool:  # noqa: ARG002 - another sign needs it
        has_beaten = False
        with suppress(BlockingIOError):
            while os.read(self._reader, 65_536):
                has_beaten = True
        return has_beaten

    def restart(self) -> None:
        self.look(0.0)
