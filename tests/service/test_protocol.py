"""Connections and their ends: a real server whose patience is short, and real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.protocol import ProblemProtocol
from storage.logs import TextFormatter
from storage.settings import Settings
from tests.service.processes import PATIENCE_S, answers, wait_for

_HEAD_S = 1.0


class _Impatient(ProblemProtocol):
    max_head_s = _HEAD_S


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[uvicorn.Server, int]]:
    """A server in a thread of this process, and its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("api"), port=port))
    config = uvicorn.Config(app, http=_Impatient, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(running.serve(sockets=[listening]),))
    thread.start()
    wait_for(lambda: answers(port, "/healthz"))
    yield running, port
    running.should_exit = True
    thread.join(PATIENCE_S)


@pytest.fixture
def port(server: tuple[uvicorn.Server, int]) -> int:
    return server[1]


def _connect(port: int, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    connection.sendall(sent.replace(b"\n", b"\r\n"))
    return connection


def _read_to_the_end(connection: socket.socket) -> bytes:
    """Everything until the server closes; a reset is an end too."""
    received = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\nHost: localhost\nX: 1\n"])
def test_who_never_says_what_it_wants_is_dropped(sent: bytes, port: int) -> None:
    with _connect(port, sent) as connection:
        started = time.monotonic()
        assert _read_to_the_end(connection) == b""
        assert time.monotonic() - started > _HEAD_S / 2


def test_who_never_finishes_a_second_request_is_dropped_too(port: int) -> None:
    with _connect(port, b"GET /healthz HTTP/1.1\nHost: localhost\n\nGET /heal") as connection:
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 200 ")


def test_a_request_may_take_longer_than_its_head(port: int) -> None:
    head = b"POST /v1/jobs/train HTTP/1.1\nHost: localhost\nContent-Type: application/json\nConnection: close\n"
    with _connect(port, head + b"Content-Length: 2\n\n{") as connection:
        time.sleep(1.5 * _HEAD_S)
        connection.sendall(b"}")
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    ("framing", "first", "more"),
    [(b"Content-Length: 1000", b"", b""), (b"Transfer-Encoding: chunked", b"1\n.\n", b"1\r\n.\r\n")],
    ids=["silence", "drops"],
)
def test_a_kept_connection_whose_body_never_ends_is_dropped(
    framing: bytes, first: bytes, more: bytes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.lingering.MAX_SECONDS", 2.0)
    before = _sum_up(port, "sum", status="404")
    head = b"POST /v1/nowhere HTTP/1.1\nHost: localhost\n" + framing + b"\n\n"
    is_over = threading.Event()
    with _connect(port, head + first) as connection:

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not is_over.wait(0.3):
                    connection.sendall(more)

        dripping = threading.Thread(target=drip)
        dripping.start()
        answer = _read_to_the_end(connection)
        is_over.set()
        dripping.join()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b'"code": "not_found"' in answer
    # How long the client was borne with is no part of the time that it took to answer.
    assert _sum_up(port, "sum", status="404") - before < 2.0


def test_a_refusal_of_what_is_no_http_has_an_id_of_its_own(port: int) -> None:
    with _connect(
        port, b"GET /healthz HTTP/1.1\nHost: localhost\nX-Request-ID: the-first\n\nnonsense\n\n"
    ) as connection:
        first, _, second = _read_to_the_end(connection).partition(b"HTTP/1.1 400 ")
    assert b"x-request-id: the-first" in first
    head, _, body = second.partition(b"\r\n\r\n")
    headers = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2] + b"\r\n\r\n"))
    request_id = json.loads(body)["request_id"]
    assert request_id == headers["X-Request-ID"]
    assert request_id != "the-first"
    for name in ("X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"):
        assert name in headers


def test_what_is_logged_of_a_second_request_does_not_name_the_first(port: int) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(TextFormatter())
    log = logging.getLogger("uvicorn.error")
    log.addHandler(handler)
    try:
        with _connect(
            port, b"GET /healthz HTTP/1.1\nHost: localhost\nX-Request-ID: the-first\n\nnonsense\n\n"
        ) as connection:
            _read_to_the_end(connection)
    finally:
        log.removeHandler(handler)
    assert "Invalid HTTP request" in written.getvalue()
    assert "the-first" not in written.getvalue()


def test_who_hangs_up_in_the_middle_of_its_body_is_no_fault_of_ours(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /v1/jobs/train HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 9\n\n{"
    with _connect(port, head):
        pass
    wait_for(lambda: _sum_up(port, "count", route="/v1/jobs/train", status="499") == 1)
    assert _sum_up(port, "count", route="/v1/jobs/train", status="500") == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_only_who_waits_to_be_asked_for_its_body_is_not_waited_for(port: int) -> None:
    body = bytes(24 * 1024**2)
    head = (
        b"POST /v1/nowhere HTTP/1.1\nHost: localhost\nConnection: close\nExpect: nonsense\nContent-Length: %d\n\n"
        % len(body)
    )
    with _connect(port, head) as connection:
        connection.sendall(body)
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 404 ")


def _sum_up(port: int, what: str, **labels: str) -> float:
    """What the API has counted, or timed (`sum`, in seconds), of the requests with these labels."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"tonok_http_request_duration_seconds_{what}" and labels.items() <= sample.labels.items()
    )
