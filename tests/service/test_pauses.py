"""How long one request may keep the event loop, and with it everybody else, from going on.

Measured is the processor time of the loop's thread, for the whole request: never less than its longest pause, and the
same whatever else the machine does. It is held against what `json.loads` takes, there and then, for the largest body.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import count, takewhile
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from service.app import create_app
from service.bodies import MOST_VALUES, read_body
from service.errors import MOST_ERRORS
from service.schemas.predictions import LONGEST_SIDE, MOST_PIXELS, PixelPicture
from storage.settings import Settings
from tests.service.conftest import Workshop

SIZE = Settings().max_body_bytes
MOST_UNITS = 25
"""The bound. One unit is some ten milliseconds; two of these are what reading a valid picture takes."""


def fill(before: bytes, item: bytes, after: bytes) -> bytes:
    number = (SIZE - len(before) - len(after)) // (len(item) + 1)
    return before + b",".join([item] * number) + after


def name_many(before: bytes, value: bytes, after: bytes) -> bytes:
    """An object of as many different names as fit."""
    longest = len(b'"fffff":,') + len(value)
    number = (SIZE - len(before) - len(after)) // longest
    return before + b",".join(b'"%x":%s' % (name, value) for name in range(number)) + after


def nest(name: bytes, row: bytes, rows: int = LONGEST_SIDE) -> bytes:
    """A list of lists, neither of them long."""
    columns = SIZE // rows // (len(row) + 1) - 2
    return b'{"' + name + b'":[' + b",".join([b"[" + b",".join([row] * columns) + b"]"] * rows) + b"]}"


UNIT = fill(b"[", b'""', b"]")


def list_worst_bodies(fields: list[str]) -> Iterator[tuple[str, bytes]]:
    """As long as the limits allow. fields: names that the route's body has; of what is none, too."""
    yield "unknown names", name_many(b"{", b"0", b"}")
    yield "one unknown name", fill(b"{", b'"?":0', b"}")
    yield "a long name", b'{"' + b"x" * (SIZE - 6) + b'":1}'
    yield "escapes", b'{"' + rb"\u0061" * (SIZE // 6 - 1) + b'":1}'
    yield "depth", b"[" * (SIZE // 2) + b"]" * (SIZE // 2)
    yield "deep objects", b'{"a":' * (SIZE // 6) + b"1" + b"}" * (SIZE // 6)
    yield "no JSON", b"," * SIZE
    yield "lists", fill(b"[", b"[]", b"]")
    for name in ("?", *fields):
        field = name.encode()
        head = b'{"' + field + b'":'
        yield f"{name}: wrong items", fill(head + b"[", b'""', b"]}")
        yield f"{name}: lists", fill(head + b"[", b"[]", b"]}")
        yield f"{name}: objects", fill(head + b"[", b"{}", b"]}")
        yield f"{name}: rows", nest(field, b'""')
        yield f"{name}: rows of floats", nest(field, b"1.0")
        yield f"{name}: rows of huge floats", nest(field, b"1e308")
        yield f"{name}: huge floats", head + b"[" + b",".join([b"1e308"] * (MOST_VALUES - 10)) + b"]}"
        yield f"{name}: names", name_many(head + b"{", b'""', b"}}")
        yield (
            f"{name}: objects of names",
            head + b"[" + b",".join([b'{"a":0,"b":0,"c":0}'] * (MOST_VALUES // 4)) + b"]}",
        )
        yield f"{name}: digits", head + b"1" * (SIZE - len(head) - 1) + b"}"
        yield f"{name}: again and again", fill(b"{", head[1:] + b"3", b"}")


def list_fields(document: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """Of a body: the ones that hold lists and objects."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    fields: dict[str, dict[str, Any]] = schema.get("properties", {})
    return [name for name, field in fields.items() if '"array"' in json.dumps(field) or '"object"' in json.dumps(field)]


async def ask(
    app: FastAPI, method: str, path: str, body: bytes, headers: dict[str, bytes], query: bytes = b""
) -> tuple[float, int, bytes]:
    """Seconds of this thread, the status and the content."""
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 5), "root_path": "", "path": path,
        "raw_path": path.encode(), "query_string": query, "state": {},
        "headers": [(b"host", b"127.0.0.1"), *((name.encode(), value) for name, value in headers.items())],
    }  # fmt: skip
    started = time.thread_time()
    await app(scope, receive, send)  # type: ignore[arg-type]  # what ASGI's types leave open
    seconds = time.thread_time() - started
    content = b"".join(message.get("body", b"") for message in sent)
    return seconds, sent[0]["status"], content


def measure_unit() -> float:
    started = time.thread_time()
    json.loads(UNIT)
    return time.thread_time() - started


async def count_units(app: FastAPI, method: str, path: str, body: bytes, **more: Any) -> tuple[float, int, bytes]:
    """The least of a few tries where the first took long: a full collection of garbage falls into some of them."""
    least, status, content = float("inf"), 0, b""
    for _ in range(5):
        seconds, status, content = await ask(app, method, path, body, **more)
        least = min(least, seconds / measure_unit())
        if least < MOST_UNITS / 2:
            break
    return least, status, content


def list_posts() -> list[str]:
    """Paths of every route that takes POST, those that the document leaves out too."""
    routes: list[Any] = []
    waiting: list[Any] = [*create_app(Settings()).routes]
    while waiting:
        route = waiting.pop()
        routes.append(route)
        waiting += getattr(getattr(route, "original_router", route), "routes", [])
    return sorted({route.path for route in routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())})


def test_there_are_routes_to_attack() -> None:
    assert {"/v1/jobs/train", "/v1/jobs/{kind}", "/v1/models", "/v1/size-estimates"} <= set(list_posts())


@pytest.mark.slow
@pytest.mark.parametrize("path", list_posts())
def test_no_body_holds_up_the_loop(path: str, workshop: Workshop) -> None:
    workshop.train()
    app = workshop.client.app
    assert isinstance(app, FastAPI)
    document = app.openapi()
    content = document["paths"].get(path, {}).get("post", {}).get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    url = path.replace("{model_id}", "latest").replace("{job_id}", "latest").replace("{kind}", "nothing")
    assert "{" not in url

    # A file is taken as it is: the service does not look into it.
    media_type = b"application/json" if not content or "application/json" in content else b"application/octet-stream"

    async def attack() -> None:
        for name, body in list_worst_bodies(list_fields(document, schema)):
            assert len(body) <= SIZE
            headers = {"content-type": media_type, "content-length": b"%d" % len(body)}
            units, status, answer = await count_units(app, "POST", url, body, headers=headers)
            assert units < MOST_UNITS, f"{name}: {units:.0f} units"
            assert status != 500, name
            assert len(answer) < 64 * 1024, name

    asyncio.run(attack())


def list_heads() -> Iterator[tuple[str, dict[str, bytes], bytes]]:
    """As long as service/framing.py, h11 and the longest target allow."""
    room = 60_000
    yield "accept", {"accept": b"a/b," * (room // 4)}, b""
    yield "qualities", {"accept": b"a/b;q=.1;q=.2," * (room // 14)}, b""
    yield "tags", {"if-none-match": b'"",' * (room // 3)}, b""
    yield "origin", {"origin": b"http://" + b"a." * (room // 2)}, b""
    yield "fields", {f"x{number}": b"x" * 500 for number in range(100)}, b""
    yield "parameters", {}, b"&".join(b"%x" % number for number in takewhile(lambda n: n < 1800, count()))[:8000]
    yield "one parameter", {}, b"page_size=1&" * 600
    yield "escapes", {}, b"page_token=" + b"%41" * 2600
    yield "too long", {}, b"a&" * 30_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "query"), [head[1:] for head in list_heads()], ids=[head[0] for head in list_heads()]
)
def test_no_head_holds_up_the_loop(headers: dict[str, bytes], query: bytes, workshop: Workshop) -> None:
    workshop.train()
    app = workshop.client.app
    assert isinstance(app, FastAPI)

    async def attack() -> None:
        for path in ("/healthz", "/openapi.json", "/v1/jobs", "/v1/jobs/latest", "/v1/models/latest/download"):
            units, _, _ = await count_units(app, "GET", path, b"", headers=headers, query=query)
            assert units < MOST_UNITS, f"{path}: {units:.0f} units"

    asyncio.run(attack())


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (fill(b'{"pixels":[[', b"[]", b"]]}"), ("body", "pixels", 0)),
        (fill(b'{"a":1,"pixels":[', b"{}", b"]}"), ("body", "pixels")),
        (name_many(b"{", b"0", b"}"), ("body",)),
    ],
)
def test_a_body_of_too_many_values_is_refused_by_their_number_and_place(body: bytes, place: tuple[Any, ...]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - told by its content
        read_body(PixelPicture, body, most_values=MOST_PIXELS)
    (fault,) = caught.value.errors()  # type: ignore[attr-defined]
    assert (fault["type"], fault["loc"]) == ("too_many_values", place)


def test_an_answer_names_so_many_faults_and_says_how_many_there_are(workshop: Workshop) -> None:
    unknown = {f"x{number}": 0 for number in range(3 * MOST_ERRORS)}
    answer = workshop.client.post("/v1/jobs/train", json=unknown)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == MOST_ERRORS
    assert answer.json()["detail"].startswith(f"{3 * MOST_ERRORS} ")


def test_the_largest_picture_is_taken_and_its_first_wrong_pixel_told() -> None:
    rows = [[0] * 500 for _ in range(LONGEST_SIDE)]
    assert len(
        read_body(PixelPicture, json.dumps({"pixels": rows}, separators=(",", ":")).encode(), MOST_PIXELS).pixels
    )
    rows[7][3] = rows[7][5] = rows[9][0] = 256
    with pytest.raises(Exception) as caught:  # noqa: PT011 - told by its content
        read_body(PixelPicture, json.dumps({"pixels": rows}).encode(), MOST_PIXELS)
    assert [fault["loc"] for fault in caught.value.errors()] == [("body", "pixels", 7, 3)]  # type: ignore[attr-defined]
