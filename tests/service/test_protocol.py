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
from tests.service.model_files import frame
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


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\nHost: localhost\nX: 1\n"])
def test_who_never_says_what_it_wants_is_dropped(sent: bytes, port: int) -> None:
    with _connect(port, sent) as connection:
        started = time.monotonic()
        assert _read_to_the_end(connection) == b""
        assert time.monotonic() - started > _HEAD_S / 2


@pytest.mark.slow
def test_who_never_finishes_a_second_request_is_dropped_too(port: int) -> None:
    with _connect(port, b"GET /healthz HTTP/1.1\nHost: localhost\n\nGET /heal") as connection:
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_a_request_may_take_longer_than_its_head(port: int) -> None:
    head = b"POST /v1/jobs/train HTTP/1.1\nHost: localhost\nContent-Type: application/json\nConnection: close\n"
    with _connect(port, head + b"Content-Length: 2\n\n{") as connection:
        time.sleep(1.5 * _HEAD_S)
        connection.sendall(b"}")
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 202 ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framing", "first", "more"),
    [(b"Content-Length: 1000", b"", b""), (b"Transfer-Encoding: chunked", b"1\n.\n", b"1\r\n.\r\n")],
    ids=["silence", "drops"],
)
def test_a_kept_connection_whose_body_never_ends_is_dropped(
    framing: bytes, first: bytes, more: bytes, port: int
) -> None:
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


def test_who_piles_up_requests_behind_one_that_waits_is_dropped(port: int) -> None:
    job = _submit(port)
    with _connect(port, f"GET {job}?wait_s=30 HTTP/1.1\nHost: localhost\n\n".encode()) as connection:

        def pile_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(bytes(65536))

        piling = threading.Thread(target=pile_up)
        piling.start()
        # The poll would be answered after its 30 s: memory grew by a megabyte a second until then.
        assert _read_to_the_end(connection) == b""
        piling.join()


@pytest.mark.slow
def test_a_line_end_behind_the_last_request_does_not_cost_its_answer(port: int) -> None:
    job = _submit(port)
    poll = f"GET {job}?wait_s=3 HTTP/1.1\nHost: localhost\nConnection: close\n\n".encode()
    with _connect(port, poll) as connection:
        time.sleep(0.1)
        connection.sendall(b"\r\n")
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_a_body_that_is_no_http_is_told_once_and_nothing_is_done(
    method: str, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    job = _submit(port)
    assert _ask(port, "POST", f"{job}/cancel")[0] == 200
    head = f"{method} {job} HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\nno length\n".encode()
    with _connect(port, head) as connection:
        answer = _read_to_the_end(connection)
        wait_for(lambda: _sum_up(port, "count", method=method, route="/v1/jobs/{job_id}", status="499") > 0)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"\r\n\r\n") == 1
    assert _ask(port, "GET", job)[0] == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", ["{job}/stream", "{job}?wait_s=30", "{job}/events"])
def test_a_body_that_nobody_wants_is_not_read_for_ever(path: str, port: int) -> None:
    head = f"GET {path.format(job=_submit(port))} HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n".encode()
    with _connect(port, head) as connection:

        def send() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")

        sending = threading.Thread(target=send)
        sending.start()
        answer = _read_to_the_end(connection)
        sending.join()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer
    assert b"for which this path has no use" in answer


def test_a_small_body_that_nobody_wants_is_borne(port: int) -> None:
    job = _submit(port)
    assert _ask(port, "GET", job, b"{}")[0] == 200
    assert _ask(port, "POST", f"{job}/cancel", b"{}")[0] == 200
    assert _ask(port, "GET", f"{job}/stream", bytes(100_000))[0] == 413


@pytest.mark.slow
@pytest.mark.parametrize("connection_header", [b"", b"Connection: close\n"], ids=["kept", "closed"])
def test_who_goes_on_sending_behind_its_refusal_is_dropped(connection_header: bytes, port: int) -> None:
    head = b"POST /v1/nowhere HTTP/1.1\nHost: localhost\n" + connection_header + b"Transfer-Encoding: chunked\n\n"
    with _connect(port, head) as connection:

        def send() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")

        sending = threading.Thread(target=send)
        sending.start()
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 404 ")
        # Closed and not only half of it: else the sender would go on and on.
        sending.join(PATIENCE_S)
        assert not sending.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v1/nowhere HTTP/1.1\nHost: localhost\nConnection: close\nContent-Length: 1000\n\n.", b"404"),
        (
            (
                b"POST /v1/jobs/train HTTP/1.1\nHost: localhost\nContent-Type: application/json\n"
                b"Transfer-Encoding: chunked\n\nno length\n"
            ),
            b"400",
        ),
        (
            (
                b"POST /v1/jobs/train HTTP/1.1\nHost: localhost\nContent-Type: text/plain\nContent-Length: 100\n"
                b"Expect: 100-continue\n\n"
            ),
            b"415",
        ),
    ],
    ids=["half a body", "no HTTP", "asks first"],
)
def test_who_stops_sending_behind_its_refusal_is_dropped_too(
    head: bytes, status: bytes, port: int, server: tuple[uvicorn.Server, int]
) -> None:
    with _connect(port, head) as connection:
        assert _read_to_the_end(connection).startswith(b"HTTP/1.1 " + status)
        address = connection.getsockname()
        wait_for(
            lambda: all(
                getattr(open_one, "client", None) != address for open_one in list(server[0].server_state.connections)
            )
        )


@pytest.mark.slow
def test_json_that_comes_bit_by_bit_has_its_time_and_a_file_has_as_long_as_it_comes(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bodies.MAX_JSON_S", 0.8)
    head = b"POST %s HTTP/1.1\nHost: localhost\nContent-Type: %s\nContent-Length: %d\n\n"
    with (
        _connect(port, head % (b"/v1/jobs/train", b"application/json", 1000)) as json_comes,
        _connect(port, head % (b"/v1/models", b"application/octet-stream", 11)) as file_comes,
    ):
        model = frame(b"....")
        with contextlib.suppress(OSError):
            for place in range(10):
                file_comes.sendall(model[place : place + 1])
                json_comes.sendall(b" ")
                time.sleep(0.12)
        answer = _read_to_the_end(json_comes)
        file_comes.sendall(model[place + 1 :])
        assert file_comes.recv(65536).startswith(b"HTTP/1.1 202 ")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert b"The body did not end within 0.8 seconds." in answer


def _ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and content."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
    answer = connection.getresponse()
    with contextlib.closing(connection):
        return answer.status, answer.read()


def _submit(port: int) -> str:
    """Path of a new job."""
    path: str = json.loads(_ask(port, "POST", "/v1/jobs/train", b"{}")[1])["links"]["self"]
    return path


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
