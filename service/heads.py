"""HEAD is answered wherever GET is, with GET's status and headers: RFC 9110, 9.3.2."""

from __future__ import annotations

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send


class HeadMiddleware:
    """Asks the path's GET. The content is left out by the server, which still knows what the client has asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope["state"]["is_head"] = True
            # A range is a part of what GET sends, and of nothing else: RFC 9110, 14.2.
            headers = [header for header in scope["headers"] if header[0] != b"range"]
            scope = {**scope, "method": "GET", "headers": headers}
        await self._app(scope, receive, send)


def is_head(request: Request) -> bool:
    """Whether nobody will see the content of the answer."""
    return getattr(request.state, "is_head", False)
