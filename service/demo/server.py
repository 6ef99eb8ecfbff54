"""A service of the demo's own: started on a free port, stopped whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from service.supervisor import die_with_parent
from storage.settings import Settings
from tonok.client import Client
from tonok.connection import Connection
from tonok.errors import TonokError

CHECKOUT = Path(__file__).resolve().parents[2]
NEIGHBOUR = CHECKOUT.parent / "shared" / "data" / "fashion-mnist"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


class ServiceFailed(Exception):
    """The service did not come up, or went away. The text holds the end of its log."""


def stop_on_sigterm() -> None:
    """SIGTERM ends the program like Ctrl-C, so that it leaves no process behind."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


@dataclass(frozen=True)
class RunningService:
    """A service that answers. log: what the API and the worker write."""

    client: Client
    log: Path


def build_environment(settings: Settings, data_dir: Path, port: int) -> Mapping[str, str]:
    """The environment of the demo's service: embedded defaults, and a mirror of FashionMNIST where one is known."""
    environment = {name: value for name, value in os.environ.items() if name != "TONOK_DATABASE_URL"}
    environment |= {
        "TONOK_HOST": "127.0.0.1",
        "TONOK_REQUIRE_KEY": "false",
        "TONOK_PORT": str(port),
        "TONOK_DATA_DIR": str(data_dir),
        # That of `make serve`: what was fetched once need not be fetched again.
        "TONOK_DATASET_DIR": str(settings.resolved_dataset_dir),
    }
    if settings.dataset_mirror is None and NEIGHBOUR.is_dir():
        environment["TONOK_DATASET_MIRROR"] = str(NEIGHBOUR)
    return environment


def find_free_port() -> int:
    """A port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_service(settings: Settings, data_dir: Path) -> Iterator[RunningService]:
    """API and worker under their supervisor, ready to take jobs; stopped at the end. Raises ServiceFailed."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "service.log"
    port = find_free_port()
    with log.open("wb") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "service.supervisor"],
            cwd=CHECKOUT,
            env=build_environment(settings, data_dir, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C reaches the demo alone, which then stops the service in order.
            start_new_session=True,
            # And where the demo is killed outright, nothing of it goes on.
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, supervisor, log)
            yield RunningService(Client(Connection(url)), log)
        finally:
            _stop(supervisor)


def _wait_until_ready(url: str, supervisor: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            raise ServiceFailed(f"the service ended with status {supervisor.returncode}\n{read_tail(log)}")
        try:
            Connection(url, tries=1).get("/readyz")
        except TonokError:
            time.sleep(0.1)
        else:
            return
    raise ServiceFailed(f"the service was not ready within {START_TIMEOUT_S:.0f} s\n{read_tail(log)}")


def _stop(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.terminate()
    try:
        supervisor.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()


def read_tail(file: Path, lines: int = 20) -> str:
    """The last lines of a text file, indented."""
    text = file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text)
