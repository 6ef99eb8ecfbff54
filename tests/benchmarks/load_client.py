"""A light HTTP/1.1 client on raw sockets: what the client costs is not to be taken for the server's."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

HOST = "127.0.0.1"
REQUEST_TIMEOUT_S = 60.0


class UnexpectedAnswer(Exception):
    """Another status than the measurement is about."""


class Connection:
    """One connection that is kept alive; one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Connection:
        self.reader, self._writer = await asyncio.open_connection(HOST, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def send(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        """Sends a request and reads the head of its answer: status and headers."""
        if self.reader.at_eof():  # the server has closed what was idle for five seconds
            self._writer.close()
            self.reader, self._writer = await asyncio.open_connection(HOST, self._port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), headers

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """The status and the body. Raises TimeoutError."""
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            status, headers = await self.send(method, path, body)
            return status, await self.reader.readexactly(int(headers.get("content-length", "0")))

    async def get_json(self, path: str) -> Any:
        """The answer to a GET. Raises UnexpectedAnswer."""
        status, body = await self.request("GET", path)
        if status != 200:
            raise UnexpectedAnswer(f"GET {path} was answered {status}: {body[:500]!r}")
        return json.loads(body)


@dataclass
class Timings:
    """Seconds of each request of one window, and the window's length."""

    window_s: float = 0.0
    seconds: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return len(self.seconds) / self.window_s

    def describe(self) -> dict[str, float]:
        """Quantiles in milliseconds and the rate."""
        return {**describe_ms(self.seconds), "per_second": round(self.per_second, 1)}


def compute_quantile(values: Sequence[float], fraction: float) -> float:
    """The nearest-rank quantile: a value that was really measured."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(fraction * len(ordered)) - 1)]


def describe_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds, with the number of values."""
    return {
        "p50_ms": round(1e3 * compute_quantile(seconds, 0.5), 2),
        "p99_ms": round(1e3 * compute_quantile(seconds, 0.99), 2),
        "max_ms": round(1e3 * max(seconds), 2),
        "count": len(seconds),
    }


async def measure_requests(
    port: int,
    build: Callable[[int], tuple[str, str, bytes]],
    *,
    expected: int,
    window_s: float,
    connections: int,
) -> Timings:
    """A closed loop: each connection sends its next request as soon as the last is answered.

    build: number of the request → method, path, body. Raises UnexpectedAnswer.
    """
    timings = Timings()
    numbers = iter(range(10**9))
    started = time.perf_counter()

    async def work() -> None:
        async with Connection(port) as connection:
            while (sent := time.perf_counter()) < started + window_s:
                method, path, body = build(next(numbers))
                status, answer = await connection.request(method, path, body)
                timings.seconds.append(time.perf_counter() - sent)
                if status != expected:
                    raise UnexpectedAnswer(f"{method} {path} was answered {status}: {answer[:500]!r}")

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    timings.window_s = time.perf_counter() - started
    return timings
