"""JSON bodies, parsed once at the door.

pydantic reads the bytes itself: its strict mode for JSON takes an array for a tuple and a string for an enum but
neither `"3"` nor `true` for an integer, and its parser refuses the lone surrogates that `json.loads` lets through.

All of this runs in the event loop, so that it is bounded by what a sensible body holds and not by what a mebibyte can
hold: values are counted before they are made, and no more faults are put into words than are told.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice
from typing import Any, TypeVar

import anyio
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.datastructures import Headers

from service.errors import MOST_ERRORS, RequestRefused

Body = TypeVar("Body", bound=BaseModel)

MAX_SILENCE_S = 60.0
"""How long a body may stop coming: who has lost the network does not say so, and would count as sending for ever."""

MAX_JSON_S = 60.0
"""How long a JSON body may take in all: a mebibyte in a minute is a bad mobile network, a byte in a minute is none."""

_MAX_UNUSED_BYTES = 64 * 1024
"""Of a body that no path has asked for: room for the `{}` that some clients send with everything."""

MOST_VALUES = 10_000
"""Numbers and strings of a body, its lists and objects, its names: several times what the longest sensible one holds.
Each can be wrong, and takes its time."""

_LARGEST_WHOLE = 2**63
"""Beyond it a number that is written as a fraction stays one. `1e308` would take three hundred digits, and a mebibyte
of these takes seconds to write and to read."""

_LONGEST_NAME = 64
"""Of an unknown field for which a near one is looked for."""


def parse_body(body_type: type[Body], most_values: int = MOST_VALUES) -> Callable[[Request], Awaitable[Body]]:
    """A dependency that answers the request's body as a `body_type`; raises what becomes 408, 413, 415 or 422.

    most_values: numbers and strings. A type that may hold more than MOST_VALUES must stop at its first faults.
    """

    async def parse(request: Request) -> Body:
        _check_media_type(request)
        check_encoding(request)
        max_bytes = request.app.state.settings.max_body_bytes
        body = b"".join([chunk async for chunk in read_chunks(request, max_bytes, "body", max_seconds=MAX_JSON_S)])
        return read_body(body_type, body, most_values)

    return parse


def read_body(body_type: type[Body], body: bytes, most_values: int = MOST_VALUES) -> Body:
    """JSON as a `body_type`. Raises RequestRefused, RequestValidationError."""
    _check_number_of_values(body, most_values)
    try:
        parsed = _validate(body_type, body)
    except ValidationError as error:
        if not body:
            raise RequestRefused(422, "empty_body", "The body is empty: send JSON, {} at least.", pointer="") from None
        found = error.errors(include_url=False, include_context=False, include_input=False)
        holders = {fault["loc"][:depth] for fault in found for depth in range(len(fault["loc"]))}
        # A list counts as too short for pydantic when its items are wrong: that is no error of its own.
        wrong = [fault for fault in found if not (fault["type"] == "too_short" and fault["loc"] in holders)]
        told: list[Any] = [{**fault, "msg": _explain(fault, body_type)} for fault in wrong[:MOST_ERRORS]]
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in [*told, *wrong[MOST_ERRORS:]]]
        ) from None
    # Behind the other checks, which bound how deep a body goes. A name comes twice only where two names come.
    if body.count(b":") > 1 and (repeated := _find_repeated(json.loads(body, object_pairs_hook=_Object))):
        raise _build_fault("repeated_field", repeated, "This field comes twice: send it once.")
    return parsed


def describe_body(body_type: type[BaseModel], *names: str) -> dict[str, Any]:
    """`openapi_extra` of a route that uses `parse_body`; service/openapi.py adds the schema it points to.

    names: of the model's examples, where a reader has several to choose from.
    """
    examples = body_type.model_json_schema().get("examples", [])
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body_type.__name__}"}}
    if names:
        content["examples"] = {name: {"value": value} for name, value in zip(names, examples, strict=True)}
    elif examples:
        content["example"] = examples[0]
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def _check_number_of_values(body: bytes, most_values: int) -> None:
    """Raises RequestValidationError. What strings hold counts too: none of ours is long enough for that to matter.

    Counted in the bytes, which takes a millisecond: to make the values takes seconds in which nobody else is answered.
    """
    for signs, most in ((b",", most_values), (b"[{", MOST_VALUES), (b":", MOST_VALUES)):
        if sum(map(body.count, signs)) <= most:
            continue
        first_too_many = next(islice(re.finditer(b"[" + re.escape(signs) + b"]", body), most, None))
        try:
            seen = from_json(body[: first_too_many.start()], allow_partial=True)
        except ValueError:
            raise _build_fault("json_invalid", (), "The body is not valid JSON.") from None
        sentence = f"The body holds more than {most} values, and most of them here."
        raise _build_fault("too_many_values", _find_longest(seen), sentence)


def _find_longest(content: Any) -> tuple[int | str, ...]:
    """Where the list or object is that holds most."""
    longest: tuple[int | str, ...] = ()
    length = -1
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), content)]
    while waiting:
        place, value = waiting.pop()
        if not isinstance(value, dict | list):
            continue
        if len(value) > length:
            longest, length = place, len(value)
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        waiting += [((*place, part), item) for part, item in inner if isinstance(item, dict | list)]
    return longest


def _build_fault(kind: str, place: tuple[int | str, ...], sentence: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body", *place), "msg": sentence}])


def _validate(body_type: type[Body], body: bytes) -> Body:
    """Raises ValidationError. JSON has one kind of number, and 3.0 is a whole one: its schemas say so."""
    try:
        return body_type.model_validate_json(body, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        if all(fault["type"] != "int_type" for fault in faults):
            raise
    content = _make_whole(from_json(body))
    return body_type.model_validate_json(to_json(content, inf_nan_mode="constants"), strict=True)


def _make_whole(content: Any) -> Any:
    """The same JSON with 3 for every 3.0: where a fraction is meant, pydantic takes the one for the other."""
    if isinstance(content, float):
        return int(content) if _is_whole(content) else content
    if isinstance(content, dict):
        return {name: _make_whole(value) for name, value in content.items()}
    if isinstance(content, list):
        # One call less for each of what may be hundreds of thousands of pixels.
        return [
            int(value) if type(value) is float and _is_whole(value) else _make_whole(value)
            if isinstance(value, dict | list) else value
            for value in content
        ]  # fmt: skip
    return content


def _is_whole(number: float) -> bool:
    return number.is_integer() and abs(number) < _LARGEST_WHOLE


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
        if isinstance(value, dict | list) and (rest := _find_repeated(value)) is not None:
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


def has_body(headers: Headers) -> bool:
    """Whether a body is announced; it may turn out to be empty."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def drop_unused_body(request: Request) -> None:
    """Takes in the body of a request that needs none, before anything is done for it.

    What waits for the client to hang up would read on and on. Raises RequestRefused (408, 413).
    """
    what = "body, for which this path has no use,"
    async for _ in read_chunks(request, _MAX_UNUSED_BYTES, what, max_seconds=MAX_JSON_S):
        """Nobody wants it."""


def _explain(item: Any, body_type: type[BaseModel]) -> str:
    """pydantic's sentence, or a better one."""
    if item["type"] == "json_invalid":
        return "The body is not valid JSON."
    if item["type"] == "extra_forbidden":
        # The names are those of the body itself, not of what is inside it.
        name, *deeper = item["loc"]
        is_own = not deeper and len(str(name)) <= _LONGEST_NAME
        near = difflib.get_close_matches(str(name), body_type.model_fields, n=1) if is_own else []
        return "There is no such field." + (f" Did you mean `{near[0]}`?" if near else "")
    return str(item["msg"]).replace("Tuple should", "List should")
