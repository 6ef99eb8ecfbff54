"""Who comes in, and as whom: the one place that decides, before any route is looked for.

With keys, a request is its key's owner. Without, on a loopback address, everybody is the one default owner; what must
not come in there is a web page that the user's browser shows, so that Host and Origin have to be this service's own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import anyio.to_thread
from fastapi import Request
from sqlalchemy.exc import OperationalError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import RequestRefused, translate_error
from service.origin_check import refuse_foreign_pages
from service.rate_limits import RequestRates, name_client
from storage.database import Database
from storage.keys import KEY, find_key, is_in_force
from storage.settings import Settings
from storage.tables import DEFAULT_OWNER, ApiKey

_log = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/docs", "/redoc", "/openapi.json", "/healthz", "/readyz"})
"""What anybody may ask: the pages, without which nobody has a field to put a key into, and what probes ask."""

_PROBES = frozenset({"/healthz", "/readyz"})
"""Not counted: an orchestrator that is told 429 would restart what is well."""

_OPEN_FOLDER = "/static/"


@dataclass(frozen=True)
class Caller:
    """Who asks. key_id: None where no key was needed."""

    owner: str
    request_id: str
    key_id: str | None = None


class AccessMiddleware:
    """Puts a `Caller` into the state of every request that may pass, and answers the others itself."""

    def __init__(self, app: ASGIApp, database: Database, settings: Settings) -> None:
        self._app = app
        self._database = database
        self._key_required = settings.key_required
        self._allowed_hosts = settings.allowed_host_names
        self._rates = RequestRates(settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            request.state.caller = await self._admit(request)
        except (RequestRefused, OperationalError) as error:
            if isinstance(error, RequestRefused):
                _log.info("%s is refused: %s", _name_client(request), error.code)
            refusal: Response = translate_error(request, error)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, request: Request) -> Caller:
        caller = await self._identify(request)
        if request.scope["path"] in _PROBES:
            return caller
        if self._key_required:
            known = caller.key_id is not None
            self._rates.count(f"owner {caller.owner}" if known else _name_client(request))
        elif caller.key_id is None and not is_open(request.scope["path"]):
            refuse_foreign_pages(request, self._allowed_hosts)
        return caller

    async def _identify(self, request: Request) -> Caller:
        request_id: str = request.state.request_id
        # Not `request.url`, which is put together from the Host header: that could name any path.
        if is_open(request.scope["path"]):
            return Caller(DEFAULT_OWNER, request_id)
        if "authorization" in request.headers:
            key = await self._find_key(request)
            return Caller(key.owner, request_id, key.id)
        if self._key_required:
            self._rates.count(_name_client(request))
            raise _unauthorized("missing_key", "Send an API key: `Authorization: Bearer tonok_…`.")
        return Caller(DEFAULT_OWNER, request_id)

    async def _find_key(self, request: Request) -> ApiKey:
        client = _name_client(request)
        credentials = request.headers.getlist("authorization")
        scheme, _, secret = credentials[0].partition(" ")
        if len(credentials) != 1 or scheme.lower() != "bearer" or KEY.fullmatch(secret.strip()) is None:
            self._rates.count(client)
            raise _unauthorized("invalid_key", "`Authorization` must be `Bearer` and an API key of this service.")
        key = await anyio.to_thread.run_sync(partial(_read_key, self._database, secret.strip()))
        if key is None:
            self._rates.count(client)
            raise _unauthorized("invalid_key", "This API key is not known here, or was revoked.")
        return key


def is_open(path: str) -> bool:
    """Whether the path is answered without asking who comes."""
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _read_key(database: Database, secret: str) -> ApiKey | None:
    with database.read() as session:
        return find_key(session, secret)


RECHECK_S = 2.0
"""How often what stays open asks whether its key still holds."""


async def end_with_key(
    frames: AsyncIterator[bytes], database: Database, caller: Caller, recheck_s: float = RECHECK_S
) -> AsyncIterator[bytes]:
    """A stream that tells nothing more once its caller's key has been revoked for `recheck_s` seconds."""
    checked_at = time.monotonic()
    async for frame in frames:
        if caller.key_id is not None and time.monotonic() - checked_at >= recheck_s:
            if not await still_holds(database, caller):
                return
            checked_at = time.monotonic()
        yield frame


async def still_holds(database: Database, caller: Caller) -> bool:
    """Whether the caller's key, if one was needed, has not been revoked since."""
    if caller.key_id is None:
        return True
    return await anyio.to_thread.run_sync(partial(_is_in_force, database, caller.key_id))


def refuse_revoked() -> RequestRefused:
    """The answer to who has waited for longer than the key was in force."""
    return _unauthorized("invalid_key", "This API key was revoked meanwhile.")


def _is_in_force(database: Database, key_id: str) -> bool:
    with database.read() as session:
        return is_in_force(session, key_id)


def _name_client(request: Request) -> str:
    return name_client(request.client.host if request.client else None)


def _unauthorized(code: str, detail: str) -> RequestRefused:
    error = ', error="invalid_token"' if code == "invalid_key" else ""
    challenge = {"WWW-Authenticate": f'Bearer realm="tonok"{error}'}
    return RequestRefused(401, code, detail, pointer="Authorization", headers=challenge)
