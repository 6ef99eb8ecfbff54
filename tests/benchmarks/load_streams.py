"""Many open streams: does every one of them get every event, how late, and what does one cost?"""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import datetime
from typing import Any

from tests.benchmarks.load_client import Connection, UnexpectedAnswer, describe_ms

LISTENING_S = 10.0
PATIENCE_S = 60.0
BODY = json.dumps({"dataset": "digits", "labels": {"team": "streams"}}).encode()


class Listener:
    """One stream and what it has received: (seq, type, seconds from the event to its arrival)."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.is_open = asyncio.Event()
        self.events: list[tuple[int, str, float]] = []
        self.is_done = False

    async def listen(self, port: int, opened_at: list[float]) -> None:
        """Reads until the stream ends."""
        async with Connection(port) as connection:
            status, headers = await connection.send("GET", f"/v1/jobs/{self.job_id}/stream")
            if status != 200 or headers["transfer-encoding"] != "chunked":
                raise UnexpectedAnswer(f"a stream was answered {status}")
            buffer = b""
            while (size := int(await connection.reader.readuntil(b"\r\n"), 16)) > 0:
                buffer += (await connection.reader.readexactly(size + 2))[:-2]
                while b"\n\n" in buffer:
                    frame, buffer = buffer.split(b"\n\n", 1)
                    self._take(frame.decode(), opened_at)
                self.is_open.set()

    def _take(self, frame: str, opened_at: list[float]) -> None:
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if not line.startswith(":"))
        if fields.get("event") == "done":
            self.is_done = True
        elif fields:
            event = json.loads(fields["data"])
            written = datetime.fromisoformat(event["created_at"]).timestamp()
            # What was written before the streams were open is history, and not late.
            lateness = time.time() - written if opened_at and written > opened_at[0] else -1.0
            self.events.append((event["seq"], event["type"], lateness))


async def measure_streams(port: int, training: str, number: int) -> dict[str, Any]:
    """Half of the streams follow the job that trains, the other half a waiting job each, which is then cancelled."""
    async with Connection(port) as connection:
        waiting = []
        for _ in range(number // 2):
            status, answer = await connection.request("POST", "/v1/jobs/train", BODY)
            if status != 202:
                raise UnexpectedAnswer(f"a submission was answered {status}")
            waiting.append(json.loads(answer)["id"])
        before = await read_process(connection)
        opened_at: list[float] = []
        listeners = [Listener(job_id) for job_id in [*waiting, *[training] * (number - len(waiting))]]
        tasks = [asyncio.create_task(listener.listen(port, opened_at)) for listener in listeners]
        async with asyncio.timeout(PATIENCE_S):
            for listener in listeners:
                await listener.is_open.wait()
        opened_at.append(time.time())
        during = await read_process(connection)
        await asyncio.sleep(LISTENING_S)
        for job_id in [*waiting, training]:
            await connection.request("POST", f"/v1/jobs/{job_id}/cancel")
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*tasks)
        logs = {}
        for job_id in [*waiting, training]:
            logs[job_id] = await read_log(connection, job_id)
    complete = [
        listener.is_done and [seq for seq, *_ in listener.events] == [event["seq"] for event in logs[listener.job_id]]
        for listener in listeners
    ]
    late = [seconds for listener in listeners for *_, seconds in listener.events if seconds >= 0]
    return {
        "opened": len(listeners),
        "received every event once, in order, and the end": sum(complete),
        "events received": sum(len(listener.events) for listener in listeners),
        "from event to arrival": describe_ms(late),
        "memory_kb_per_stream": round((during["memory"] - before["memory"]) / 1024 / number, 1),
        "file_descriptors_per_stream": round((during["files"] - before["files"]) / number, 2),
    }


async def read_log(connection: Connection, job_id: str) -> list[dict[str, Any]]:
    """All events of a job, page by page."""
    events: list[dict[str, Any]] = []
    while True:
        page = await connection.get_json(f"/v1/jobs/{job_id}/events?after={len(events)}&limit=500")
        if not page["events"]:
            return events
        events += page["events"]


async def read_process(connection: Connection) -> dict[str, float]:
    """Resident memory in bytes and open file descriptors of the server, as it tells them itself."""
    status, body = await connection.request("GET", "/metrics")
    if status != 200:
        raise UnexpectedAnswer(f"/metrics was answered {status}")
    names = {"memory": "process_resident_memory_bytes", "files": "process_open_fds"}
    return {
        short: float(found.group(1))
        for short, name in names.items()
        if (found := re.search(rf"^{name} (\S+)$", body.decode(), flags=re.MULTILINE))
    }
