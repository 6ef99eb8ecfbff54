"""Query parameters that a route does not know are refused: `?stauts=failed` must not list everything."""

from __future__ import annotations

import difflib

from fastapi import Request

from service.errors import RequestRefused


def check_parameters(request: Request) -> None:
    """A dependency of the whole app. Raises RequestRefused (422)."""
    # Read from the document that clients read, so that the two cannot disagree.
    operation = request.app.openapi()["paths"].get(request.scope["route"].path, {}).get(request.method.lower())
    if operation is None:  # not part of the API: the documentation pages
        return
    known = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
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
