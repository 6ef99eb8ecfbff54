"""What a request asks for before anything else is looked at: a path that is too long, a form that nobody has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from service.errors import RequestRefused

_LONGEST_TARGET = 8192
_ANY = "*/*"


@dataclass(frozen=True)
class MediaRange:
    """One entry of an `Accept` header, such as `text/*;q=0.5`."""

    main: str
    sub: str
    quality: float

    def names(self, media_type: str) -> bool:
        """Whether the range covers the type."""
        main, _, sub = media_type.partition("/")
        return self.main in ("*", main) and self.sub in ("*", sub)

    @property
    def precision(self) -> int:
        """The most precise entry decides about a type."""
        return (self.main != "*") + (self.sub != "*")


def parse_accept(header: str) -> list[MediaRange]:
    """The entries that are well formed; one that is not counts as not there."""
    ranges = []
    for entry in header.split(","):
        media_range, *parameters = (part.strip().lower() for part in entry.split(";"))
        main, slash, sub = media_range.partition("/")
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        if slash and main and sub and quality.replace(".", "", 1).isascii() and quality.replace(".", "", 1).isdecimal():
            ranges.append(MediaRange(main, sub, float(quality)))
    return ranges


def is_acceptable(header: str | None, media_types: Iterable[str]) -> bool:
    """Whether at least one of the types may be answered. No header, or none that makes sense, takes anything."""
    ranges = parse_accept(header or "")
    if not ranges:
        return True
    for media_type in media_types:
        matching = [entry for entry in ranges if entry.names(media_type)]
        if matching and max(matching, key=lambda entry: entry.precision).quality > 0:
            return True
    return False


def check_request_line(request: Request) -> None:
    """Raises RequestRefused: 414 for a path and query too long, 406 for `Accept`."""
    if len(request.scope.get("raw_path", b"")) + len(request.scope["query_string"]) > _LONGEST_TARGET:
        raise RequestRefused(
            414, "uri_too_long", f"Path and query together may be {_LONGEST_TARGET} bytes long.", pointer="query"
        )
    accepted = ", ".join(request.headers.getlist("accept"))
    if accepted in ("", _ANY):  # what most clients send
        return
    offered = list_media_types(request.scope["route"])
    if offered and not is_acceptable(accepted, offered):
        raise RequestRefused(406, "not_acceptable", f"This path answers {' or '.join(offered)}.", pointer="Accept")


def list_media_types(route: APIRoute) -> list[str]:
    """What the route answers when all goes well; empty where it may be anything."""
    documented = [
        media_type
        for status, answer in route.responses.items()
        if str(status).startswith("2")
        for media_type in answer.get("content", {})
    ]
    if not route.include_in_schema or route.status_code == 204 or _ANY in documented:
        return []
    json = ["application/json"] if getattr(route.response_class, "value", route.response_class) is JSONResponse else []
    return list(dict.fromkeys([*json, *documented]))
