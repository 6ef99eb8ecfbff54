"""What every request gets: an id, a few headers, a measured time."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}")

Observe = Callable[[str, str, int, float], None]
"""method, route template, status, seconds"""


class RequestMiddleware:
    """Gives each request an id (the client's `X-Request-ID` where it is a sane one) and reports how long it took."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            route = scope["state"].get("route", "unmatched")
            self.observe(scope["method"], route, status, time.perf_counter() - started)


async def note_route(request: Request) -> None:
    """A dependency of the whole app that tells the middleware which route it was.

    The template and not the path: ids would make a series of their own each. `async`, so that no thread is asked.
    """
    request.state.route = request.scope["route"].path
