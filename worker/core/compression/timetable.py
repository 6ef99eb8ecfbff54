"""Where a compression is among its parts, told as percent and remaining time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.core.fit_progress import FitProgress
from worker.core.training_log import Tracker
from worker.progress import Progress
from worker.timetable import Timetable


@dataclass(frozen=True)
class TimedTracker(Tracker):
    """A tracker that tells percent and remaining time by a timetable."""

    timetable: Timetable

    def report(self, part: str, share: float, **progress: Any) -> None:
        """Reports the share of a part of the timetable that is done."""
        eta_s = self.timetable.estimate_remaining(part, share)
        percent = round(self.timetable.compute_percent(part, share), 1)
        self.reporter.report(Progress(percent=percent, eta_s=None if eta_s is None else round(eta_s, 1), **progress))

    def follow(self, phase: str, part: str, series: str, begin: float = 0.0, end: float = 1.0) -> FitProgress:
        """Follows a fit that is a part of the timetable, from one share of it to another."""
        return FitProgress(
            self.reporter, phase, series=series, timetable=self.timetable, part=part, begin=begin, end=end
        )
