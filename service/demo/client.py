"""The API as a client sees it, by the standard library alone."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, cast

ANSWER_TIMEOUT_S = 30.0
# The server sends a sign of life every 15 seconds; silence beyond this is a broken connection.
STREAM_TIMEOUT_S = 60.0
_RECONNECTS = 5


class ApiProblem(Exception):
    """The service refused a request; the text is its problem+json's, fields named."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        fields = "".join(f"\n  {item.get('pointer')}: {item.get('detail')}" for item in problem.get("errors") or [])
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}{fields}")


@dataclass(frozen=True)
class Event:
    """One frame of a stream. event_id: the job's event number, None for frames outside the durable log."""

    name: str
    event_id: str | None
    data: dict[str, Any]


def parse_events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Lines of a `text/event-stream` body → its events. A frame cut short at the end is no event."""
    fields: dict[str, list[str]] = {}
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        else:
            if "data" in fields:
                event_id = fields["id"][-1] if "id" in fields else None
                yield Event(fields.get("event", ["message"])[-1], event_id, json.loads("\n".join(fields["data"])))
            fields = {}


class ApiClient:
    """The requests that the demo needs. Every method raises ApiProblem, or OSError when nobody answers."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        # A proxy of the environment has no business between this process and its own service.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """The JSON at `path`."""
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        with self._send("GET", path + suffix) as response:
            return cast("dict[str, Any]", json.load(response))

    def submit_job(self, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """Queues a job; returns it."""
        with self._send("POST", f"/v1/jobs/{kind}", spec) as response:
            return cast("dict[str, Any]", json.load(response))

    def validate_job(self, kind: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        """The resolved spec that a job would have; starts nothing."""
        with self._send("POST", f"/v1/jobs/{kind}?validate_only=true", spec) as response:
            return cast("dict[str, Any]", json.load(response)["resolved_spec"])

    def cancel_job(self, job_id: str) -> None:
        """Asks a job to stop; one that has ended already is left as it is."""
        try:
            self._send("POST", f"/v1/jobs/{job_id}/cancel").close()
        except ApiProblem as problem:
            if problem.status != 409:
                raise

    def follow_job(self, job_id: str) -> Iterator[Event]:
        """Every event of a job until `done`, whose data is the finished job. Reconnects where it left off."""
        newest: str | None = None
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": newest} if newest else {})
            try:
                with self._send(
                    "GET", f"/v1/jobs/{job_id}/stream", headers=headers, timeout_s=STREAM_TIMEOUT_S
                ) as body:
                    for event in parse_events(body):
                        if event.name == "unavailable":
                            break
                        failures, newest = 0, event.event_id or newest
                        yield event
                        if event.name == "done":
                            return
                raise ConnectionError("the stream of events ended before its job did")
            except (OSError, HTTPException, ApiProblem) as error:
                if isinstance(error, ApiProblem) and error.status < 500:
                    raise
                failures += 1
                if failures > _RECONNECTS:
                    raise
                time.sleep(0.5 * failures)

    def download(self, path: str, target: Path) -> None:
        """Writes the bytes at `path` to the file `target`."""
        with self._send("GET", path) as response, target.open("wb") as file:
            while block := response.read(1 << 20):
                file.write(block)

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> HTTPResponse:
        request = urllib.request.Request(  # noqa: S310 - the address is this program's own
            self.base_url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            return cast("HTTPResponse", self._opener.open(request, timeout=timeout_s))
        except urllib.error.HTTPError as error:
            with error:
                try:
                    problem = json.load(error)
                except ValueError:
                    problem = {"title": error.reason}
            raise ApiProblem(error.code, problem) from None
