"""A body's time at the door; over real sockets in test_protocol.py."""

from __future__ import annotations

import anyio
import pytest
from fastapi import Request
from starlette.types import Message

from service.bodies import read_chunks
from service.errors import RequestRefused


def test_a_body_that_stops_coming_is_refused_and_counts_as_sent_no_longer() -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"half", "more_body": True}]

    async def receive() -> Message:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop()

    async def read() -> None:
        request = Request({"type": "http", "method": "POST", "headers": []}, receive)
        async for chunk in read_chunks(request, 1024, "file", max_silence_s=0.05):
            assert chunk == b"half"

    with pytest.raises(RequestRefused, match=r"^Nothing of the file came for 0\.05 seconds") as refused:
        anyio.run(read)
    assert (refused.value.status, refused.value.code) == (408, "request_timeout")
