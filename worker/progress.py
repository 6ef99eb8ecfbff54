"""How a long computation tells where it is and is stopped. Plain data: neither torch nor jobs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class JobCancelled(Exception):
    """Raised by `Reporter.report` once a cancel was asked for. Not an error: let it pass."""


@dataclass(frozen=True)
class Progress:
    """One report. Fields left at None keep their last value; `metrics` become points of the series."""

    phase: str | None = None
    percent: float | None = None
    step: int | None = None
    total_steps: int | None = None
    epoch: int | None = None
    total_epochs: int | None = None
    eta_s: float | None = None
    """Seconds until the job's end, not only its present stage's."""
    message: str | None = None
    """One line for the event log, when this moment is worth one (an epoch's end, a finished probe)."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    metrics_step: float = 0.0
    """The x value of `metrics` (an epoch, or a sparsity)."""


class Reporter(Protocol):
    """Whoever follows a computation."""

    def report(self, progress: Progress) -> None:
        """Records progress. Cheap: may be called per batch. Raises JobCancelled when asked to stop."""

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Adds a line to the warnings. data: the same for programs, its kind as `code`."""


class QuietReporter:
    """Nobody follows, as in a notebook: progress goes nowhere, warnings to Python's `warnings`."""

    def report(self, progress: Progress) -> None:
        """Drops it."""

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Warns by Python's own means."""
        warnings.warn(message, stacklevel=2)
