"""What uvicorn leaves open: a connection without a request, too many of them, bodies after their answer, no HTTP.

docs/decisions/http-layer.md tells what was measured without each of these.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import resource
import uuid
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import PROBLEM_MEDIA_TYPE, encode_problem
from service.framing import StrictBuffer
from service.middleware import SECURITY_HEADERS
from storage.logs import bind_log_fields

MAX_ACCEPTED_AT_ONCE = 20
"""asyncio's `backlog`. It accepts so many several times over before `connection_made` is called for the first of them,
and again before one that was closed is gone: five times this many files must be free."""
_NUM_OTHER_FILES = 200
"""Files that are kept free for those, and for the database and what requests read and write."""

_MAX_AHEAD_BYTES = 512 * 1024
"""What a client may send behind a request before that is answered. It is kept in memory."""

_log = logging.getLogger(__name__)


class ProblemProtocol(H11Protocol):
    """uvicorn's protocol over h11, but no connection is held open for nothing, and every refusal is a problem."""

    max_head_s: ClassVar[float] = 30.0
    """How long a connection may be open, or stay open after an answer, until the next request's head has come. What is
    left of the body of the answered request is taken in meanwhile, and thrown away."""

    _has_refused = False
    _num_ahead = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Called once. Whoever comes while there is no room is told so, as nobody could be let in any more later."""
        super().connection_made(transport)
        self.conn._receive_buffer = StrictBuffer(self.conn)  # noqa: SLF001 - h11 offers no other way
        if len(self.connections) > count_allowed_connections():
            self._refuse(503, "too_many_connections", "Too many connections are open here.", (b"retry-after", b"2"))
            transport.close()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Called with what the client sends; once it was refused, that is thrown away."""
        if self._has_refused:
            return
        if self.conn.their_state is h11.MUST_CLOSE:
            # By its own word nothing follows: a stray line end is no reason to leave the request unanswered.
            self._num_ahead += len(data)
        else:
            super().data_received(data)
            # uvicorn reads on whenever somebody asks whether the client is still there, as a long poll does.
            self._num_ahead = len(self.conn.trailing_data[0]) if self.conn.their_state is h11.DONE else 0
        if self._num_ahead > _MAX_AHEAD_BYTES:
            self.transport.close()

    def handle_events(self) -> None:
        """Called with new bytes, and after an answer, where it must not log as the request that was answered."""
        contextvars.Context().run(super().handle_events)
        is_open = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first
        if self._has_refused or not is_open:
            return
        self._stop_waiting()
        if self.conn.their_state is h11.SEND_BODY:
            self.cycle.transport = _Answering(self)  # type: ignore[assignment]  # as much as a cycle calls

    def on_response_complete(self) -> None:
        """Called at the end of an answer."""
        if self._has_refused:  # its end is in sight
            return
        if self.cycle.waiting_for_100_continue and self.conn.their_state is h11.SEND_BODY:
            # Whether the body still comes nobody can tell: what comes next might be taken for it, or it for a request.
            self.close_behind_body()
            return
        self._wait_for_head()
        super().on_response_complete()

    def close_behind_body(self) -> None:
        """Ends what is sent, and takes in what still comes for a while.

        Closed with bytes unread, the connection would be reset, and a client that sends in one go would learn of a
        broken pipe and never of the answer.
        """
        self._has_refused = True
        self._stop_waiting()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(self.max_head_s, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, in plain text
        """Called where h11 could not read a request."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # in the middle of an answer nothing can be added
            self.transport.close()
            return
        if self.conn.our_state is h11.SEND_RESPONSE:
            # Its body was no HTTP. Whoever reads that is told that it ends here; no second answer is written.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        detail = "This is not a well-formed HTTP/1.1 request, or its headers are too long."
        self._refuse(400, "malformed_request", detail)
        self.close_behind_body()

    def _refuse(self, status: int, code: str, detail: str, *more: tuple[bytes, bytes]) -> None:
        self._has_refused = True
        self._stop_waiting()
        request_id = uuid.uuid4().hex
        with bind_log_fields(request_id=request_id):
            _log.info("a connection is refused: %s", code)
        body = encode_problem(status=status, code=code, detail=detail, instance="", request_id=request_id)
        headers = [
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            (b"x-request-id", request_id.encode()),
            *SECURITY_HEADERS,
            *more,
        ]
        reason = {400: b"Bad Request", 503: b"Service Unavailable"}[status]
        for event in (
            h11.Response(status_code=status, headers=headers, reason=reason),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(self.max_head_s, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Answering:
    """The transport of a request whose body has not ended: as a cycle asks for its end, the answer is not lost."""

    def __init__(self, protocol: ProblemProtocol) -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self._protocol = protocol

    def close(self) -> None:
        if self._protocol.conn.their_state is h11.SEND_BODY:
            self._protocol.close_behind_body()
        else:
            self._protocol.transport.close()


def count_allowed_connections() -> int:
    """So many that the process never runs out of files: asyncio could accept nobody then, and logs that without end."""
    num_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if num_files == resource.RLIM_INFINITY:
        num_files = 2**20
    return max(num_files - _NUM_OTHER_FILES, num_files // 4)
