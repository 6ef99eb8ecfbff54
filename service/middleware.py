"""What every request gets: an id, a few headers, a measured time."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import build_problem, translate_error
from storage.logs import bind_log_fields

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    # Nothing that is served is a page, but for the two that say so themselves (service/openapi.py).
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
"""Of every answer that does not name its own; in lower case, as ASGI has them."""

CLIENT_CLOSED_REQUEST = 499
"""Stands in the metrics for a client that hung up before its answer; no client ever sees it. The number is nginx'."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}")

_log = logging.getLogger(__name__)

Observe = Callable[[str, str, int, float], None]
"""method, route template, status, seconds"""


class RequestMiddleware:
    """Gives each request an id (the client's `X-Request-ID` where it is a sane one) and reports how long it took.

    The outermost: what escapes the others becomes an answer here, so that it has its id and headers too.
    """

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
        status: int | None = None
        started = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [header for header in message.get("headers", ()) if header[0] != b"x-request-id"]
                named = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers.extend(header for header in SECURITY_HEADERS if header[0] not in named)
                message = {**message, "headers": headers}
            await send(message)

        try:
            with bind_log_fields(request_id=request_id):
                await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or CLIENT_CLOSED_REQUEST
            with bind_log_fields(request_id=request_id):
                _log.info("%s %s: the client hung up", scope["method"], scope["state"].get("route", "unmatched"))
        except asyncio.CancelledError:  # the server has waited for open requests, and waits no longer
            if status is not None:  # the server closes a connection whose answer has not ended
                with bind_log_fields(request_id=request_id):
                    _log.info("%s %s is cut off", scope["method"], scope["state"].get("route", "unmatched"))
                return
            await _tell_that_we_stop(Request(scope))(scope, receive, send_with_headers)
        except Exception as error:  # whatever it is, the client is told that it was no fault of theirs
            if status is not None:
                raise
            with bind_log_fields(request_id=request_id):
                _log.exception("%s %s failed", scope["method"], scope["state"].get("route", "unmatched"))
            await translate_error(Request(scope), error)(scope, receive, send_with_headers)
        finally:
            route = scope["state"].get("route", "unmatched")
            self.observe(scope["method"], route, status or 500, time.perf_counter() - started)


class HeadMiddleware:
    """Asks the path's GET for HEAD (RFC 9110, 9.3.2). The server knows what was asked, and leaves the content out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope["state"]["is_head"] = True
            # A range is a part of what GET sends, and of nothing else: RFC 9110, 14.2.
            headers = [header for header in scope["headers"] if header[0] != b"range"]
            scope = {**scope, "method": "GET", "headers": headers}
        await self.app(scope, receive, send)


def is_head(request: Request) -> bool:
    """Whether nobody will see the content of the answer."""
    return getattr(request.state, "is_head", False)


def _tell_that_we_stop(request: Request) -> Response:
    # It may be that what was asked for is done, and only the answer is missing.
    detail = "The service is stopping. Send the request again, with its `Idempotency-Key` if it has one."
    return build_problem(request, 503, "stopping", detail, headers={"Connection": "close"})


def note_route(request: Request) -> None:
    """Tells the middleware which route it was: the template and not the path, as ids would make a series each."""
    request.state.route = request.scope["route"].path
