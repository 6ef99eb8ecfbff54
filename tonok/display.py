"""A job while it runs: a line of a terminal or of a log, or a view in a notebook with its curves."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from tonok.events import Event
from tonok.markup import build_bar, build_chart

_BAR_CELLS = 20
_REDRAW_S = 0.5


class View(Protocol):
    """Shows what a job's stream tells."""

    def show(self, data: Mapping[str, Any]) -> None:
        """data: of a `progress` event."""

    def note(self, text: str) -> None:
        """Shows words that stay."""


def format_seconds(seconds: float) -> str:
    """75 → 1:15."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def describe_progress(data: Mapping[str, Any], metrics: Mapping[str, float | None]) -> list[str]:
    """Puts progress into words. metrics: what was measured last."""
    parts = [str(data.get("phase") or "starting").replace("_", " ")]
    if data.get("percent") is not None:
        parts.append(f"{data['percent']:.0f} %")
    if data.get("eta_s") is not None:
        parts.append(f"{format_seconds(data['eta_s'])} left")
    if data.get("epoch") is not None:
        parts.append(f"epoch {data['epoch']}/{data.get('total_epochs') or '?'}")
    for name, value in metrics.items():
        # A series may carry its stage in front, such as the bit width that is trained.
        if value is not None and name.endswith("train_loss"):
            parts.append(f"loss {value:.3f}")
        elif value is not None and name.endswith("validation_accuracy"):
            parts.append(f"accuracy {100 * value:.2f} %")
    return parts


def show_event(view: View, event: Event) -> None:
    """Hands an event to a view: progress, warnings, and the steps of a study."""
    data = event.data.get("data") or {}
    if event.name == "progress":
        view.show(data)
    elif event.name in ("warning", "requeued"):
        view.note(f"{event.name}: {data.get('message') or data.get('reason')}")
    elif event.name in ("step_started", "step_ended"):
        view.note(f"{data.get('step')}: {data.get('status') or 'starts'}")


@dataclass
class LiveLine:
    """The present state of one job: rewritten in place on a terminal, line by line elsewhere."""

    output: TextIO
    title: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    phase: str | None = None

    def show(self, data: Mapping[str, Any]) -> None:
        """Writes the line anew; to a file only where something is said."""
        self.metrics = data.get("metrics") or self.metrics
        if self.output.isatty():
            width = shutil.get_terminal_size().columns - 1
            self.output.write(f"\r\x1b[2K{self._describe(data)[:width]}")
            self.output.flush()
        elif data.get("message") or data.get("phase") != self.phase:
            self.note(str(data.get("message") or data.get("phase") or "working"))
        self.phase = data.get("phase")

    def note(self, text: str) -> None:
        """Writes a line that stays."""
        if self.output.isatty():
            self.output.write("\r\x1b[2K")
        print(f"{self.title}: {text}", file=self.output, flush=True)

    def show_bytes(self, done: int, total: int) -> None:
        """Shows how far an upload or a download is."""
        self.show({"phase": "transfer", "percent": 100 * done / total if total else None})

    def _describe(self, data: Mapping[str, Any]) -> str:
        parts = [self.title, *describe_progress(data, self.metrics)]
        percent = data.get("percent")
        if percent is None:
            return " · ".join(parts)
        filled = round(_BAR_CELLS * min(percent, 100) / 100)
        return f"{'█' * filled}{'░' * (_BAR_CELLS - filled)} {' · '.join(parts)}"


@dataclass
class NotebookView:
    """A progress bar and the curves so far, drawn anew in the output of a notebook's cell."""

    title: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    drawn_at: float = float("-inf")
    handle: Any = None

    def show(self, data: Mapping[str, Any]) -> None:
        """Draws anew, twice a second at the most."""
        self.metrics = data.get("metrics") or self.metrics
        for name, value in (data.get("metrics") or {}).items():
            points = self.series.setdefault(name, [])
            if value is not None:
                points.append((len(points) + 1, value))
        if time.monotonic() - self.drawn_at >= _REDRAW_S:
            self._draw(data)

    def note(self, text: str) -> None:
        """Draws with these words below."""
        self.notes.append(text)
        self._draw({"phase": "waiting"})

    def end(self, html: str) -> None:
        """Draws what the job has become."""
        self._update(html)

    def _draw(self, data: Mapping[str, Any]) -> None:
        words = " · ".join([self.title, *describe_progress(data, self.metrics), *self.notes[-3:]])
        self._update(build_bar(data.get("percent"), words) + "<br>" + build_curves(self.series))
        self.drawn_at = time.monotonic()

    def _update(self, html: str) -> None:
        from IPython.display import HTML, display

        if self.handle is None:
            self.handle = display(HTML(html), display_id=True)
        else:
            self.handle.update(HTML(html))


def build_curves(series: Mapping[str, list[tuple[float, float]]]) -> str:
    """Builds two charts of a job's series: losses, accuracies."""
    return "".join(
        build_chart(title, {name: points for name, points in series.items() if name.endswith(title)})
        for title in ("loss", "accuracy")
    )


def build_view(title: str) -> View:
    """Builds the view that belongs where the program runs."""
    shell = sys.modules.get("IPython")
    running = None if shell is None else shell.get_ipython()
    return NotebookView(title) if getattr(running, "kernel", None) is not None else LiveLine(sys.stderr, title)
