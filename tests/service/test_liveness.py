"""When a process counts as hanging: a decision about signs and seconds."""

from __future__ import annotations

import http.server
import os
import socket
import sys
import threading
import time

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from service.liveness import HealthProbe, Patience, Pulse
from service.supervisor import Child, StopOrder, wait_until_healthy
from storage.database import Database
from storage.settings import Settings
from worker.pulse import Pulse as WorkerPulse

BOUND_S = 120.0


def test_who_waits_for_a_locked_database_is_not_taken_for_hanging(settings: Settings) -> None:
    (least,) = [rule.ge for rule in Settings.model_fields["hang_timeout_s"].metadata if isinstance(rule, Ge)]
    assert isinstance(least, int)
    assert least > Database(settings).busy_timeout_s


@pytest.mark.slow
def test_an_api_that_never_answers_is_not_waited_for_for_ever() -> None:
    pulse = Pulse()
    child = Child(
        "API", [sys.executable, "-c", "import time; time.sleep(600)"], sign=pulse, longest_silence_s=BOUND_S, grace_s=1
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        child.start()
        try:
            assert not wait_until_healthy(listening, child, StopOrder(), Patience(0.01))
        finally:
            child.wait_or_kill(0.0)


def begin() -> Patience:
    patience = Patience(BOUND_S)
    patience.hear()
    return patience


def test_silence_of_the_whole_bound_is_too_long_and_a_sign_takes_it_all_back() -> None:
    patience = begin()
    for _ in range(1199):
        patience.wait(0.1)
    assert not patience.is_over
    patience.hear()
    for _ in range(1190):
        patience.wait(0.1)
    assert not patience.is_over
    for _ in range(20):
        patience.wait(0.1)
    assert patience.is_over


@given(gap_s=st.floats(0, 1e9), looks=st.integers(0, 119))
def test_time_in_which_nobody_listened_does_not_count(gap_s: float, looks: int) -> None:
    """The machine sleeps, or the listener is stopped, as often as you like: each time is one missed look."""
    patience = begin()
    for _ in range(looks):
        patience.wait(gap_s)
    assert not patience.is_over


@given(steps=st.lists(st.floats(-1e6, 0), max_size=50))
def test_a_clock_that_goes_back_ends_nobody(steps: list[float]) -> None:
    patience = begin()
    for step in steps:
        patience.wait(step)
    assert not patience.is_over


def test_the_first_sign_may_take_longer_but_not_for_ever() -> None:
    patience = Patience(BOUND_S)
    for _ in range(int(5 * BOUND_S)):
        patience.wait(1)
    assert not patience.is_over
    for _ in range(int(5 * BOUND_S)):
        patience.wait(1)
    assert patience.is_over


def test_a_worker_s_pulse_is_heard_and_a_pipe_that_nobody_empties_holds_it_up_for_no_moment() -> None:
    pulse = Pulse()
    worker = WorkerPulse(pulse.writer)
    assert not pulse.look(0)
    worker.beat()
    worker.beat()  # once a second at most
    assert pulse.look(0)
    assert not pulse.look(0)
    while True:
        try:
            os.write(pulse.writer, b"." * 4096)
        except BlockingIOError:
            break
    WorkerPulse(pulse.writer).beat()
    assert pulse.look(0)
    WorkerPulse(None).beat()


class _Refuses(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_any_answer_is_a_sign_and_none_is_none(host: str) -> None:
    class Server(http.server.HTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, 0), _Refuses)
    except OSError:
        pytest.skip("this machine has no such address")
    shown = f"[{host}]" if ":" in host else host
    probe = HealthProbe(f"http://{shown}:{server.server_address[1]}", 1e6)
    assert not any(probe.look(0.0) for _ in range(200))  # connected, and nobody accepts yet
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    deadline = time.monotonic() + 240
    while not probe.look(0.0):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.shutdown()
    thread.join()
    server.server_close()
    assert not any(probe.look(float(moment * 10**6)) for moment in range(1, 20))  # nobody listens any more
    probe.restart()
