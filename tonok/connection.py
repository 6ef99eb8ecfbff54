"""HTTP to one service, by the standard library: retries, idempotency keys, streams that go on where they broke off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from tonok.errors import Problem, TonokError, Unreachable
from tonok.events import Event, parse_events

Answer = TypeVar("Answer")

Report = Callable[[int, int], None]
"""Is told bytes moved so far, and bytes in all."""

# A stream sends a sign of life every 15 seconds: silence beyond this is a broken connection.
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_PASSING = (429, 502, 503, 504)
_BROKEN = (urllib.error.URLError, ConnectionError, TimeoutError, HTTPException)
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The API sends nobody elsewhere; whoever does would be handed the key."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


class _Body:
    """A body that tells how far it is."""

    def __init__(self, file: BinaryIO, report: Report | None) -> None:
        self._file, self._report, self._sent = file, report, 0
        self.num_bytes = file.seek(0, 2)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Reads on."""
        block = self._file.read(size)
        self._sent += len(block)
        if self._report is not None:
            self._report(self._sent, self.num_bytes)
        return block


class Connection:
    """Requests to one service. Every method raises Problem where it refuses, Unreachable where nobody answers.

    base_url: of the service. key: an API key. tries: how often a request is sent, where the service is away or busy.
    """

    def __init__(self, base_url: str, key: str | None = None, *, tries: int = 6) -> None:
        self.base_url = base_url.rstrip("/")
        parts = urllib.parse.urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"no address of a service: {base_url!r}; it begins with http:// or https://")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._tries = tries
        # A proxy of the environment has no business between two processes of one machine.
        is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({} if is_here else None))

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """The JSON at `path`. A parameter that is None is left out."""
        return self._ask("GET", path + _encode(query))

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """Sends JSON under one idempotency key: however often it must be sent, it is done once."""
        content = b"" if body is None else json.dumps(body, allow_nan=False).encode()
        return self.upload(path, content, "application/json", **query)

    def upload(
        self, path: str, source: Path | bytes, media_type: str, report: Report | None = None, **query: Any
    ) -> dict[str, Any]:
        """Sends a file, as `post` sends JSON. Raises OSError where it cannot be read."""

        def open_body() -> BinaryIO:
            return BytesIO(source) if isinstance(source, bytes) else source.open("rb")

        headers = {"Content-Type": media_type, "Idempotency-Key": str(uuid.uuid4())}
        return self._ask("POST", path + _encode(query), open_body, headers, report)

    def delete(self, path: str) -> None:
        """Deletes what is at `path`. Sent once: gone and never been there look the same the second time."""
        self._send("DELETE", path).close()

    def download(self, path: str, target: Path, report: Report | None = None) -> Path:
        """Writes the bytes at `path` to a file, which is there complete or not at all; returns it."""
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")

        def fetch() -> None:
            with self._send("GET", path) as answer, part.open("wb") as file:
                _copy(answer, file, report)

        try:
            self._repeat(fetch)
            return part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        """Returns the bytes at `path`."""

        def fetch() -> bytes:
            content = BytesIO()
            with self._send("GET", path) as answer:
                _copy(answer, content, None)
            return content.getvalue()

        return self._repeat(fetch)

    def follow(self, job_id: str) -> Iterator[Event]:
        """Yields a job's events until `done`, whose data is the finished job. Goes on where a stream broke off."""
        newest: str | None = None
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": newest} if newest else {})
            try:
                with self._send("GET", f"/v1/jobs/{job_id}/stream", headers=headers) as lines:
                    for event in parse_events(lines):
                        if event.name == "unavailable":
                            break
                        failures, newest = 0, event.event_id or newest
                        yield event
                        if event.name == "done":
                            return
                raise ConnectionError("the stream of events ended before its job did")
            except (*_BROKEN, Problem) as error:
                failures += 1
                self._wait(error, failures)

    def _ask(
        self,
        method: str,
        path: str,
        open_body: Callable[[], BinaryIO] | None = None,
        headers: Mapping[str, str] | None = None,
        report: Report | None = None,
    ) -> dict[str, Any]:
        """The JSON that answers. The body is opened anew for each try."""

        def ask() -> dict[str, Any]:
            with contextlib.ExitStack() as until_answered:
                body = None if open_body is None else _Body(until_answered.enter_context(open_body()), report)
                answer = until_answered.enter_context(self._send(method, path, body, headers or {}))
                try:
                    return cast("dict[str, Any]", json.load(answer))
                except ValueError:
                    raise TonokError(f"what answers at {self.base_url} is not Tonok: {path} is no JSON") from None

        return self._repeat(ask)

    def _send(
        self, method: str, path: str, body: _Body | None = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        lengths = {} if body is None else {"Content-Length": str(body.num_bytes)}
        request = urllib.request.Request(  # noqa: S310 - its scheme was looked at when this was made
            self.base_url + path,
            method=method,
            data=cast("Any", body),
            headers={**self._headers, **lengths, **(headers or {})},
        )
        try:
            return cast("HTTPResponse", self._opener.open(request, timeout=_TIMEOUT_S))
        except urllib.error.HTTPError as error:
            with error:
                try:
                    told = json.load(error)
                except ValueError:
                    told = {}
            problem = Problem(error.code, told if isinstance(told, dict) else {})
            problem.retry_after_s = _read_seconds(error.headers.get("Retry-After"))
            raise problem from None

    def _repeat(self, attempt: Callable[[], Answer]) -> Answer:
        failures = 0
        while True:
            try:
                return attempt()
            except (*_BROKEN, Problem) as error:
                failures += 1
                self._wait(error, failures)

    def _wait(self, error: Exception, failures: int) -> None:
        """Waits before the next try. Raises where another would be of no use, or one too many."""
        least = 0.0
        if isinstance(error, Problem):
            least = error.retry_after_s
            if error.status not in _PASSING or failures >= self._tries or least > _LONGEST_WAIT_S:
                raise error
        elif failures >= self._tries:
            raise Unreachable(f"{self.base_url} does not answer: {error}") from error
        time.sleep(max(least, min(_FIRST_WAIT_S * 2.0 ** (failures - 1), _LONGEST_WAIT_S)))


def _encode(query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"?{urllib.parse.urlencode({name: _write(value) for name, value in given.items()})}" if given else ""


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _read_seconds(header: str | None) -> float:
    return float(header) if header is not None and header.isdecimal() else 0.0


def _copy(answer: HTTPResponse, target: BinaryIO, report: Report | None) -> None:
    """Copies a file. Raises ConnectionError where it comes short of what was announced, or is another."""
    announced = int(answer.headers.get("Content-Length") or 0)
    expected = (answer.headers.get("ETag") or "").strip('"')
    digest, copied = hashlib.sha256(), 0
    while block := answer.read(_BLOCK):
        target.write(block)
        digest.update(block)
        copied += len(block)
        if report is not None:
            report(copied, announced)
    if copied < announced or (len(expected) == digest.digest_size * 2 and digest.hexdigest() != expected):
        raise ConnectionError(f"only {copied} of {announced} bytes came, or not those that were asked for")
