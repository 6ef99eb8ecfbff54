"""JSON bodies, parsed once at the door.

pydantic reads the bytes itself: its strict mode for JSON takes an array for a tuple and a string for an enum but
neither `"3"` nor `true` for an integer, and its parser refuses the lone surrogates that `json.loads` lets through.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from service.errors import FORM_TAGS, MOST_ERRORS, RequestRefused

Body = TypeVar("Body", bound=BaseModel)

MAX_SILENCE_S = 60.0
"""How long a body may stop coming: who has lost the network does not say so, and would count as sending for ever."""

MAX_JSON_S = 60.0
"""How long a JSON body may take in all: a mebibyte in a minute is a bad mobile network, a byte in a minute is none."""

_MAX_UNUSED_BYTES = 64 * 1024
"""Of a body that no path has asked for: room for the `{}` that some clients send with everything."""


def parse_body(body_type: type[Body]) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that answers the request's body as a `body_type`; raises what becomes 408, 413, 415 or 422."""

    async def parse(request: Request) -> Body:
        _check_media_type(request)
        check_encoding(request)
        max_bytes = request.app.state.settings.max_body_bytes
        body = b"".join([chunk async for chunk in read_chunks(request, max_bytes, "body", max_seconds=MAX_JSON_S)])
        try:
            parsed = _validate(body_type, body)
        except ValidationError as error:
            if not body:
                raise RequestRefused(
                    422, "empty_body", "The body is empty: send JSON, {} at least.", pointer=""
                ) from None
            found = error.errors(include_url=False, include_context=False, include_input=False)
            wrong = [item for item in found if not _is_consequence(item, found)]
            # Only what will be told is explained: a body may have tens of thousands of wrong fields, and to look for
            # the nearest name to each takes seconds in which nobody else is answered.
            raise RequestValidationError(
                [
                    {
                        **item,
                        "loc": ("body", *item["loc"]),
                        "msg": _explain(item, body_type) if place < MOST_ERRORS else item["msg"],
                    }
                    for place, item in enumerate(wrong)
                ]
            ) from None
        # Behind the other checks, which bound how deep a body goes.
        if repeated := _find_repeated(json.loads(body, object_pairs_hook=_Object)):
            fault = {
                "type": "repeated_field",
                "loc": ("body", *repeated),
                "msg": "This field comes twice: send it once.",
            }
            raise RequestValidationError([fault])
        return parsed

    return parse


def describe_body(body_type: type[BaseModel], *names: str) -> dict[str, Any]:
    """`openapi_extra` of a route that uses `parse_body`; service/documents.py adds the schema it points to.

    names: of the model's examples, where a reader has several to choose from.
    """
    examples = body_type.model_json_schema().get("examples", [])
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body_type.__name__}"}}
    if names:
        content["examples"] = {name: {"value": value} for name, value in zip(names, examples, strict=True)}
    elif examples:
        content["example"] = examples[0]
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _validate(body_type: type[Body], body: bytes) -> Body:
    """Raises ValidationError. JSON has one kind of number, and 3.0 is a whole one: its schemas say so."""
    try:
        return body_type.model_validate_json(body, strict=True)
    except ValidationError as error:
        places = [
            [part for part in fault["loc"] if part not in FORM_TAGS]
            for fault in error.errors(include_url=False, include_context=False)
            if fault["type"] == "int_type" and isinstance(fault["input"], float) and fault["input"].is_integer()
        ]
        if not places:
            raise
    content = from_json(body)
    for *path, last in places:
        holder = content
        for part in path:
            holder = holder[part]
        holder[last] = int(holder[last])
    return body_type.model_validate_json(to_json(content, inf_nan_mode="constants"), strict=True)


class _Object(dict[str, Any]):
    """A JSON object that knows whether one of its names came twice; the last one counts for most parsers, unseen."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counted = Counter(name for name, _ in pairs) if len(self) < len(pairs) else {}
        self.repeated = next((name for name, number in counted.items() if number > 1), None)


def _find_repeated(content: Any) -> tuple[int | str, ...] | None:
    """Where a name comes for the second time, or None."""
    if isinstance(content, _Object) and content.repeated is not None:
        return (content.repeated,)
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for part, value in inner:
        if (rest := _find_repeated(value)) is not None:
            return (part, *rest)
    return None


def check_encoding(request: Request) -> None:
    """Raises RequestRefused (415) for a body that is packed: how large it is would show only when it is unpacked."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise RequestRefused(
            415,
            "unsupported_content_encoding",
            "Send the body as it is, without a Content-Encoding.",
            pointer="Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise RequestRefused(
            415,
            "unsupported_media_type",
            "The body must be JSON: send the header `Content-Type: application/json`.",
            pointer="Content-Type",
            headers={"Accept": "application/json"},
        )


async def read_chunks(
    request: Request,
    max_bytes: int,
    what: str,
    *,
    max_silence_s: float = MAX_SILENCE_S,
    max_seconds: float = math.inf,
) -> AsyncIterator[bytes]:
    """The body as it comes. what: how a refusal calls it. max_seconds: for all of it.

    Raises RequestRefused: 413, at once where it can be told; 408 for a client that has gone without saying so, or
    takes for ever.
    """
    close = {"Connection": "close"}
    too_large = RequestRefused(413, "body_too_large", f"The {what} is larger than {max_bytes} bytes.", headers=close)
    if int(request.headers.get("content-length", 0)) > max_bytes:  # the server has seen to it that it is a number
        raise too_large
    num_bytes = 0
    chunks = request.stream()
    deadline = anyio.current_time() + max_seconds
    while True:
        try:
            with anyio.fail_after(min(max_silence_s, deadline - anyio.current_time())):
                chunk = await anext(chunks, None)
        except TimeoutError:
            is_late = anyio.current_time() >= deadline
            detail = (
                f"The {what} did not end within {max_seconds:g} seconds."
                if is_late
                else f"Nothing of the {what} came for {max_silence_s:g} seconds."
            )
            raise RequestRefused(408, "request_timeout", detail, headers=close) from None
        if chunk is None:
            return
        # Counted as it comes, too: a chunked body declares no length.
        num_bytes += len(chunk)
        if num_bytes > max_bytes:
            raise too_large
        yield chunk


async def drop_unused_body(request: Request) -> None:
    """Takes in the body of a request that needs none, before anything is done for it.

    What waits for the client to hang up would read on and on. Raises RequestRefused (408, 413).
    """
    what = "body, for which this path has no use,"
    async for _ in read_chunks(request, _MAX_UNUSED_BYTES, what, max_seconds=MAX_JSON_S):
        """Nobody wants it."""


def _is_consequence(item: Any, found: Sequence[Any]) -> bool:
    """A list counts as too short for pydantic when its items are wrong: that is no error of its own."""
    depth = len(item["loc"])
    return item["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == item["loc"] for other in found
    )


def _explain(item: Any, body_type: type[BaseModel]) -> str:
    """pydantic's sentence, or a better one."""
    if item["type"] == "json_invalid":
        return "The body is not valid JSON."
    if item["type"] == "extra_forbidden":
        # The names are those of the body itself, not of what is inside it.
        name, *deeper = item["loc"]
        near = [] if deeper else difflib.get_close_matches(str(name), body_type.model_fields, n=1)
        return "There is no such field." + (f" Did you mean `{near[0]}`?" if near else "")
    return str(item["msg"]).replace("Tuple should", "List should")
