"""Query parameters that a route does not know are refused: `?stauts=failed` must not list everything.

So is one that comes twice where one is meant: of `?limit=1&limit=2` nobody knows which is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import get_args, get_origin

from fastapi import Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from service.errors import RequestRefused

_SINGLE_HEADERS = ("Idempotency-Key", "Last-Event-ID")


def check_parameters(request: Request) -> None:
    """Raises RequestRefused (422)."""
    if not request.scope["route"].include_in_schema:  # a page, or a refusal that has its own words
        return
    known = dict(_list_parameters(request.scope["route"].dependant)) if request.query_params else {}
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else f" It takes: {', '.join(known)}." if known else ""
            raise RequestRefused(
                422, "unknown_parameter", f"This path has no such query parameter.{hint}", pointer=name[:64]
            )
        if not known[name] and len(request.query_params.getlist(name)) > 1:
            raise RequestRefused(422, "repeated_parameter", f"{name}: send it once.", pointer=name)
    for header in _SINGLE_HEADERS:
        if len(request.headers.getlist(header)) > 1:
            raise RequestRefused(422, "repeated_parameter", f"{header}: send it once.", pointer=header)
    for name, value in [*request.query_params.multi_items(), *request.path_params.items()]:
        # PostgreSQL has no text with NUL in it.
        if "\0" in value:
            raise RequestRefused(422, "validation_error", f"{name}: NUL is not allowed.", pointer=name)


def _list_parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """Query parameters of a route and of everything that it depends on, and whether each may be repeated."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from ((name, False) for name in annotation.model_fields)
            continue
        yield field.alias, any(get_origin(form) is list for form in (annotation, *get_args(annotation)))
    for inner in dependant.dependencies:
        yield from _list_parameters(inner)
