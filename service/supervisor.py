"""`python -m service.supervisor`: the API and a worker, kept alive and at work, and stopped together.

The listening socket belongs to the supervisor: a port in use is known before anything starts, and while a dead
API is started again its clients wait in the queue of the socket instead of being refused.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from service.listen import format_url, open_socket
from service.liveness import HealthProbe, Patience, Pulse, Sign
from storage.settings import load_settings
from storage.startup import check_data

_POLL_S = 0.1
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_HEALTHY_S = 60.0
_STOP_MARGIN_S = 10.0
_PR_SET_PDEATHSIG = 1


class Child:
    """A process that is started again, later and later, whenever it ends; and ended where it gives no sign of life.

    sign: where those come in. longest_silence_s: how long there may be none. grace_s: how long it then has to end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        pass_fds: Sequence[int] = (),
        *,
        sign: Sign,
        longest_silence_s: float,
        grace_s: float,
    ) -> None:
        self.name = name
        self._command = command
        self._pass_fds = pass_fds
        self._sign = sign
        self._longest_silence_s = longest_silence_s
        self._grace_s = grace_s
        self._patience = Patience(longest_silence_s)
        self._looked_at = 0.0
        self._kill_at: float | None = None
        """When it is killed, once it has been told to end because it hung."""
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_again_at = 0.0
        self._delay_s = _FIRST_DELAY_S

    def start(self) -> None:
        """Starts the process in a session of its own: a Ctrl-C in the terminal comes to the supervisor alone."""
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own modules
            self._command,
            pass_fds=self._pass_fds,
            start_new_session=True,
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - this process has one thread
        )
        self._started_at = self._looked_at = time.monotonic()
        self._patience = Patience(self._longest_silence_s)
        self._kill_at = None
        self._sign.restart()

    def keep_alive(self) -> None:
        """To be called again and again: starts the process anew when its time has come, and ends one that hangs."""
        if self._process is None:
            if time.monotonic() >= self._start_again_at:
                self.start()
            return
        code = self._process.poll()
        if code is None:
            self._watch(time.monotonic())
            return
        # One that hangs has lived for long, and may do so every time.
        if self._kill_at is None and time.monotonic() - self._started_at > _HEALTHY_S:
            self._delay_s = _FIRST_DELAY_S
        print(f"tonok: the {self.name} ended ({describe_exit(code)}); again in {self._delay_s:g} s", file=sys.stderr)
        self._process = None
        self._start_again_at = time.monotonic() + self._delay_s
        self._delay_s = min(self._delay_s * 2, _LONGEST_DELAY_S)

    def _watch(self, now: float) -> None:
        elapsed, self._looked_at = now - self._looked_at, now
        if self._kill_at is not None:
            if now >= self._kill_at:
                self._kill_group()
            return
        if self._sign.look(now):
            self._patience.hear()
        else:
            self._patience.wait(elapsed)
        if self._patience.is_over:
            print(f"tonok: the {self.name} gives no sign of life (TONOK_HANG_TIMEOUT_S); ending it", file=sys.stderr)
            self._kill_at = now + self._grace_s
            self.ask_to_stop()

    def has_ended(self) -> bool:
        """Whether the process has ended and was not started again yet."""
        return self._process is None or self._process.poll() is not None

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def wait_or_kill(self, deadline: float) -> None:
        """Waits until the monotonic `deadline`, then kills what is left of the process' group."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self._kill_group()
        self._process.wait()

    def _kill_group(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def describe_exit(code: int) -> str:
    """An exit code of `subprocess` in words."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class StopOrder:
    """Set by a signal, watched by the thread that the signal interrupts.

    A `threading.Event` would not do: its lock may be held by that very thread when the signal comes, for ever.
    """

    def __init__(self) -> None:
        self._is_given = False

    def give(self, *_: object) -> None:
        """A signal handler."""
        self._is_given = True

    def __bool__(self) -> bool:
        return self._is_given


def supervise(children: Sequence[Child], stop: StopOrder, grace_s: float) -> None:
    """Keeps the started children alive until `stop` is given, then ends them all within about `grace_s` seconds."""
    try:
        while not stop:
            for child in children:
                child.keep_alive()
            time.sleep(_POLL_S)
    finally:
        for child in children:
            child.ask_to_stop()
        deadline = time.monotonic() + grace_s
        for child in children:
            child.wait_or_kill(deadline)


def main() -> int:
    """Runs until SIGINT or SIGTERM; the exit code is 1 where the API could not start."""
    settings = load_settings()
    listening = open_socket(settings)
    check_data(settings)
    stop = StopOrder()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.give)
    descriptor = listening.fileno()
    grace_s = settings.cancel_grace_s + _STOP_MARGIN_S
    silence_s = settings.hang_timeout_s
    api = Child(
        "API",
        [sys.executable, "-m", "service", "--fd", str(descriptor)],
        [descriptor],
        sign=HealthProbe(format_url(listening), silence_s),
        longest_silence_s=silence_s,
        grace_s=min(grace_s, silence_s),
    )
    pulse = Pulse()
    worker = Child(
        "worker",
        [sys.executable, "-m", "worker", "--pulse-fd", str(pulse.writer)],
        [pulse.writer],
        sign=pulse,
        longest_silence_s=silence_s,
        grace_s=min(grace_s, silence_s),
    )
    children = [api]
    api.start()
    healthy = wait_until_healthy(listening, api, stop, Patience(silence_s))
    failed = not healthy and not stop
    if healthy and not stop:
        worker.start()
        children.append(worker)
        url = format_url(listening)
        print(
            f"Tonok is up. Dashboard: {url}/   Swagger: {url}/docs   Data: {settings.data_dir}   Ctrl-C stops it.",
            flush=True,
        )
    else:
        stop.give()
    supervise(children, stop, grace_s)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # one more would make the orderly end look like a crash
    return 1 if failed else 0


def wait_until_healthy(listening: socket.socket, api: Child, stop: StopOrder, patience: Patience) -> bool:
    """False when the API ended, the order to stop came, or the patience was over before it answered."""
    host, port = format_url(listening).removeprefix("http://").rsplit(":", 1)
    looked_at = time.monotonic()
    while not (api.has_ended() or stop):
        now = time.monotonic()
        patience.wait(now - looked_at)
        looked_at = now
        if patience.is_over:
            print(
                "tonok: the API does not come to answer (TONOK_HANG_TIMEOUT_S, ten times); ending it", file=sys.stderr
            )
            return False
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=1)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/healthz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        connection.close()
        time.sleep(_POLL_S)
    return False


def die_with_parent() -> Callable[[], None] | None:
    """On Linux: SIGTERM to the child when the process that starts it dies, however it dies."""
    if sys.platform != "linux":
        return None
    # Loaded before the fork: between fork and exec nothing may be imported or allocated at length.
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
