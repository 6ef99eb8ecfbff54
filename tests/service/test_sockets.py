"""What comes and goes over real sockets: requests that are none, that are refused early, that stay open."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.service.model_files import frame
from tests.service.processes import CHECKOUT, PATIENCE_S, answers, find_free_port, wait_for


@pytest.fixture(scope="module")
def api_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an API that the whole module shares."""
    port = find_free_port()
    environment = os.environ | {
        "TONOK_DATA_DIR": str(tmp_path_factory.mktemp("api")),
        "TONOK_PORT": str(port),
        "TONOK_MAX_UPLOAD_BYTES": str(1024**2),
        "TONOK_MAX_OPEN_STREAMS": "2",
        "TONOK_MAX_OPEN_UPLOADS": "2",
    }
    process = subprocess.Popen([sys.executable, "-m", "service"], cwd=CHECKOUT, env=environment)
    wait_for(lambda: answers(port, "/healthz"))
    yield port
    process.terminate()
    process.wait(timeout=PATIENCE_S)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"POST /v1/jobs/train HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000_000 + b"\r\n\r\n",
    ],
    ids=["TLS", "bytes in the path", "NUL in a header", "length", "header"],
)
def test_what_is_not_http_is_a_problem_too(sent: bytes, api_port: int) -> None:
    with socket.create_connection(("127.0.0.1", api_port), timeout=PATIENCE_S) as connection:
        connection.sendall(sent)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")
            assert json.loads(answer.read())["code"] == "malformed_request"


JSON = b"Content-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "code"),
    [
        (b"POST /v1/jobs/train", JSON + b"Authorization: Bearer wrong\r\n", 401, "invalid_key"),
        (b"POST /v1/nowhere", JSON, 404, "not_found"),
        (b"PUT /v1/jobs/train", JSON, 405, "method_not_allowed"),
        (b"POST /v1/jobs/train", JSON, 413, "body_too_large"),
        (b"POST /v1/models", b"Content-Type: application/octet-stream\r\n", 413, "body_too_large"),
        (b"POST /v1/models", b"Content-Type: application/x-pickle\r\n", 415, "unsupported_media_type"),
        (b"POST /v1/models?nmae=mine", b"Content-Type: application/octet-stream\r\n", 422, "unknown_parameter"),
    ],
)
@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_who_sends_a_large_body_in_one_go_reads_why_it_was_refused(
    request_line: bytes, headers: bytes, status: int, code: str, framing: str, api_port: int
) -> None:
    # More than the buffers of both sockets hold: it cannot be sent unless somebody takes it.
    body = bytes(24 * 1024**2)
    declared = b"Content-Length: %d" % len(body) if framing == "length" else b"Transfer-Encoding: chunked"
    parts = [body] if framing == "length" else [b"%x\r\n" % len(body), body, b"\r\n0\r\n\r\n"]
    head = request_line + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers + declared + b"\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api_port), timeout=PATIENCE_S) as connection:
        for part in (head, *parts):
            connection.sendall(part)
        with http.client.HTTPResponse(connection) as answer:
            answer.begin()
            problem = json.loads(answer.read())
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status, problem["status"], problem["code"]) == (status, status, code)


def test_who_asks_before_sending_is_told_not_to(api_port: int) -> None:
    with socket.create_connection(("127.0.0.1", api_port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            b"POST /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
            b"Content-Length: 1000000\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"100 Continue" not in answer


def open_request(port: int, head: bytes) -> socket.socket:
    """A connection on which a request has begun."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    connection.sendall(head.replace(b"\n", b"\r\n"))
    return connection


def read_problem(connection: socket.socket) -> tuple[int, str]:
    with connection, http.client.HTTPResponse(connection) as answer:
        answer.begin()
        content = json.loads(answer.read())
        return answer.status, content.get("code", content.get("status"))


def test_who_has_too_many_streams_open_is_told_so_until_one_ends(api_port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{api_port}/v1/jobs/train", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        links = json.load(answer)["links"]
    head = f"GET {links['stream']} HTTP/1.1\nHost: localhost\n\n".encode()
    poll = f"GET {links['self']}?wait_s=30 HTTP/1.1\nHost: localhost\n\n".encode()
    with open_request(api_port, head) as first, open_request(api_port, head) as second:
        for stream in (first, second):
            assert stream.recv(15) == b"HTTP/1.1 200 OK"
        for one_more in (head, poll):
            assert read_problem(open_request(api_port, one_more)) == (429, "too_many_streams")
        first.close()

        def is_let_in() -> bool:
            with open_request(api_port, head) as again:
                return again.recv(15) == b"HTTP/1.1 200 OK"

        wait_for(is_let_in)


def test_who_sends_too_many_files_at_a_time_is_told_so_until_one_ends(api_port: int) -> None:
    model = frame(b"m")
    assert len(model) == 8
    head = (
        b"POST /v1/models HTTP/1.1\nHost: localhost\nConnection: close\n"
        b"Content-Type: application/octet-stream\nContent-Length: 8\n\n"
    )

    def send_at_once() -> tuple[int, str]:
        connection = open_request(api_port, head)
        connection.sendall(model)
        return read_problem(connection)

    asks = head.removesuffix(b"\n") + b"Expect: 100-continue\n\n"
    with open_request(api_port, asks) as first, open_request(api_port, asks) as second:
        for connection in (first, second):
            # Asked for its body, so it is counted: else the next one could come before it.
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(model[:4])
        wait_for(lambda: send_at_once() == (429, "too_many_uploads"))
        # The others are not worse off for it, and what has ended makes room.
        first.sendall(model[4:])
        assert read_problem(first) == (202, "queued")
        second.close()
        assert send_at_once() == (202, "queued")
