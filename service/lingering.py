"""What is left of a request's body when its answer has been sent.

A request may be refused before its body was read. Were the connection closed then, with bytes of it unread, the kernel
would reset it, and a client that is still sending would learn of a broken pipe and never of the reason. So the answer
goes out at once, and what is left of the body is taken in and thrown away before the connection may be closed.
"""

from __future__ import annotations

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 256 * 1024**2
MAX_SECONDS = 30.0
MAX_SILENCE_S = 5.0
"""How much is taken in for a client's sake, for how long, and how long it may send nothing meanwhile."""


class LingeringMiddleware:
    """Holds back the end of an answer, and nothing of its content, until the request's body is through."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BYTES, max_silence_s: float = MAX_SILENCE_S) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_silence_s = max_silence_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        expectation = Headers(scope=scope).get("expect", "")
        body = _Body(receive, is_asked_for=expectation.lower() == "100-continue")

        async def send_and_linger(message: Message) -> None:
            is_end = message["type"] == "http.response.body" and not message.get("more_body", False)
            if not (is_end and body.is_coming):
                await send(message)
                return
            await send({**message, "more_body": True})
            await body.discard(self._max_bytes, self._max_silence_s)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, body.receive, send_and_linger)


class _Body:
    """A request's body on its way to the app. is_asked_for: it comes only once somebody wants to read it."""

    def __init__(self, receive: Receive, *, is_asked_for: bool) -> None:
        self._receive = receive
        self.is_coming = not is_asked_for

    async def receive(self) -> Message:
        """As ASGI's."""
        self.is_coming = True
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.is_coming = False
        return message

    async def discard(self, max_bytes: int, max_silence_s: float) -> None:
        """Takes in what is still to come, within the bounds."""
        with anyio.move_on_after(MAX_SECONDS):
            while self.is_coming and max_bytes > 0:
                with anyio.move_on_after(max_silence_s) as silence:
                    max_bytes -= len((await self.receive()).get("body", b""))
                if silence.cancelled_caught:
                    return


def has_body(headers: Headers) -> bool:
    """Whether a body is announced; it may turn out to be empty."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
