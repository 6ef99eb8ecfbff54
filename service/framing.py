"""Requests that two readers of HTTP could read differently are refused: a proxy in front of this may be the other one.

h11 takes bare line feeds, folded fields, chunk extensions, and a Content-Length beside a Transfer-Encoding. Where a
proxy takes them otherwise, what it holds for the body of one request is the next request here.
"""

from __future__ import annotations

import re
from collections import Counter

import h11
from h11._receivebuffer import ReceiveBuffer

MOST_FIELDS = 100
"""Fields of one head: each look for one of them walks past all."""

_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_REQUEST_LINE_END = re.compile(rb" (/[^ ]*|\*) HTTP/1\.([01])$")
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}\r\n")
_LONGEST_CHUNK_SIZE = 18
_LENGTH = re.compile(rb"[0-9]{1,18}")


class StrictBuffer(ReceiveBuffer):
    """h11's buffer, asked for the lines of a head, of trailers and for the size of a chunk.

    It raises h11.LocalProtocolError, which h11 turns into what it raises for every other malformed request.
    """

    def __init__(self, connection: h11.Connection) -> None:
        super().__init__()
        self._connection = connection

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Extracts the lines up to the first empty one; None while that has not come."""
        if self._data[:2] == b"\r\n":
            self._extract(2)
            return []
        found = self._data.find(b"\r\n\r\n", self._multiple_lines_search)
        end = found if found >= 0 else len(self._data)
        if _BARE_LINE_FEED.search(self._data, self._multiple_lines_search, end):
            raise h11.LocalProtocolError("a line feed without a carriage return")
        if found < 0:
            self._multiple_lines_search = max(0, end - 3)
            return None
        lines = self._extract(end + 4)[:-4].split(b"\r\n")
        if any(line.startswith((b" ", b"\t")) for line in lines):
            raise h11.LocalProtocolError("a folded field")
        if self._connection.their_state is h11.IDLE:
            _check_head(lines)
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Extracts the size of a chunk; None while it has not come."""
        line = super().maybe_extract_next_line()
        if line is None and len(self._data) < _LONGEST_CHUNK_SIZE:
            return None
        if line is None or _CHUNK_SIZE.fullmatch(line) is None:
            raise h11.LocalProtocolError("a chunk's size and nothing else must stand before it")
        return line


def _check_head(lines: list[bytearray]) -> None:
    """Raises h11.LocalProtocolError. What h11 refuses itself is left to it."""
    request_line, *fields = lines
    if len(fields) > MOST_FIELDS:
        raise h11.LocalProtocolError("too many fields")
    end = _REQUEST_LINE_END.search(request_line)
    if end is None:
        raise h11.LocalProtocolError("the target must be a path, and the version 1.0 or 1.1")
    pairs = [
        (bytes(name).lower(), bytes(value).strip(b" \t")) for name, _, value in (f.partition(b":") for f in fields)
    ]
    counted = Counter(name for name, _ in pairs)
    if counted[b"content-length"] + counted[b"transfer-encoding"] > 1:
        raise h11.LocalProtocolError("more than one word about the length of the body")
    if counted[b"transfer-encoding"] and end.group(2) == b"0":
        raise h11.LocalProtocolError("HTTP/1.0 knows no Transfer-Encoding")
    if any(name == b"content-length" and _LENGTH.fullmatch(value) is None for name, value in pairs):
        raise h11.LocalProtocolError("a length that is no number")
