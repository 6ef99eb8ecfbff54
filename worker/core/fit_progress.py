"""A stretch of a computation in which one fit runs, as its followers see it."""

from __future__ import annotations

from dataclasses import dataclass

from worker.core.training import BatchProgress
from worker.learning import Attempt, EpochRecord
from worker.progress import Progress, Reporter
from worker.timetable import TRAINING, Timetable


@dataclass(frozen=True)
class FitProgress:
    """A stretch of a job in which one fit runs: from `first` to `last` percent, or of a part of a timetable."""

    reporter: Reporter
    phase: str
    first: float = 0.0
    last: float = 100.0
    series: str = ""
    """Prefix of the metric series, when a job has several fits."""
    epochs_before: int = 0
    """Epochs of the same series that went before this fit."""
    timetable: Timetable | None = None
    """Of the whole job, where its parts go at different paces."""
    part: str = ""
    """The timetable's part that the stage is, from the share `begin` to `end`."""
    begin: float = 0.0
    end: float = 1.0

    def on_batch(self, progress: BatchProgress) -> None:
        """For `fit`: moves the bar; this is where a cancel is noticed."""
        self.reporter.report(self._place(progress))

    def on_epoch(self, record: EpochRecord, progress: BatchProgress) -> None:
        """For `fit`: one event and one point of every series."""
        if self.timetable is not None:
            part = self.timetable.parts[self.part]
            if part.kind == TRAINING:
                weight = part.weight * (self.end - self.begin) / progress.total_epochs
                self.timetable.observe(part.kind, weight, record.seconds)
        place = self._place(progress)
        self.reporter.report(
            Progress(
                phase=place.phase,
                percent=place.percent,
                step=place.step,
                total_steps=place.total_steps,
                epoch=record.epoch,
                total_epochs=progress.total_epochs,
                eta_s=place.eta_s,
                message=(
                    f"{self.phase}: epoch {record.epoch} of {progress.total_epochs}, "
                    f"loss {record.train_loss:.4f}, validation accuracy {100 * record.validation_accuracy:.2f} %"
                ),
                metrics={
                    f"{self.series}train_loss": record.train_loss,
                    f"{self.series}train_accuracy": record.train_accuracy,
                    f"{self.series}validation_loss": record.validation_loss,
                    f"{self.series}validation_accuracy": record.validation_accuracy,
                },
                metrics_step=self.epochs_before + progress.epochs_before + record.epoch,
            )
        )

    def on_retry(self, given_up: Attempt, learning_rate: float) -> None:
        """For `fit`: one event where the training begins anew."""
        self.reporter.report(
            Progress(
                phase=self.phase,
                message=(
                    f"{self.phase}: given up at a learning rate of {given_up.learning_rate:g} after "
                    f"{given_up.epochs} epochs ({given_up.reason}); begins anew at {learning_rate:g}"
                ),
            )
        )

    def _place(self, progress: BatchProgress) -> Progress:
        if self.timetable is not None:
            share = self.begin + (self.end - self.begin) * progress.share
            percent = self.timetable.compute_percent(self.part, share)
            eta_s = self.timetable.estimate_remaining(self.part, share, progress.eta_s, self.end)
        else:
            percent = self.first + (self.last - self.first) * progress.share
            # The rest of the job at this stage's pace. With its last batch the pace is lost: the last value stays.
            left_here = self.last - percent
            eta_s = progress.eta_s * (100 - percent) / left_here if left_here > 0 else None
        return Progress(
            phase=self.phase,
            percent=round(percent, 1),
            step=progress.step,
            total_steps=progress.total_steps,
            epoch=progress.epoch,
            total_epochs=progress.total_epochs,
            eta_s=None if eta_s is None else round(eta_s, 1),
        )
