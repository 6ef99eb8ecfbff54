"""How much the service takes in, from many at once, and what the number of stored bytes tells about others."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from fastapi.testclient import TestClient
from starlette.types import Message

from service.app import create_app
from storage.disk_quota import measure_folder
from storage.settings import Settings
from tests.service.model_files import frame
from tests.service.test_observability import read_metric

BINARY = {"Content-Type": "application/octet-stream"}
MIB = 1024**2
NUM_UPLOADS = 24
NUM_CHUNKS = 8
ROOM_FOR = 3


class InStep:
    """Uploads that come in side by side: none sends its next piece before each has sent this one, or is answered."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._waiting = 0
        self._next_piece = anyio.Event()

    async def wait(self) -> None:
        self._waiting += 1
        mine = self._next_piece
        self._open()
        await mine.wait()

    def leave(self) -> None:
        self._number -= 1
        self._open()

    def _open(self) -> None:
        if self._waiting >= self._number:
            self._waiting = 0
            self._next_piece.set()
            self._next_piece = anyio.Event()


def send_together(client: TestClient, contents: list[bytes]) -> list[int]:
    """Posts each content as a model, all in step; returns the statuses."""
    statuses: list[int] = []

    async def post(content: bytes, steps: InStep) -> None:
        size = -(-len(content) // NUM_CHUNKS)
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        is_answered = False

        async def receive() -> Message:
            if len(pieces) < NUM_CHUNKS and pieces:
                await steps.wait()
            if not pieces:
                await anyio.sleep_forever()
            return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            if not is_answered:
                is_answered = True
                steps.leave()

        headers = [
            (b"host", b"testserver"), (b"content-type", b"application/octet-stream"),
            (b"content-length", str(len(content)).encode()),
        ]  # fmt: skip
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "path": "/v1/models", "raw_path": b"/v1/models",
            "query_string": b"", "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1),
            "server": ("testserver", 80), "headers": headers,
        }  # fmt: skip
        await client.app(scope, receive, send)

    async def post_all() -> None:
        steps = InStep(len(contents))
        with anyio.fail_after(240):
            async with anyio.create_task_group() as tasks:
                for content in contents:
                    tasks.start_soon(post, content, steps)

    assert client.portal is not None
    client.portal.call(post_all)
    return statuses


def test_of_many_uploads_at_once_as_many_are_taken_as_there_is_room_for(settings: Settings) -> None:
    contents = [frame(bytes([number]) * (4 * MIB)) for number in range(NUM_UPLOADS)]
    with TestClient(create_app(settings)) as client:  # makes the database
        client.get("/readyz")
    # A half more than three, for what the rows of the jobs take.
    ceiling = measure_folder(settings.data_dir) + round((ROOM_FOR + 0.5) * len(contents[0]))
    changes = {"max_data_bytes": ceiling, "max_open_uploads": 64, "min_free_bytes": 0}
    with TestClient(create_app(settings.model_copy(update=changes))) as client:
        statuses = send_together(client, contents)
        assert sorted(statuses) == [202] * ROOM_FOR + [507] * (NUM_UPLOADS - ROOM_FOR)
        assert len(client.get("/v1/jobs?kind=import").json()["jobs"]) == ROOM_FOR
        # What the refused ones held is free again, or else nothing would ever be taken.
        job_id = client.get("/v1/jobs?kind=import").json()["jobs"][0]["id"]
        client.post(f"/v1/jobs/{job_id}/cancel")
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    with TestClient(create_app(settings.model_copy(update=changes))) as client:
        assert send_together(client, contents[:1]) == [202]


def test_stored_bytes_tell_nobody_whether_somebody_else_has_a_file(enter: Callable[[str], TestClient]) -> None:
    owners = [enter("alice"), enter("bob")]
    content = frame(b"weights of a network")
    stored = [read_metric(owners[0], "tonok_stored_bytes")[()]]
    jobs: list[tuple[TestClient, str]] = []
    for client in (owners[0], owners[1], owners[1]):
        answer = client.post("/v1/models", content=content, headers=BINARY)
        assert answer.status_code == 202
        jobs.append((client, answer.json()["id"]))
        stored.append(read_metric(owners[1], "tonok_stored_bytes")[()])
    assert stored == [number * len(content) for number in range(4)]
    for number, (client, job_id) in enumerate(jobs, start=1):
        client.post(f"/v1/jobs/{job_id}/cancel")
        assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
        assert read_metric(owners[0], "tonok_stored_bytes")[()] == (3 - number) * len(content)
