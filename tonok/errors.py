"""What can go wrong, each with its parts as fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class TonokError(Exception):
    """Base of all that this package raises."""


class Unreachable(TonokError, ConnectionError):
    """Nobody answered, or the answer broke off, and went on doing so."""


@dataclass(frozen=True)
class WrongField:
    """One wrong field of a request. pointer: JSON pointer into the body, or the name of a parameter or header."""

    pointer: str
    code: str
    detail: str


class Problem(TonokError):
    """The service refused a request: its `application/problem+json` (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.title = str(problem.get("title", ""))
        self.detail = str(problem.get("detail", ""))
        self.request_id: str | None = problem.get("request_id")
        self.retry_after_s = 0.0
        self.fields = tuple(
            WrongField(*(str(item.get(part, "")) for part in ("pointer", "code", "detail")))
            for item in problem.get("errors") or []
        )
        fields = "".join(f"\n  {field.pointer}: {field.detail}" for field in self.fields)
        super().__init__(f"{status} {self.title}: {self.detail}{fields}")


class JobFailed(TonokError):
    """A job ended without a result. job: its answer; code: why, or `cancelled`."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        self.job = job
        error = job.get("error") or {"code": "cancelled", "title": "It was cancelled", "detail": "there is no result"}
        self.code, self.detail = str(error["code"]), str(error["detail"])
        super().__init__(f"{job['kind']} job {job['id']}: {self.code}: {error['title']}: {self.detail}")
