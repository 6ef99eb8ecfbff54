"""What hostile clients cost the API without a proxy: `python -m tests.benchmarks.bench_hostile`, two minutes.

2,000 connections that say nothing, 250 that send a head and 250 a JSON body byte by byte, 400 long polls, all at once
and over loopback. It exits with 1 where a connection outlives its bound, the API's memory grows by more than 100 MB, or
nobody is answered at /healthz for 5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from tests.service.processes import CHECKOUT, answers, find_free_port, get_json, wait_for

MAX_GROWTH_MB = 100.0
MAX_PAUSE_S = 5.0
MAX_OPEN_S = 130.0
"""A minute for a JSON body, 30 s for what a client still sends after its refusal, and room for a busy machine."""

_DRIP_S = 1.0


@dataclass
class Group:
    """Connections that do the same. closed_after_s: since each was opened; statuses: what the first line said."""

    name: str
    num_failed: int = 0
    closed_after_s: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    num_left: int = 0


async def hold(port: int, group: Group, head: bytes, dripped: bytes) -> None:
    """One connection until the server closes it. dripped: sent byte by byte, again and again."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        group.num_failed += 1
        return
    opened_at = time.monotonic()
    writer.write(head)

    async def drip() -> None:
        place = 0
        while dripped:
            await asyncio.sleep(_DRIP_S)
            writer.write(dripped[place % len(dripped) :][:1])
            place += 1

    dripping = asyncio.create_task(drip())
    received = b""
    try:
        async with asyncio.timeout(MAX_OPEN_S):
            with contextlib.suppress(OSError):
                while chunk := await reader.read(65536):
                    received = received or chunk[:12]
        group.closed_after_s.append(time.monotonic() - opened_at)
    except TimeoutError:
        group.num_left += 1
    finally:
        dripping.cancel()
        writer.transport.abort()
    status = received[9:12].decode() or "none"
    group.statuses[status] = group.statuses.get(status, 0) + 1


def probe(port: int, pid: int, is_over: threading.Event, pauses: list[float], sizes: list[float]) -> None:
    """How long /healthz takes, four times a second, and the API's resident memory in MB; in a thread of its own."""
    while not is_over.wait(0.25):
        started = time.monotonic()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), MAX_OPEN_S) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while connection.recv(65536):
                """The answer is known."""
        pauses.append(time.monotonic() - started)
        sizes.append(read_resident_mb(pid))


def read_resident_mb(pid: int) -> float:
    """Resident memory of a process, from Linux' /proc."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def attack(port: int, pid: int, poll: bytes, scale: float) -> tuple[list[Group], list[float], list[float]]:
    """All of it at once. poll: the head of a long poll."""
    post = (
        b"POST /v1/jobs/train HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    )
    plans = [
        (Group("idle"), 2000, b"", b""),
        (Group("slow heads"), 250, b"GET /healthz HTTP/1.1\r\nX-Slow: ", b"a"),
        (Group("slow bodies"), 250, post, b" "),
        (Group("long polls"), 400, poll, b""),
    ]
    pauses: list[float] = []
    sizes: list[float] = []
    is_over = threading.Event()
    probing = threading.Thread(target=probe, args=(port, pid, is_over, pauses, sizes))
    probing.start()
    async with asyncio.TaskGroup() as tasks:
        for group, number, head, dripped in plans:
            for _ in range(round(number * scale)):
                tasks.create_task(hold(port, group, head, dripped))
    is_over.set()
    await asyncio.to_thread(probing.join)
    return [group for group, *_ in plans], pauses, sizes


def main() -> int:
    """Prints one line per group and one for the service."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the connections only")
    arguments = parser.parse_args()
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    port = find_free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "TONOK_DATA_DIR": folder, "TONOK_PORT": str(port), "TONOK_MAX_OPEN_STREAMS": "400"
        }  # fmt: skip
        api = subprocess.Popen(
            [sys.executable, "-m", "service"], cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL
        )
        try:
            wait_for(lambda: answers(port, "/healthz"))
            get_json(port, "/v1/jobs")
            path = submit(port)
            poll = f"GET {path}?wait_s=30 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            before_mb = read_resident_mb(api.pid)
            groups, pauses, sizes = asyncio.run(attack(port, api.pid, poll, arguments.scale))
            is_alive = answers(port, "/healthz")
        finally:
            api.terminate()
            api.wait()
    for group in groups:
        longest = max(group.closed_after_s, default=0.0)
        print(
            f"{group.name:12} closed {len(group.closed_after_s):5}, longest {longest:5.1f} s, left {group.num_left}, "
            f"never connected {group.num_failed}, answers {group.statuses}"
        )
    growth_mb = max(sizes) - before_mb
    print(f"memory       {before_mb:.0f} MB before, {growth_mb:+.1f} MB at its most")
    print(f"/healthz     {len(pauses)} asked, longest {max(pauses):.2f} s; alive afterwards: {is_alive}")
    num_left = sum(group.num_left for group in groups)
    return int(num_left > 0 or growth_mb > MAX_GROWTH_MB or max(pauses) > MAX_PAUSE_S or not is_alive)


def submit(port: int) -> str:
    """Path of a new job, which nobody runs."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/jobs/train", b"{}", {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        path: str = json.load(answer)["links"]["self"]
        return path


if __name__ == "__main__":
    sys.exit(main())
