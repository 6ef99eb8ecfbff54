"""Domain error → HTTP status: the only such table. Every failure leaves as RFC 9457 problem+json."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from storage.errors import (
    Conflict,
    CorruptFile,
    DiskFull,
    DomainError,
    IdempotencyMismatch,
    InvalidPageToken,
    JobError,
    LeaseLost,
    NotFound,
    NotMeasured,
    QueueFull,
    TooMuchMemory,
)
from worker.names import NAME

_log = logging.getLogger(__name__)

PROBLEM_MEDIA_TYPE = "application/problem+json"

STATUS: Mapping[type[DomainError], int] = {
    NotFound: 404,
    Conflict: 409,
    LeaseLost: 409,
    IdempotencyMismatch: 422,
    InvalidPageToken: 422,
    NotMeasured: 422,
    TooMuchMemory: 422,
    QueueFull: 429,
    CorruptFile: 500,
    # Execution errors live in a job's `error`; one that escapes into a request is a fault of ours.
    JobError: 500,
    DomainError: 500,
    DiskFull: 507,
}

_RETRY_AFTER_S = {429: "10", 503: "2"}
_LONGEST_NAME = 64
FORM_TAGS = ("[number]", "[list]", "[object]", "[linear]", "[convolution]")
"""Which form of a value pydantic has tried: no part of its place. They are given out in service/schemas."""
MOST_ERRORS = 50
"""Wrong fields that one answer names."""


class RequestRefused(Exception):
    """A failure that only HTTP knows: a body too large, a media type not spoken, a range not there."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.headers = headers or {}


def get_status(error: type[DomainError]) -> int:
    """The status of the nearest class in the table."""
    return next(STATUS[cls] for cls in error.__mro__ if cls in STATUS)


def build_problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An `application/problem+json` answer. `detail` and `errors` must hold nothing that the client sent as a value."""
    body = encode_problem(
        status=status,
        code=code,
        detail=detail,
        instance=request.scope["path"],
        request_id=request.scope.get("state", {}).get("request_id"),
        errors=errors,
    )
    all_headers = dict(headers or {})
    if status in _RETRY_AFTER_S:
        all_headers.setdefault("Retry-After", _RETRY_AFTER_S[status])
    return Response(body, status_code=status, headers=all_headers, media_type=PROBLEM_MEDIA_TYPE)


def encode_problem(
    *,
    status: int,
    code: str,
    detail: str,
    instance: str,
    request_id: str | None,
    errors: Sequence[Mapping[str, str]] = (),
) -> bytes:
    """The body of a problem."""
    body = {
        "type": f"urn:tonok:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        "errors": list(errors),
    }
    # ASCII escapes: a field name may hold a lone surrogate, which UTF-8 cannot carry.
    return json.dumps(body, ensure_ascii=True).encode("ascii")


def build_pointer(parts: Sequence[int | str]) -> str:
    """RFC 6901: `("bit_widths", 0)` → `/bit_widths/0`. A key that is itself wrong ends where it stands."""
    shown = [str(part)[:_LONGEST_NAME] for part in parts if part not in ("[key]", *FORM_TAGS)]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in shown)


def translate_error(request: Request, error: Exception) -> Response:
    """The answer to any exception that a request ended with."""
    match error:
        case RequestValidationError():
            return _translate_validation_error(request, error)
        case DomainError():
            return _translate_domain_error(request, error)
        case RequestRefused():
            items = [] if error.pointer is None else [_item(error.pointer, error.code, error.detail)]
            return build_problem(request, error.status, error.code, error.detail, items, error.headers)
        case HTTPException():
            return _translate_http_exception(request, error)
        case OperationalError():
            # In one line, as it comes with every request for as long as it lasts; the place tells nothing.
            _log.error("the database did not answer: %s", error.orig)
            detail = "The database is busy or cannot be reached; nothing was changed."
            return build_problem(request, 503, "database_unavailable", detail)
    # The server logs the traceback; the client learns only which request it was. This answer alone passes no middleware
    # on its way out: Starlette writes it from the outermost place.
    headers = {
        "X-Request-ID": str(request.scope.get("state", {}).get("request_id")),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    detail = "Something went wrong here. The log knows it by `request_id`."
    return build_problem(request, 500, "internal_error", detail, headers=headers)


def _item(pointer: str, code: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "code": code, "detail": detail}


def _translate_validation_error(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    items = []
    for fault in found[:MOST_ERRORS]:
        # Without `input` and `ctx`, which would repeat what was sent.
        place, *rest = fault["loc"] or ("body",)
        if place == "body":
            pointer = build_pointer([] if fault["type"] == "json_invalid" else rest)
        else:
            pointer = "/".join(str(part) for part in rest)
        told = str(fault["msg"])
        # A name's pattern is a list of characters that nobody sees; else pydantic's word, without the one before ours.
        words = "Give a line of text that people can read." if NAME in told else told.removeprefix("Value error, ")
        items.append(_item(pointer, str(fault["type"]), words))
    if len(found) == 1:
        where = f"{items[0]['pointer']}: " if items[0]["pointer"] else ""
        detail = where + items[0]["detail"]
    else:
        named = "them" if len(found) <= MOST_ERRORS else f"the first {MOST_ERRORS}"
        detail = f"{len(found)} fields are wrong; `errors` names {named}."
    return build_problem(request, 422, "validation_error", detail, items)


def _translate_domain_error(request: Request, error: DomainError) -> Response:
    status = get_status(type(error))
    if status == 500:
        _log.error("a domain error became a 500", exc_info=error)
    items = [_item(error.field, error.code, error.detail)] if error.field else []
    return build_problem(request, status, error.code, error.detail, items)


def _translate_http_exception(request: Request, error: HTTPException) -> Response:
    """What Starlette raises by itself: an unknown path, a wrong method."""
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    detail = {
        404: "There is nothing at this path. The API is described at /docs.",
        405: "This path does not answer that method.",
    }.get(error.status_code, f"{phrase}.")
    headers = {"Allow": ", ".join(_list_methods(request))} if error.status_code == 405 else error.headers
    return build_problem(request, error.status_code, code, detail, headers=headers)


def _list_methods(request: Request) -> list[str]:
    """Every method of the path: Starlette names those of the first route that it met."""
    paths = request.app.openapi()["paths"]
    asked = request.scope["path"]
    # /v1/jobs/train is a job's id to the pattern of /v1/jobs/{job_id} only.
    matching = [asked] if asked in paths else [path for path in paths if compile_path(path)[0].match(asked)]
    methods = {method.upper() for path in matching for method in paths[path]}
    # Pages and their files are no part of the document: there is nothing to do with them but to read them.
    return sorted(methods | {"HEAD"} if "GET" in methods else methods) or ["GET", "HEAD"]


def install_error_handlers(app: FastAPI) -> None:
    """Makes problem+json of every failure of `app`."""
    for cls in (RequestValidationError, DomainError, RequestRefused, HTTPException, OperationalError):
        app.add_exception_handler(cls, translate_error)
