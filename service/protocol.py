"""HTTP that is none: what never becomes a request is answered as problem+json too."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import PROBLEM_MEDIA_TYPE, encode_problem
from service.lingering import MAX_SILENCE_S


class ProblemProtocol(H11Protocol):
    """uvicorn's protocol over h11, but for how it refuses malformed input."""

    _has_refused = False

    def data_received(self, data: bytes) -> None:
        """Called with what the client sends; once it was refused, that is thrown away."""
        if not self._has_refused:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's sentence, in plain text
        """Called where h11 could not read a request."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # in the middle of an answer nothing can be added
            self.transport.close()
            return
        body = encode_problem(
            status=400,
            code="malformed_request",
            detail="This is not a well-formed HTTP/1.1 request, or its headers are too long.",
            instance="",
            request_id=None,
        )
        headers = [
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        # As service/lingering.py: closed with bytes unread, the connection would be reset, and the answer lost.
        self._has_refused = True
        self.transport.write_eof()
        self.loop.call_later(MAX_SILENCE_S, self.transport.close)
