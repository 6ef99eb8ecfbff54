"""Query parameters that a route does not know are refused: `?stauts=failed` must not list everything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant

from service.errors import RequestRefused


def check_parameters(request: Request) -> None:
    """Raises RequestRefused (422)."""
    if not request.scope["route"].include_in_schema:  # a page, or a refusal that has its own words
        return
    known = list(_list_names(request.scope["route"].dependant)) if request.query_params else []
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else f" It takes: {', '.join(known)}." if known else ""
            raise RequestRefused(
                422, "unknown_parameter", f"This path has no such query parameter.{hint}", pointer=name[:64]
            )
    for name, value in [*request.query_params.multi_items(), *request.path_params.items()]:
        # PostgreSQL has no text with NUL in it.
        if "\0" in value:
            raise RequestRefused(422, "validation_error", f"{name}: NUL is not allowed.", pointer=name)


def _list_names(dependant: Dependant) -> Iterator[str]:
    """Query parameters of a route and of everything that it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _list_names(inner)
