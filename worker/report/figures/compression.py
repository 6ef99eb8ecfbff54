"""Figures of what compression does: accuracy against sparsity, zeros by layer, bit widths, bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import NullLocator

from worker.report.figures.canvas import (
    BLACK,
    BLUE,
    DASHED,
    MARKERS,
    QUIET,
    SERIES,
    SHORT_DASHED,
    SKY,
    VERMILION,
    Canvas,
)
from worker.report.language.values import count, percent, percent1, points, ratio, text

Curve = Sequence[tuple[float, float]]
STRETCHED_FROM = 0.8
MOST_BARS = 16
"""Layers whose bars fit on a page."""
_SPARSITY_TICKS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


@dataclass(frozen=True)
class Mark:
    """A model in a picture. accuracy: fraction, interval: its 95 % bounds; num_bytes: of its file."""

    accuracy: float
    interval: tuple[float, float]
    num_bytes: int = 0
    label: str = ""
    is_main: bool = False


def draw_sparsity(
    canvas: Canvas,
    path: Path,
    curves: Mapping[str, Curve],
    *,
    baseline: float,
    max_drop: float,
    chosen: Mapping[str, float],
    axis: str,
) -> None:
    """Accuracy on validation against sparsity (fractions): the whole curve, and its part near the limit.

    axis: `sparsity` or `channels`. Where it reaches far, it counts in 1 / density: from 90 to 95 % is as far as from
    95 to 97.5 %, since each halves what is kept.
    """
    highest = max(sparsity for curve in curves.values() for sparsity, _ in curve)
    stretched = highest >= STRETCHED_FROM

    def place(sparsity: float) -> float:
        return 1 / (1 - sparsity) if stretched else 100 * sparsity

    lowest = min(accuracy for curve in curves.values() for _, accuracy in curve)
    with canvas.figure(path, 3.35) as figure:
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            for (label, curve), colour, marker in zip(curves.items(), SERIES, MARKERS, strict=False):
                ordered = sorted(curve)
                axes.plot(
                    [place(sparsity) for sparsity, _ in ordered], [100 * accuracy for _, accuracy in ordered],
                    color=colour, marker=marker, label=label,
                )  # fmt: skip
                at = chosen[label]
                accuracy = dict(curve).get(at)
                if accuracy is not None:
                    axes.plot(
                        [place(at)], [100 * accuracy], marker="o", markersize=10, markerfacecolor="none",
                        markeredgecolor=colour, markeredgewidth=1.5, linestyle="none",
                        label=canvas.say(
                            "figure.chosen", sparsity=percent1(at), drop=points(100 * (baseline - accuracy))
                        ),
                    )  # fmt: skip
            axes.axhline(
                100 * baseline, color=BLACK, linewidth=1, label=canvas.say("figure.dense", accuracy=percent(baseline))
            )
            axes.axhline(
                100 * baseline - max_drop, color=QUIET, linewidth=1, linestyle=DASHED,
                label=canvas.say("figure.limit", drop=points(max_drop)),
            )  # fmt: skip
            if stretched:
                axes.set_xscale("log")
                ticks = [sparsity for sparsity in _SPARSITY_TICKS if sparsity <= highest + 0.002]
                axes.set_xticks([place(s) for s in ticks], [canvas.digits(f"{100 * s:.10g}") for s in ticks])
                axes.xaxis.set_minor_locator(NullLocator())
            else:
                canvas.number_axis(axes.xaxis)
            axes.set_xlabel(canvas.term(f"axis.{axis}_stretched" if stretched else f"axis.{axis}"))
            canvas.number_axis(axes.yaxis)
        left.set_ylabel(canvas.term("validation_accuracy_percent"))
        left.set_title(canvas.term("whole_curve"))
        right.set_title(canvas.term("near_limit"))
        margin = max(max_drop, 0.5)
        best = max(accuracy for curve in curves.values() for _, accuracy in curve)
        bottom = max(100 * baseline - 3 * margin, min(100 * lowest - 0.3 * margin, 100 * baseline - 1.3 * max_drop))
        right.set_ylim(bottom, 100 * max(baseline, best) + 0.4 * margin)
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside lower center", ncols=2, **canvas.legend_direction()
        )


def draw_layers(
    canvas: Canvas, path: Path, names: Sequence[str], columns: Mapping[str, Sequence[float | None]]
) -> None:
    """Fractions of zeros in percent: a group of bars per layer, one bar per model; of many layers a line per model."""
    if len(names) > MOST_BARS:
        _draw_layer_lines(canvas, path, columns)
        return
    height = 0.8 / len(columns)
    with canvas.figure(path, 1.0 + len(names) * (0.16 + 0.17 * len(columns))) as figure:
        axes = figure.subplots()
        for position, ((name, values), colour) in enumerate(zip(columns.items(), SERIES, strict=False)):
            rows = [row + (position - (len(columns) - 1) / 2) * height for row in range(len(names))]
            widths = [100 * (value or 0) for value in values]
            axes.barh(rows, widths, color=colour, height=0.9 * height, label=name)
            for row, value in zip(rows, values, strict=True):
                if value is not None:
                    number = canvas.show(percent1(value))
                    axes.annotate(
                        number, (100 * value, row), (3, 0), textcoords="offset points", va="center", fontsize=7
                    )
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 108)
        axes.set_xticks(range(0, 101, 20))
        canvas.number_axis(axes.xaxis)
        axes.set_xlabel(canvas.term("axis.zeros"))
        axes.grid(visible=False, axis="y")
        if len(columns) > 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(columns),
                **canvas.legend_direction(),
            )  # fmt: skip


def _draw_layer_lines(canvas: Canvas, path: Path, columns: Mapping[str, Sequence[float | None]]) -> None:
    with canvas.figure(path, 2.9) as figure:
        axes = figure.subplots()
        for (name, values), colour, marker in zip(columns.items(), SERIES, MARKERS, strict=False):
            shares = [np.nan if value is None else 100 * value for value in values]
            axes.plot(
                range(1, len(shares) + 1), shares, color=colour, marker=marker, markersize=3, linewidth=0.8, label=name
            )
        canvas.whole_axis(axes.xaxis)
        canvas.number_axis(axes.yaxis)
        axes.set_ylim(-3, 103)
        axes.set_xlabel(canvas.term("axis.layers"))
        axes.set_ylabel(canvas.term("axis.zeros"))
        if len(columns) > 1:
            figure.legend(
                *axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(columns),
                **canvas.legend_direction(),
            )  # fmt: skip


def draw_bit_widths(canvas: Canvas, path: Path, marks: Mapping[int, Mark], *, baseline: float) -> None:
    """Test accuracy with its interval, and bytes of the file, by bit width."""
    ordered = sorted(marks, reverse=True)
    names = [canvas.say("figure.bits", bits=count(width)) for width in ordered]
    labels = [
        f"{name}\n{canvas.show(percent(marks[width].accuracy))}" for name, width in zip(names, ordered, strict=True)
    ]
    places = range(len(ordered))
    with canvas.figure(path, 2.7) as figure:
        left, right = figure.subplots(1, 2)
        for place, width in zip(places, ordered, strict=True):
            mark = marks[width]
            error = [[100 * (mark.accuracy - mark.interval[0])], [100 * (mark.interval[1] - mark.accuracy)]]
            left.errorbar(
                [place],
                [100 * mark.accuracy],
                yerr=error,
                color=BLUE,
                marker="o",
                markersize=5,
                capsize=3,
                linewidth=1.2,
            )
        label = canvas.say("figure.float_accuracy", accuracy=percent(baseline))
        left.axhline(100 * baseline, color=BLACK, linewidth=1, linestyle=DASHED, label=label)
        left.set_ylabel(canvas.term("test_accuracy_percent"))
        left.set_xticks(places, labels)
        left.set_xlim(-0.5, len(ordered) - 0.5)
        canvas.number_axis(left.yaxis)
        canvas.legend(left, "lower left")
        right.bar(places, [marks[width].num_bytes / 1024 for width in ordered], color=SKY, width=0.62)
        for place, width in zip(places, ordered, strict=True):
            size = marks[width].num_bytes
            right.annotate(
                canvas.kilobytes(size),
                (place, size / 1024),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7.5,
            )
        right.set_ylabel(canvas.term("file_kb"))
        right.set_xticks(places, names)
        right.margins(y=0.12)
        canvas.number_axis(right.yaxis)
        right.grid(visible=False, axis="x")


def draw_ledger(canvas: Canvas, path: Path, entries: Mapping[str, int]) -> None:
    """Measure → bytes of one model, `float32` among them: every ratio is against it."""
    reference = entries["float32"]
    ordered = sorted(entries.items(), key=lambda entry: -entry[1])
    with canvas.figure(path, 0.75 + 0.32 * len(ordered)) as figure:
        axes = figure.subplots()
        rows = range(len(ordered))
        lowest = 2.0 ** np.floor(np.log2(ordered[-1][1] / 2))
        colours = [QUIET if name == "float32" else VERMILION if name == "file" else BLUE for name, _ in ordered]
        axes.barh(rows, [size - lowest for _, size in ordered], left=lowest, color=colours, height=0.6)
        axes.set_xscale("log")
        axes.set_xlim(lowest, reference * (reference / lowest) ** 0.34)
        for row, (_, size) in zip(rows, ordered, strict=True):
            label = canvas.say("figure.size", kilobytes=text(canvas.kilobytes(size)), ratio=ratio(reference / size))
            axes.annotate(label, (size, row), (4, 0), textcoords="offset points", va="center", fontsize=7.8)
        canvas.kilobyte_axis(axes.xaxis, lowest, reference)
        axes.set_yticks(rows, [canvas.term(f"measure.{name}") for name, _ in ordered])
        axes.invert_yaxis()
        axes.set_xlabel(canvas.term("kb_log"))
        axes.grid(visible=False, axis="y")


def draw_front(
    canvas: Canvas,
    path: Path,
    tried: Curve,
    front: Curve,
    *,
    threshold: float,
    safe: float | None = None,
    chosen: tuple[float, float],
) -> None:
    """(bytes, validation accuracy) of everything tried, its front, the lowest accuracy allowed, the point chosen.

    safe: the lowest accuracy with the share of the drop that the chosen one had to keep, in results of earlier
    versions. A reserve that is counted in pictures is no line: two files of one accuracy may differ in what they lost.
    """
    ordered = sorted(front)
    sizes = [size for size, _ in (*tried, *front)]
    at_chosen = canvas.say(
        "figure.chosen_file", kilobytes=text(canvas.kilobytes(chosen[0])), accuracy=percent(chosen[1])
    )
    with canvas.figure(path, 3.0) as figure:
        axes = figure.subplots()
        axes.scatter(
            [size for size, _ in tried], [100 * accuracy for _, accuracy in tried], s=20, color=SKY, edgecolor=BLUE,
            linewidth=0.5, zorder=2, label=canvas.term("candidates"),
        )  # fmt: skip
        axes.plot(
            [size for size, _ in ordered], [100 * accuracy for _, accuracy in ordered], color=BLUE, marker="o",
            drawstyle="steps-post", zorder=3, label=canvas.term("front"),
        )  # fmt: skip
        axes.axhline(
            100 * threshold, color=QUIET, linewidth=1, linestyle=DASHED, zorder=1,
            label=canvas.say("figure.threshold", accuracy=percent(threshold)),
        )  # fmt: skip
        if safe is not None:
            axes.axhline(
                100 * safe, color=BLACK, linewidth=1, linestyle=SHORT_DASHED, zorder=1,
                label=canvas.say("figure.safe", accuracy=percent(safe)),
            )  # fmt: skip
        axes.plot(
            [chosen[0]], [100 * chosen[1]], marker="*", markersize=13, color=VERMILION, markeredgecolor="white",
            linestyle="none", zorder=4,
            label=at_chosen,
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.2, max(sizes) * 1.2)
        canvas.kilobyte_axis(axes.xaxis, min(sizes) / 1.2, max(sizes) * 1.2)
        axes.set_xlabel(canvas.term("file_kb_log"))
        axes.set_ylabel(canvas.term("validation_accuracy_percent"))
        canvas.number_axis(axes.yaxis)
        axes.margins(y=0.12)
        canvas.legend(axes, "lower right")


def draw_overview(canvas: Canvas, path: Path, marks: Sequence[Mark], *, floor: float | None) -> None:
    """Every model on the plane of file size and test accuracy, with intervals."""
    with canvas.figure(path, 3.5) as figure:
        axes = figure.subplots()
        for place, mark in enumerate(marks):
            error = [[100 * (mark.accuracy - mark.interval[0])], [100 * (mark.interval[1] - mark.accuracy)]]
            axes.errorbar(
                [mark.num_bytes], [100 * mark.accuracy], yerr=error, color=SERIES[place % len(SERIES)],
                marker="*" if mark.is_main else MARKERS[place // len(SERIES) + place % len(SERIES) % 2 * 2],
                markersize=12 if mark.is_main else 5.5, capsize=2.5, linewidth=1, linestyle="none", label=mark.label,
            )  # fmt: skip
        if floor is not None:
            axes.axhline(
                100 * floor, color=QUIET, linewidth=1, linestyle=DASHED,
                label=canvas.say("figure.floor", accuracy=percent(floor)),
            )  # fmt: skip
        sizes = [mark.num_bytes for mark in marks]
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.3, max(sizes) * 1.3)
        canvas.kilobyte_axis(axes.xaxis, min(sizes) / 1.3, max(sizes) * 1.3)
        axes.set_xlabel(canvas.term("file_kb_log"))
        axes.set_ylabel(canvas.term("test_accuracy_percent"))
        canvas.number_axis(axes.yaxis)
        figure.legend(
            *axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, **canvas.legend_direction()
        )


def draw_intervals(canvas: Canvas, path: Path, marks: Sequence[Mark], *, baseline: float) -> None:
    """Test accuracy and its 95 % interval, one line per model."""
    with canvas.figure(path, 0.7 + 0.3 * len(marks)) as figure:
        axes = figure.subplots()
        for row, mark in enumerate(marks):
            error = [[100 * (mark.accuracy - mark.interval[0])], [100 * (mark.interval[1] - mark.accuracy)]]
            colour = VERMILION if mark.is_main else BLUE
            axes.errorbar(
                [100 * mark.accuracy], [row], xerr=error, color=colour, marker="s" if mark.is_main else "o",
                markersize=5, capsize=3, linewidth=1.2,
            )  # fmt: skip
            number = canvas.show(percent(mark.accuracy))
            # In a column beside the plot, where no line runs through them.
            axes.text(1.015, row, number, transform=axes.get_yaxis_transform(), va="center", fontsize=7.8)
        axes.axvline(100 * baseline, color=BLACK, linewidth=1, linestyle=DASHED)
        axes.set_yticks(range(len(marks)), [mark.label for mark in marks])
        axes.invert_yaxis()
        axes.set_xlabel(canvas.term("test_accuracy_interval"))
        canvas.number_axis(axes.xaxis)
        axes.margins(x=0.12, y=0.08)
        axes.grid(visible=False, axis="y")


def draw_quantizer(canvas: Canvas, path: Path, returned: Mapping[int, Sequence[float]], x: Sequence[float]) -> None:
    """returned: bit width → what comes back of each `x` after it was quantized."""
    with canvas.figure(path, 2.3) as figure:
        panels = figure.subplots(1, len(returned), sharey=True)
        for axes, (bits, values) in zip(panels, returned.items(), strict=True):
            axes.plot(x, x, color=QUIET, linewidth=1, linestyle=DASHED)
            axes.plot(x, values, color=BLUE)
            axes.set_title(canvas.say("figure.bits", bits=count(bits)))
            axes.set_xlabel("$x$")
            canvas.number_axis(axes.xaxis)
            canvas.number_axis(axes.yaxis)
        panels[0].set_ylabel(canvas.term("after_round_trip"))
