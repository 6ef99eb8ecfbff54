"""What is left of a request's body; over real sockets in test_processes.py."""

from __future__ import annotations

import anyio
import pytest
from fastapi import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.bodies import read_chunks
from service.errors import RequestRefused
from service.lingering import LingeringMiddleware

_KIB = 1024


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await Response(b"no", 413)(scope, receive, send)


async def _wait() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


def _ask(middleware: LingeringMiddleware, receive: Receive, **headers: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    anyio.run(middleware, {"type": "http", "method": "POST", "headers": pairs}, receive, send)
    return sent


def test_a_client_that_never_stops_sending_is_dropped_after_so_many_bytes() -> None:
    num_chunks = 0

    async def receive() -> Message:
        nonlocal num_chunks
        num_chunks += 1
        return {"type": "http.request", "body": bytes(_KIB), "more_body": True}

    sent = _ask(LingeringMiddleware(_refuse, max_bytes=10 * _KIB), receive, transfer_encoding="chunked")
    assert num_chunks == 10
    # All of the answer is out before the first byte is thrown away, and its end comes last.
    assert [message.get("body") for message in sent] == [None, b"no", b""]
    assert [message.get("more_body") for message in sent[1:]] == [True, False]


def test_a_client_that_falls_silent_is_dropped() -> None:
    sent = _ask(LingeringMiddleware(_refuse, max_silence_s=0.05), _wait, content_length="10")
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


def test_a_request_without_a_body_is_passed_on_as_it_is() -> None:
    sent = _ask(LingeringMiddleware(_refuse), _wait, content_length="0")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_a_body_that_stops_coming_is_refused_and_counts_as_sent_no_longer() -> None:
    num_asked = 0

    async def receive() -> Message:
        nonlocal num_asked
        num_asked += 1
        return {"type": "http.request", "body": b"half", "more_body": True} if num_asked == 1 else await _wait()

    async def read() -> None:
        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        async for chunk in read_chunks(request, _KIB, "file", max_silence_s=0.05):
            assert chunk == b"half"

    with pytest.raises(RequestRefused, match=r"^Nothing of the file came for 0\.05 seconds") as refused:
        anyio.run(read)
    assert (refused.value.status, refused.value.code) == (408, "request_timeout")
