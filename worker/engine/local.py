"""Attempts as child processes of this worker, each in a process group of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from storage.attempts import Lease
from storage.settings import Settings
from worker.engine.log_bound import bound_log
from worker.engine.memory import measure_groups
from worker.engine.outcome import ATTEMPT_NAME, LOG_NAME
from worker.engine.port import Attempt, ExitStatus, Lane

LIGHT_SLOTS = 3
"""One for each light kind, of which no two run at a time: else a file of pictures and a model that come in together
would keep predictions waiting."""
_PROJECT = Path(__file__).resolve().parents[2]
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# A network's activations are megabytes each. By default glibc fetches such blocks from the kernel and gives them back
# again and again, page by page: a third of the time of an epoch. Means nothing to other C libraries.
_GLIBC_TUNABLES = {
    "glibc.malloc.mmap_threshold": 32 << 20,
    "glibc.malloc.trim_threshold": 1 << 30,
    "glibc.malloc.top_pad": 64 << 20,
    "glibc.malloc.hugetlb": 1,
}
_LOOK_S = 1.0
_MOST_LOOKS = 3
"""So often in a row a job may be seen to hold too much: after the first look its allocator gives back what it only
keeps, and what two processes share between a fork and what follows it counts twice for no longer."""
_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


class LocalEngine:
    """The default adapter. Submit from the thread that lives longest: children die with the thread that made them.

    A fresh process per attempt leaves no memory and no random state behind. One more process stands by with
    the jobs module's `PRELOAD` imported already, so that an attempt starts in milliseconds.
    """

    def __init__(self, settings: Settings, *, jobs_module: str) -> None:
        self._settings = settings
        self._command = [sys.executable, "-m", "worker.engine.child", "--jobs-module", jobs_module]
        self._running: dict[Lease, _Child] = {}
        self._max_job_bytes = settings.resolved_max_job_bytes
        self._look_at = 0.0
        self._standby = self._spawn()

    def count_free(self, lane: Lane) -> int:
        room = LIGHT_SLOTS if lane is Lane.LIGHT else self._settings.slots
        return room - sum(child.lane is lane for child in self._running.values())

    def submit(self, attempt: Attempt) -> None:
        if self._standby.find_exit_code() is not None:
            self._standby = self._spawn()
        attempt.staging.mkdir(parents=True)
        # By file, for a spec may be longer than a pipe takes at once.
        content = dataclasses.asdict(attempt) | {"staging": str(attempt.staging)}
        (attempt.staging / ATTEMPT_NAME).write_text(json.dumps(content), encoding="utf-8")
        child, self._standby = self._standby, self._spawn()
        self._running[attempt.lease] = child
        child.lane = attempt.lane
        child.log = attempt.staging / LOG_NAME
        child.num_oom_kills = _count_oom_kills()
        child.send(type="run", staging=str(attempt.staging))

    def cancel(self, lease: Lease, grace_s: float) -> None:
        child = self._running.get(lease)
        if child is None:
            return
        now = time.monotonic()
        if child.asked_at is None:
            child.asked_at = now
            child.send(type="cancel")
        elapsed = now - child.asked_at
        if elapsed >= grace_s:
            child.signal_group(signal.SIGKILL)
        elif elapsed >= grace_s / 2 and not child.is_terminated:
            child.is_terminated = True
            child.signal_group(signal.SIGTERM)

    def status(self, lease: Lease) -> ExitStatus | None:
        child = self._running[lease]
        code = child.find_exit_code()
        if code is None:
            self._look()
            return None
        del self._running[lease]
        if child.log is not None:
            bound_log(child.log, self._settings.max_log_bytes)
        if code >= 0:
            return ExitStatus(code, None)
        killed = -code == signal.SIGKILL and child.asked_at is None
        return ExitStatus(
            None,
            -code,
            out_of_memory=killed and _count_oom_kills() > child.num_oom_kills,
            exceeded_bytes=self._max_job_bytes if child.num_looks >= _MOST_LOOKS else None,
        )

    def reconcile(self, held: Collection[Lease]) -> None:
        for lease, child in self._running.items():
            if lease in held:
                child.send(type="alive")
            else:
                self.cancel(lease, grace_s=0)

    def close(self) -> None:
        for child in (*self._running.values(), self._standby):
            child.end()
        self._running.clear()

    def _look(self) -> None:
        """Every now and then: ends what holds more memory than a job may, and shortens what has grown too long."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        held = measure_groups({child.process.pid for child in self._running.values()})
        for child in self._running.values():
            if child.log is not None:
                bound_log(child.log, self._settings.max_log_bytes)
            if self._max_job_bytes is None or held[child.process.pid] <= self._max_job_bytes:
                child.num_looks = 0
                continue
            child.num_looks += 1
            if child.num_looks < _MOST_LOOKS:
                child.send(type="trim")
            else:
                child.signal_group(signal.SIGKILL)

    def _spawn(self) -> _Child:
        reader, writer = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
                [*self._command, "--channel", str(reader), "--parent", str(os.getpid())],
                env=build_environment(self._settings),
                pass_fds=(reader,),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        os.set_blocking(writer, False)
        return _Child(process, writer)


@dataclasses.dataclass
class _Child:
    """A process and our end of its pipe."""

    process: subprocess.Popen[bytes]
    channel: int
    asked_at: float | None = None
    is_terminated: bool = False
    num_oom_kills: int = 0
    num_looks: int = 0
    """How often in a row it was seen to hold too much memory."""
    log: Path | None = None
    lane: Lane = Lane.HEAVY

    def send(self, **message: Any) -> None:
        line = json.dumps(message).encode() + b"\n"
        # A child that is gone shows in its exit status. One that does not read has a full pipe, and stops by itself.
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(self.channel, line)

    def signal_group(self, number: signal.Signals) -> None:
        # The child has not been waited for, so that its number cannot belong to another process by now.
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def end(self) -> None:
        self.signal_group(signal.SIGKILL)
        if self.process.returncode is None:
            self.process.wait()
            os.close(self.channel)

    def find_exit_code(self) -> int | None:
        """The exit code (negative: the signal), or None while it runs. Ends what is left of its group."""
        if self.process.returncode is None:
            if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self.end()
        return self.process.returncode


def build_environment(settings: Settings) -> dict[str, str]:
    """This process's environment, the settings in force, and what libraries read when they load or start."""
    environment = dict(os.environ)
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"TONOK_{name.upper()}"
        if value is None:
            environment.pop(variable, None)
        else:
            environment[variable] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    environment.update(dict.fromkeys(_THREAD_VARIABLES, str(settings.resolved_threads_per_slot)))
    tunables = ":".join(f"{name}={value}" for name, value in _GLIBC_TUNABLES.items())
    environment.setdefault("GLIBC_TUNABLES", tunables)
    paths = [str(_PROJECT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


def _count_oom_kills() -> int:
    """How often the kernel has killed for want of memory: here (in this control group), else on this machine."""
    for path in _MEMORY_EVENTS:
        with suppress(OSError):
            for line in path.read_text(encoding="ascii").splitlines():
                name, count = line.split()
                if name == "oom_kill":
                    return int(count)
    return 0
