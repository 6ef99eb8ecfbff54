"""`python -m service` and its supervisor as real processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.service.processes import CHECKOUT, PATIENCE_S, answers, find_free_port, wait_for

STOP_S = 90.0
"""That a process has for its end: far more than the grace it gives others, on however busy a machine."""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def list_children(pid: int) -> dict[str, int]:
    """Module (`service` or `worker`) → pid of the processes that `pid` has started."""
    children = {}
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone in between
            command = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            if len(command) > 2:  # a process that has just died, or is just being born, has none
                children[command[2].decode()] = int(number)
    return children


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "TONOK_DATA_DIR": str(tmp_path / "data"),
        "TONOK_PORT": str(find_free_port()),
        "TONOK_CANCEL_GRACE_S": "1",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start_process(module: str, output: IO[str] | int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=CHECKOUT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_process
    for process in started:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        finally:
            process.kill()


def run(module: str, environment: dict[str, str], **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module],
        cwd=CHECKOUT,
        env=environment | changes,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("module", ["service", "service.supervisor"])
def test_a_port_in_use_is_one_clear_line(module: str, environment: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(environment["TONOK_PORT"])))
        taken.listen()
        ended = run(module, environment)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"port {environment['TONOK_PORT']} of 127.0.0.1 is in use" in ended.stderr
    assert "TONOK_PORT" in ended.stderr
    assert not Path(environment["TONOK_DATA_DIR"]).exists()


@pytest.mark.slow
@pytest.mark.parametrize("module", ["service", "service.supervisor"])
def test_it_does_not_let_other_machines_in_unasked(module: str, environment: dict[str, str]) -> None:
    ended = run(module, environment, TONOK_HOST="0.0.0.0")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "python -m service.keys create" in ended.stderr


MODULES = ["service", "service.supervisor", "worker"]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_data_directory_that_cannot_be_made_is_one_clear_line(module: str, environment: dict[str, str]) -> None:
    # No folder can be made in /proc, whoever one is.
    ended = run(module, environment, TONOK_DATA_DIR="/proc/nowhere")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "TONOK_DATA_DIR" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_file_that_is_no_database_is_one_clear_line_and_left_as_it_is(
    module: str, environment: dict[str, str]
) -> None:
    database = Path(environment["TONOK_DATA_DIR"]) / "tonok.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.write_bytes(b"my diary\n" * 1000)
    ended = run(module, environment)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert str(database) in ended.stderr
    assert database.read_bytes() == b"my diary\n" * 1000


@pytest.mark.slow
def test_with_a_key_it_lets_in_whoever_shows_it_until_it_is_revoked(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    def keys(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.keys", *arguments]
        return subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)

    def ask(key: str) -> int:
        request = urllib.request.Request(
            f"http://127.0.0.1:{environment['TONOK_PORT']}/v1/jobs", headers={"Authorization": f"Bearer {key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    assert keys("create", "--owner", "Not A Name").returncode == 2
    made = keys("create", "--owner", "alice")
    key = made.stdout.strip()
    assert re.fullmatch(r"tonok_[A-Za-z0-9_-]{43}", key), made.stderr
    key_id = made.stderr.split()[0]
    listed = keys("list").stdout
    assert f"{key_id}  alice" in listed
    assert key not in listed + made.stderr

    environment |= {"TONOK_HOST": "0.0.0.0", "TONOK_LOG_FORMAT": "json"}
    service = start("service")
    wait_for(lambda: answers(int(environment["TONOK_PORT"]), "/healthz"))
    assert (ask(key), ask(key[:-1] + "!")) == (200, 401)
    assert keys("revoke", key_id).returncode == 0
    assert ask(key) == 401
    again = keys("revoke", key_id)
    assert (again.returncode, again.stderr) == (1, "tonok: there is no key in force with this id\n")
    service.terminate()
    assert service.stdout is not None
    log = [json.loads(line) for line in service.stdout.read().splitlines()[1:]]
    refused = [line for line in log if "is refused: invalid_key" in line["message"]]
    assert len(refused) == 2
    assert all(line["request_id"] for line in refused)
    assert key not in json.dumps(log)


@pytest.mark.slow
def test_wrong_settings_are_named_each_on_its_line(environment: dict[str, str]) -> None:
    ended = run("service", environment, TONOK_PORT="many", TONOK_SLOTS="0")
    assert ended.returncode == 2
    assert [line.split(":")[0] for line in ended.stderr.splitlines()] == ["TONOK_PORT", "TONOK_SLOTS"]
    assert "many" not in ended.stderr


@pytest.mark.slow
def test_the_api_stops_within_seconds_although_a_client_follows_a_stream(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    port = int(environment["TONOK_PORT"])
    api = start("service")
    wait_for(lambda: answers(port, "/healthz"))
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/jobs/train", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        stream = json.load(answer)["links"]["stream"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{stream}") as following:
        assert following.readline() == b"event: queued\n"
        api.send_signal(signal.SIGTERM)
        assert api.wait(timeout=PATIENCE_S) in (0, -signal.SIGTERM)
    assert api.stdout is not None
    log = api.stdout.read()
    assert "GET /v1/jobs/{job_id}/stream is cut off" in log
    assert "Traceback" not in log  # one for each stream hid whatever else there was


@pytest.mark.slow
def test_who_waits_when_the_api_stops_is_told_so(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    port = int(environment["TONOK_PORT"])
    api = start("service")
    wait_for(lambda: answers(port, "/healthz"))
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/jobs/train", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        job = json.load(answer)["links"]["self"]
    waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    waiting.request("GET", f"{job}?wait_s=30")
    for _ in range(3):  # who came later is answered: the one before is being served by now
        assert answers(port, "/healthz")
    api.send_signal(signal.SIGTERM)
    told = waiting.getresponse()
    assert (told.status, told.headers["content-type"]) == (503, "application/problem+json")
    assert (told.headers["connection"], told.headers["retry-after"]) == ("close", "2")
    assert json.load(told)["code"] == "stopping"
    waiting.close()
    log, _ = api.communicate(timeout=PATIENCE_S)
    assert "Traceback" not in log


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")
def test_more_connections_than_there_are_files_for_are_told_so_and_harm_nobody(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    port = int(environment["TONOK_PORT"])
    api = start("service")
    wait_for(lambda: answers(port, "/healthz"))
    resource.prlimit(api.pid, resource.RLIMIT_NOFILE, (300, 300))
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            return stack.enter_context(connection)

        early = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        early.connect()
        for _ in range(300):
            connect()
        with http.client.HTTPResponse(connect()) as refused:
            refused.begin()
            assert (refused.status, json.load(refused)["code"]) == (503, "too_many_connections")
        early.request("GET", "/readyz")  # reads the database
        assert early.getresponse().status in (200, 503)
        early.close()
    wait_for(lambda: answers(port, "/healthz"))
    api.terminate()
    log, _ = api.communicate(timeout=PATIENCE_S)
    assert "Too many open files" not in log


@pytest.mark.slow
def test_the_supervisor_restarts_what_dies_and_leaves_nothing_behind(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    port = int(environment["TONOK_PORT"])
    log = tmp_path / "supervisor.log"
    with log.open("w") as output:
        supervisor = start("service.supervisor", output)
    wait_for(lambda: f"http://127.0.0.1:{port}/docs" in log.read_text())
    wait_for(lambda: answers(port, "/readyz"))
    before = list_children(supervisor.pid)
    assert before.keys() == {"service", "worker"}

    for module in ("worker", "service"):
        os.kill(before[module], signal.SIGKILL)
        wait_for(lambda module=module: list_children(supervisor.pid).get(module) not in (None, before[module]))  # type: ignore[misc]
    wait_for(lambda: answers(port, "/readyz"))
    after = list_children(supervisor.pid)

    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(timeout=STOP_S) == 0, log.read_text()
    assert [pid for pid in after.values() if is_running(pid)] == []
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.slow
@pytest.mark.parametrize("module", ["service", "worker"])
def test_the_supervisor_ends_what_hangs_and_starts_it_again(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str], tmp_path: Path, module: str
) -> None:
    port = int(environment["TONOK_PORT"])
    environment["TONOK_HANG_TIMEOUT_S"] = "20"
    log = tmp_path / "supervisor.log"
    with log.open("w") as output:
        supervisor = start("service.supervisor", output)
    wait_for(lambda: answers(port, "/readyz"))
    frozen = list_children(supervisor.pid)[module]
    os.kill(frozen, signal.SIGSTOP)
    wait_for(lambda: list_children(supervisor.pid).get(module) not in (None, frozen))
    assert not is_running(frozen)
    wait_for(lambda: answers(port, "/readyz"))
    assert "gives no sign of life" in log.read_text()


@pytest.mark.slow
def test_a_supervisor_that_was_frozen_itself_ends_nobody(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    """As when the machine sleeps: all are stopped, for longer than anybody may be silent, and go on together."""
    port = int(environment["TONOK_PORT"])
    environment["TONOK_HANG_TIMEOUT_S"] = "30"
    with (tmp_path / "supervisor.log").open("w") as output:
        supervisor = start("service.supervisor", output)
    wait_for(lambda: answers(port, "/readyz"))
    before = list_children(supervisor.pid)
    for pid in (supervisor.pid, *before.values()):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(35)
    for pid in (*before.values(), supervisor.pid):
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: answers(port, "/readyz"))
    time.sleep(3)
    assert list_children(supervisor.pid) == before


@pytest.mark.slow
def test_the_supervisor_stops_however_often_it_is_told_to(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    supervisor = start("service.supervisor")
    wait_for(lambda: answers(int(environment["TONOK_PORT"]), "/readyz"))
    deadline = time.monotonic() + STOP_S
    while supervisor.poll() is None and time.monotonic() < deadline:  # some come while another is being handled
        supervisor.send_signal(signal.SIGINT)
        supervisor.send_signal(signal.SIGTERM)
    log, _ = supervisor.communicate(timeout=STOP_S)
    assert supervisor.returncode == 0, log


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_supervisor_leaves_no_orphan(
    start: Callable[..., subprocess.Popen[str]], environment: dict[str, str]
) -> None:
    supervisor = start("service.supervisor")
    wait_for(lambda: answers(int(environment["TONOK_PORT"]), "/readyz"))
    children = list_children(supervisor.pid)
    supervisor.kill()
    supervisor.wait()
    wait_for(lambda: not any(is_running(pid) for pid in children.values()))
