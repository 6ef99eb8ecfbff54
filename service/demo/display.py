"""What the demo writes: a live line per job, and the table at the end."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from worker.model_summary import ModelSummary, read_summary

NOTHING = "–"
UNSOUND = "(!)"
MEASURES = ("formula", "float32", "packed", "entropy", "file")


def format_seconds(seconds: float) -> str:
    """75 → 1:15."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@dataclass
class LiveLine:
    """The present state of one job: rewritten in place on a terminal, line by line elsewhere."""

    output: TextIO
    title: str
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    phase: str | None = None

    def show(self, data: Mapping[str, Any]) -> None:
        """data: of a `progress` event."""
        self.metrics = data.get("metrics") or self.metrics
        if self.output.isatty():
            width = shutil.get_terminal_size().columns - 1
            self.output.write(f"\r\x1b[2K{self._describe(data)[:width]}")
            self.output.flush()
        elif data.get("message") or data.get("phase") != self.phase:
            self.note(str(data.get("message") or data.get("phase") or "working"))
        self.phase = data.get("phase")

    def note(self, text: str) -> None:
        """A line that stays."""
        if self.output.isatty():
            self.output.write("\r\x1b[2K")
        print(f"{self.title}: {text}", file=self.output, flush=True)

    def _describe(self, data: Mapping[str, Any]) -> str:
        parts = [self.title, str(data.get("phase") or "starting").replace("_", " ")]
        if data.get("percent") is not None:
            parts.append(f"{data['percent']:.0f} %")
        if data.get("eta_s") is not None:
            parts.append(f"{format_seconds(data['eta_s'])} left")
        if data.get("epoch") is not None:
            parts.append(f"epoch {data['epoch']}/{data.get('total_epochs') or '?'}")
        for name, value in self.metrics.items():
            # A series may carry its stage in front, such as the bit width that is trained.
            if value is not None and name.endswith("train_loss"):
                parts.append(f"loss {value:.3f}")
            elif value is not None and name.endswith("validation_accuracy"):
                parts.append(f"accuracy {100 * value:.2f} %")
        return " · ".join(parts)


@dataclass(frozen=True)
class Row:
    """One model of the table. model: the answer of GET /v1/models/{id}."""

    name: str
    model: Mapping[str, Any]

    @functools.cached_property
    def summary(self) -> ModelSummary:
        """What the answer says of the model."""
        return read_summary(self.model)

    @property
    def num_bytes(self) -> dict[str, int]:
        """Measure → bytes."""
        return {} if self.summary.size is None else {entry.measure: entry.bytes for entry in self.summary.size.entries}

    @property
    def test_accuracy(self) -> float | None:
        """Fraction, on the test split."""
        evaluation = self.summary.evaluation
        return None if evaluation is None or evaluation.test is None else evaluation.test.accuracy

    @property
    def problems(self) -> list[str]:
        """What is wrong with the model; empty for a sound one."""
        return [] if self.summary.health is None else [str(problem) for problem in self.summary.health.problems]

    @property
    def test_drop(self) -> float | None:
        """Percentage points below its baseline, on the test split."""
        return None if self.summary.accuracy_drop is None else self.summary.accuracy_drop.test


def build_table(rows: Sequence[Row]) -> str:
    """The rows as aligned text. The first row is the baseline: every ratio is against its float32 bytes."""
    reference = rows[0].num_bytes.get("float32")
    header = ["model", "test %", "drop", "sparsity %", "MACs M", *(f"{measure} KB" for measure in MEASURES), "ratio"]
    cells = [header]
    for row in rows:
        sizes = row.num_bytes
        file = sizes.get("file")
        cells.append(
            [
                f"{row.name} {UNSOUND}" if row.problems else row.name,
                _number(row.test_accuracy, 100, "{:.2f}"),
                _number(row.test_drop, 1, "{:.2f}"),
                _number(row.model.get("sparsity"), 100, "{:.2f}"),
                _number(row.model.get("macs"), 1e-6, "{:.2f}"),
                *(_number(sizes.get(measure), 1 / 1024, "{:,.2f}") for measure in MEASURES),
                f"{reference / file:,.1f}×" if reference and file else NOTHING,
            ]
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                  for column, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in cells
    ]  # fmt: skip
    lines.insert(1, "─" * max(len(line) for line in lines))
    unsound = [f"{UNSOUND} {row.name} is not sound: {', '.join(row.problems)}" for row in rows if row.problems]
    return "\n".join(
        [
            *lines,
            *unsound,
            "",
            "test %: accuracy on the test split. drop: percentage points below the baseline. KB: of 1024 bytes;",
            "formula: weights × bits alone, float32: a plain checkpoint, packed: integers at their width with scales,",
            "entropy: the order-0 bound, file: the bytes on disk. ratio: the baseline's float32 ÷ file.",
        ]
    )


def _number(value: float | None, factor: float, form: str) -> str:
    return NOTHING if value is None else form.format(factor * value)
