"""What the demo writes at its end: a table of models."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.model_summary import ModelSummary, read_summary

NOTHING = "–"
UNSOUND = "(!)"
MEASURES = ("formula", "float32", "packed", "entropy", "file")


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
