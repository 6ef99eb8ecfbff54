"""What a proxy in front might read otherwise is refused, and what follows on the connection is never answered."""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import h11
import pytest

from service.framing import MOST_FIELDS, StrictBuffer
from tests.service.processes import CHECKOUT, PATIENCE_S, answers, find_free_port, wait_for

POST = b"POST /v1/jobs/train?validate_only=true HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: smuggled\r\n\r\n"

AMBIGUOUS = {
    "length and chunks": CHUNKED + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and length": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two other lengths": POST + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length of two words": POST + b"Content-Length: 2 2\r\n\r\n{}",
    "an empty length": POST + b"Content-Length:\r\n\r\n{}",
    "a length in other digits": POST + "Content-Length: ٢\r\n\r\n{}".encode(),
    "a folded field": GET + b"X: a\r\n b\r\n\r\n",
    "a folded encoding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a folded first field": b"GET /healthz HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n",
    "bare line feeds": GET.replace(b"\r\n", b"\n") + b"\n",
    "one bare line feed": GET + b"X: a\nY: b\r\n\r\n",
    "a bare line feed at the end": GET[:-2] + b"\n\r\n",
    "an end of a bare line feed": GET + b"\n",
    "a bare carriage return": GET + b"X: a\rY: b\r\n\r\n",
    "NUL": GET + b"X: a\0b\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "an encoding before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "another encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two encodings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two fields of encodings": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a quoted encoding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    "an encoding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"/1.1", b"/1.0") + b"\r\n2\r\n{}\r\n0\r\n\r\n",
    "an extended chunk": CHUNKED + b"\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
    "an extension with a line feed": CHUNKED + b"\r\n2;\nx\r\n{}\r\n0\r\n\r\n",
    "an extension with a carriage return": CHUNKED + b"\r\n2;a\rb\r\n{}\r\n0\r\n\r\n",
    "an extended end": CHUNKED + b"\r\n2\r\n{}\r\n0;a\r\n\r\n",
    "a chunk behind a space": CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n",
    "a chunk before a space": CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "a chunk with a sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk with a prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk of no number": CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKED + b"\r\n10000000000000002\r\n{}\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"\r\n2\r\n{}  \r\n0\r\n\r\n",
    "trailers with a line feed": CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: a\n\r\n",
    "folded trailers": CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: a\r\n b\r\n\r\n",
    "two hosts": GET + b"Host: elsewhere\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a whole address": b"GET http://elsewhere/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a target of another form": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no path": b"GET healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab": b"GET\t/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another version": b"GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a line before the request": b"\n" + GET + b"\r\n",
    "too many fields": GET + b"X: a\r\n" * MOST_FIELDS + b"\r\n",
}

PLAIN = {
    "length": POST + b"Content-Length:  2 \r\n\r\n{}",
    "chunks": CHUNKED + b"\r\n1\r\n{\r\n01\r\n}\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX: a\r\nY: b\r\n\r\n",
    "many fields": POST + b"X: a\r\n" * (MOST_FIELDS - 3) + b"Content-Length: 2\r\n\r\n{}",
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = find_free_port()
    environment = os.environ | {"TONOK_DATA_DIR": str(tmp_path_factory.mktemp("api")), "TONOK_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "service"], cwd=CHECKOUT, env=environment)
    wait_for(lambda: answers(port, "/healthz"))
    yield port
    process.terminate()
    process.wait(timeout=PATIENCE_S)


def send(port: int, *parts: bytes) -> bytes:
    """Everything that the server answers until it closes its side."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        for part in parts:
            connection.sendall(part)
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.slow
@pytest.mark.parametrize("sent", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(sent: bytes, port: int) -> None:
    answer = send(port, sent + SMUGGLED)
    head, _, body = answer.partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    headers = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
    assert status_line.startswith(b"HTTP/1.1 400 ")
    assert headers["Connection"] == "close"
    assert json.loads(body)["code"] == "malformed_request"
    assert b"smuggled" not in answer


@pytest.mark.parametrize("sent", PLAIN.values(), ids=PLAIN.keys())
def test_what_can_be_read_in_one_way_is_taken_and_so_is_what_follows(sent: bytes, port: int) -> None:
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = send(port, sent, last)
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert b"x-request-id: smuggled" in answer


@pytest.mark.parametrize("name", ["chunks", "trailers", "length"])
def test_it_does_not_matter_how_the_bytes_are_cut(name: str) -> None:
    def read(parts: list[bytes]) -> list[object]:
        connection = h11.Connection(h11.SERVER)
        connection._receive_buffer = StrictBuffer(connection)
        events: list[object] = []
        for part in parts:
            connection.receive_data(part)
            while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                events.append(bytes(event.data) if isinstance(event, h11.Data) else type(event))
        return [event for event in events if not isinstance(event, bytes)] + [
            b"".join(event for event in events if isinstance(event, bytes))
        ]

    whole = PLAIN[name]
    assert read([whole]) == read([whole[place : place + 1] for place in range(len(whole))])
