"""Named points at which a process kills itself, for the tests of crashes.

A point is a line of our own source, found by its text, and the process dies just before it. The production code knows
nothing of this: a process that is to die is started by tests/faults/process.py, which traces those lines and no
others. A point whose line is gone, or stands twice, is an error; so is one that nobody reaches.

To arm a point is to create its file in the folder `TONOK_FAULTS`. Who reaches the line and is the one that manages to
remove the file, dies: one death for each time it is armed, in whichever process comes first.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

CHECKOUT = Path(__file__).parents[2]
FOLDER_VARIABLE = "TONOK_FAULTS"


@dataclass(frozen=True)
class Point:
    """Just before the one line of `file` that contains `text`."""

    name: str
    file: str
    text: str

    @cached_property
    def location(self) -> tuple[str, int]:
        """Absolute path and number of the line."""
        path = CHECKOUT / self.file
        lines = path.read_text("utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if self.text in line]
        if len(found) != 1:
            raise LookupError(f"{self.name}: {self.file} has {len(found)} lines with {self.text!r}, not one")
        return str(path), found[0]


POINTS = (
    # The API, while a job is submitted or deleted.
    Point("submit-row-not-committed", "storage/jobs.py", 'add_event(session, job.id, 0, "queued"'),
    Point("submit-committed-not-answered", "service/routes/submissions.py", "answer = build_job(job)"),
    Point("delete-rows-gone-files-there", "storage/jobs.py", "remove_unreferenced(session, files, hashes)"),
    # The job's process, at the end of its run.
    Point("run-files-written-no-outcome", "worker/engine/outcome.py", "temporary.write_text("),
    Point("run-outcome-written-not-named", "worker/engine/outcome.py", "temporary.replace("),
    Point("run-outcome-named-not-ended", "worker/engine/child.py", "os._exit(0)"),
    # The worker, from the claim to the last folder.
    Point("claim-committed-not-started", "worker/engine/dispatcher.py", "self._engine.submit(attempt)"),
    Point("store-written-not-durable", "storage/files.py", "os.fsync(stream.fileno())"),
    Point("store-durable-not-named", "storage/files.py", "temporary.replace(target)"),
    Point("store-named-folder-not-durable", "storage/files.py", "fsync_folder(target.parent)"),
    Point("finalize-files-stored-no-row", "worker/engine/finalize.py", "publication.secure(session)"),
    Point("finalize-job-ended-models-not-added", "storage/attempts.py", "session.add(product)"),
    Point("finalize-committed-staging-there", "worker/engine/finalize.py", "shutil.rmtree(attempt.staging"),
    Point("finalize-staging-gone-scratch-there", "worker/engine/finalize.py", "shutil.rmtree(scratch_folder("),
    Point("finalize-done-not-forgotten", "worker/engine/dispatcher.py", "del self._running[lease]"),
    # A job that waits for steps: its worker queues them, and whoever ends the last one wakes it.
    Point("suspend-steps-queued-not-committed", "storage/attempts.py", 'lease.attempt, "waiting", {"steps": names})'),
    Point("resume-woken-not-committed", "storage/steps.py", '_add_event(session, job_id, "resumed", {})'),
    # A worker that takes over what another one has left.
    Point("recover-requeued-not-committed", "worker/engine/dispatcher.py", "publication = Publication(self._files"),
)

RESTORE_POINTS = (
    Point("restore-half-copied", "storage/backup.py", "copied = target.put("),
    Point("restore-copied-not-marked", "storage/backup.py", "mark.write_text("),
    Point("restore-marked-no-files", "storage/backup.py", '"files").rename('),
    Point("restore-files-no-database", "storage/backup.py", "os.link(beside, target)"),
    Point("restore-placed-not-tidied", "storage/backup.py", "fsync_folder(target.parent)"),
    Point("restore-tidied-mark-there", "storage/backup.py", "(settings.data_dir / _PLACING).unlink("),
)
"""Of `python -m storage restore`, which has a test of its own."""


class FaultFolder:
    """The armed points of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def arm(self, point: Point) -> None:
        """The next process that reaches the point dies there."""
        (self._folder / point.name).touch()

    def is_armed(self, point: Point) -> bool:
        """Whether nobody has died there yet."""
        return (self._folder / point.name).exists()

    def disarm(self, point: Point) -> bool:
        """Whether it was still armed."""
        try:
            (self._folder / point.name).unlink()
        except FileNotFoundError:
            return False
        return True


def install() -> None:
    """Traces the points in this process from now on, also in the functions that are running. Needs `TONOK_FAULTS`."""
    folder = FaultFolder(Path(os.environ[FOLDER_VARIABLE]))
    points: dict[str, dict[int, Point]] = {}
    for point in (*POINTS, *RESTORE_POINTS):
        file, line = point.location
        points.setdefault(file, {})[line] = point

    def trace_line(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            point = points[frame.f_code.co_filename].get(frame.f_lineno)
            if point is not None and folder.disarm(point):
                os.kill(os.getpid(), signal.SIGKILL)
        return trace_line

    def trace_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return trace_line if frame.f_code.co_filename in points else None

    threading.settrace(trace_call)
    sys.settrace(trace_call)
    running: FrameType | None = sys._getframe()
    while running is not None:
        if running.f_code.co_filename in points:
            running.f_trace = trace_line
        running = running.f_back
