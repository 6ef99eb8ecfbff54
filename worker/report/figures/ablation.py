"""The plot of what each technique bought, as bytes and as accuracy. See worker/report/figures/plots.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from worker.report.figures.plots import BLUE, QUIET, VERMILION, format_kb, format_signed, lay_kb_axis, open_figure


@dataclass(frozen=True)
class AblationStep:
    """A technique on top of those before it: the bytes it left, and the accuracy drop so far in points."""

    technique: str
    num_bytes: int
    drop: float


def plot_ablation(path: Path, steps: Sequence[AblationStep], *, max_drop: float, title: str) -> None:
    """A waterfall: what is left of the bytes after each technique, and beside it the drop on validation so far."""
    sizes = [step.num_bytes for step in steps]
    lowest = 2.0 ** np.floor(np.log2(min(sizes) / 2))
    rows = range(len(steps))
    with open_figure(path, title, 11.0, 1.9 + 0.42 * len(steps)) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(2.4, 1), sharey=True)
        colours = [QUIET, *[BLUE] * (len(steps) - 2), VERMILION]
        left.barh(rows, [size - lowest for size in sizes], left=lowest, color=colours, height=0.6)
        for row, (before, after) in enumerate(itertools.pairwise(sizes), start=1):
            left.barh(
                row, max(0, before - after), left=after, color="none", edgecolor=QUIET, hatch="////", linewidth=0.6,
                height=0.6,
            )  # fmt: skip
        for row, size in enumerate(sizes):
            before = sizes[max(0, row - 1)]
            text = format_kb(size) + (f"   {format_signed(100 * (size - before) / before)} %" if row else "")
            left.annotate(
                text, (max(before, size), row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9
            )
        left.set_xscale("log")
        left.set_xlim(lowest, max(sizes) * (max(sizes) / lowest) ** 0.32)
        lay_kb_axis(left.xaxis, lowest, max(sizes), most=7)
        left.set_yticks(rows, [step.technique for step in steps])
        left.invert_yaxis()
        left.set_xlabel("bytes, logarithmic (1 KB = 1024 bytes); hatched: saved")
        right.plot([step.drop for step in steps], rows, color=BLUE, marker="o")
        right.axvline(
            max_drop, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), label=f"limit: {max_drop:g}"
        )  # fmt: skip
        right.set_xlabel("drop on validation (points)")
        right.margins(x=0.15)
        right.legend(loc="upper right")
        for axes in (left, right):
            axes.grid(visible=False, axis="y")
