"""The figure of what each technique bought, as bytes and as accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.report.figures.canvas import BLUE, DASHED, QUIET, VERMILION, Canvas
from worker.report.language.values import limit


@dataclass(frozen=True)
class AblationStep:
    """A technique on top of those before it: the bytes it left, and the accuracy drop so far in points."""

    technique: str
    num_bytes: int
    drop: float


def draw_ablation(canvas: Canvas, path: Path, steps: Sequence[AblationStep], *, max_drop: float) -> None:
    """A waterfall: what is left of the bytes after each technique, and beside it the drop on validation so far."""
    sizes = [step.num_bytes for step in steps]
    lowest = 2.0 ** np.floor(np.log2(min(sizes) / 2))
    rows = range(len(steps))
    with canvas.figure(path, 1.2 + 0.3 * len(steps), 8.0) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.9, 1), sharey=True)
        colours = [QUIET, *[BLUE] * (len(steps) - 2), VERMILION]
        left.barh(rows, [size - lowest for size in sizes], left=lowest, color=colours, height=0.6)
        for row, (before, after) in enumerate(itertools.pairwise(sizes), start=1):
            left.barh(
                row, max(0, before - after), left=after, color="none", edgecolor=QUIET, hatch="////", linewidth=0.6,
                height=0.6,
            )  # fmt: skip
        for row, size in enumerate(sizes):
            before = sizes[max(0, row - 1)]
            saved = canvas.digits(f"   {100 * (size - before) / before:+.1f} %") if row else ""
            left.annotate(
                canvas.kilobytes(size) + saved, (max(before, size), row), xytext=(4, 0), textcoords="offset points",
                va="center", fontsize=7.8,
            )  # fmt: skip
        left.set_xscale("log")
        left.set_xlim(lowest, max(sizes) * (max(sizes) / lowest) ** 0.32)
        canvas.kilobyte_axis(left.xaxis, lowest, max(sizes), most=6)
        left.set_yticks(rows, [step.technique for step in steps])
        left.invert_yaxis()
        left.set_xlabel(canvas.term("file_kb_saved"))
        right.plot([step.drop for step in steps], rows, color=BLUE, marker="o")
        right.axvline(
            max_drop, color=QUIET, linewidth=1, linestyle=DASHED,
            label=canvas.say("figure.max_drop", drop=limit(max_drop)),
        )  # fmt: skip
        right.set_xlabel(canvas.term("validation_drop_points"))
        right.margins(x=0.15)
        canvas.number_axis(right.xaxis)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", **canvas.legend_direction())
        for axes in (left, right):
            axes.grid(visible=False, axis="y")
