"""Numbers → PNG. Pure functions of what they are given: the same numbers give the same bytes.

Figures are made without pyplot (it keeps global state and every figure it ever made). Colours are Okabe and
Ito's, told apart by colour-blind readers too; where two lines meet, marker and dash differ as well. Accuracy
and sparsity come in as fractions and are printed in percent; sizes come in bytes, printed in KB of 1024 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator, PercentFormatter

BLACK, ORANGE, SKY, GREEN = "#222222", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
QUIET = "#767676"

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelcolor": BLACK,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.dpi": 144,
    "figure.facecolor": "white",
    "figure.titlesize": 13,
    "figure.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.framealpha": 0.92,
    "legend.edgecolor": "#DDDDDD",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.dpi": 144,
    "text.color": BLACK,
    "xtick.color": "#555555",
    "xtick.labelsize": 9,
    "ytick.color": "#555555",
    "ytick.labelsize": 9,
}


@dataclass(frozen=True)
class BitWidthPoint:
    """One bit width's result. accuracy: fraction; interval: its 95 % bounds; num_bytes: the stored size."""

    bit_width: int
    accuracy: float
    num_bytes: int
    interval: tuple[float, float] | None = None


@contextmanager
def open_figure(path: Path, title: str, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches, styled, and written to `path` at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height))
        figure.suptitle(title, x=0.012, ha="left")
        yield figure
        # Without `Software`, matplotlib's version would be part of the bytes.
        figure.savefig(path, format="png", metadata={"Software": None})


def _percent() -> PercentFormatter:
    return PercentFormatter(100, symbol=" %")


def format_signed(points: float) -> str:
    """Two places, with a sign that is a minus."""
    return f"{points:+.2f}".replace("-", "\N{MINUS SIGN}")


def format_kb(num_bytes: float) -> str:
    """KB of 1024 bytes, three digits that count."""
    kb = num_bytes / 1024
    return f"{kb:,.0f} KB" if kb >= 100 else f"{kb:.1f} KB" if kb >= 10 else f"{kb:.2f} KB"


def lay_kb_axis(axis: Any, lowest: float, highest: float, most: int = 13) -> None:
    """Powers of two as ticks of a logarithmic axis in bytes, at most so many of them."""
    exponents = range(int(np.floor(np.log2(lowest))), int(np.ceil(np.log2(highest))) + 1)
    stride = -(-len(exponents) // most)
    axis.set_major_locator(FixedLocator([2.0**e for e in exponents][::stride]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1024:,.4g} KB"))


def _column(history: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [float(row[name]) for row in history]


def _show_best(axes: Axes, best_epoch: float, label: str) -> None:
    axes.axvline(best_epoch, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1, label=label)


def plot_training_curves(
    path: Path, history: Sequence[Mapping[str, float]], *, best_epoch: int, title: str = "Training"
) -> None:
    """Loss and accuracy of train and validation by epoch.

    history: per epoch `epoch`, `train_loss`, `validation_loss`, `train_accuracy`, `validation_accuracy`
    (fractions). best_epoch: the one whose weights were kept.
    """
    epochs = _column(history, "epoch")
    best = next(row["validation_accuracy"] for row in history if row["epoch"] == best_epoch)
    with open_figure(path, title, 9.6, 4.0) as figure:
        left, right = figure.subplots(1, 2)
        for axes, measure, factor in ((left, "loss", 1.0), (right, "accuracy", 100.0)):
            for split, colour, marker, dash in (("train", BLUE, "o", "-"), ("validation", VERMILION, "s", "--")):
                values = [factor * value for value in _column(history, f"{split}_{measure}")]
                axes.plot(epochs, values, color=colour, marker=marker, linestyle=dash, label=split)
            _show_best(axes, best_epoch, f"best epoch: {best_epoch}")
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        left.set_title("Loss")
        left.set_ylabel("cross-entropy (nats per example)")
        right.set_title(f"Accuracy: {100 * best:.2f} % on validation at best")
        right.set_ylabel("accuracy")
        right.yaxis.set_major_formatter(_percent())
        left.legend(loc="upper right")
        right.legend(loc="lower right")


def plot_confusion_matrix(
    path: Path, matrix: Sequence[Sequence[int]], class_names: Sequence[str], *, title: str
) -> None:
    """matrix: [true class][predicted class] counts. Shade is the share of the true class; zeros stay blank."""
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    accuracy = float(np.trace(counts)) / max(int(counts.sum()), 1)
    side = 2.9 + 0.56 * len(class_names)
    with open_figure(path, title, side + 0.7, side) as figure:
        axes = figure.subplots()
        # A square root, so that the few mistakes are seen beside a diagonal near 100 %.
        image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(counts > 0):
            ink = "white" if shares[row, column] > 0.36 else BLACK
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=ink, fontsize=8.5)
        axes.set_xticks(range(len(class_names)), class_names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(class_names)), class_names)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.set_title(f"{np.trace(counts):,} of {counts.sum():,} right: {100 * accuracy:.2f} %")
        axes.grid(visible=False)
        axes.tick_params(length=0)
        bar = figure.colorbar(image, ax=axes, fraction=0.042, pad=0.02)
        bar.set_ticks([float(np.sqrt(share)) for share in (0, 0.01, 0.05, 0.25, 0.5, 1)])
        bar.set_ticklabels(["0 %", "1 %", "5 %", "25 %", "50 %", "100 %"])
        bar.set_label("share of the true class")


_SPARSITY_TICKS = (0.0, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


def plot_sparsity_curve(
    path: Path,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    baseline: float,
    max_drop: float,
    chosen: Mapping[str, float] | None = None,
    title: str = "Accuracy against sparsity",
) -> None:
    """Every probe of one or more searches: the whole curve, and its part near the limit.

    curves: label → (sparsity, accuracy), fractions. baseline: accuracy of the dense model. max_drop: points.
    chosen: label → the sparsity decided on, one of its points.
    The axis counts in 1 / density: from 90 to 95 % is as far as from 95 to 97.5 %, since each halves what is kept.
    """
    highest = max(sparsity for points in curves.values() for sparsity, _ in points)
    with open_figure(path, title, 10.4, 5.0) as figure:
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            for (label, points), colour, marker in zip(curves.items(), SERIES, MARKERS, strict=False):
                ordered = sorted(points)
                axes.plot(
                    [1 / (1 - sparsity) for sparsity, _ in ordered],
                    [100 * accuracy for _, accuracy in ordered],
                    color=colour,
                    marker=marker,
                    label=label,
                )
                at = (chosen or {}).get(label)
                if at is not None:
                    accuracy = dict(points)[at]
                    axes.plot(
                        [1 / (1 - at)], [100 * accuracy], marker="o", markersize=13, markerfacecolor="none",
                        markeredgecolor=colour, markeredgewidth=1.8, linestyle="none",
                        label=f"chosen: {100 * at:.1f} % sparse, drop {100 * (baseline - accuracy):.2f} points",
                    )  # fmt: skip
            axes.axhline(100 * baseline, color=BLACK, linewidth=1.1, label=f"dense: {100 * baseline:.2f} %")
            axes.axhline(
                100 * baseline - max_drop, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)),
                label=f"limit: {max_drop:g} {'point' if max_drop == 1 else 'points'} below",
            )  # fmt: skip
            axes.set_xscale("log")
            ticks = [sparsity for sparsity in _SPARSITY_TICKS if sparsity <= highest + 0.002]
            axes.set_xticks([1 / (1 - sparsity) for sparsity in ticks], [f"{100 * s:g} %" for s in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel("sparsity (stretched: equal steps halve what is kept)")
        left.set_title("The whole curve")
        left.set_ylabel("accuracy")
        left.yaxis.set_major_formatter(_percent())
        margin = max(max_drop, 0.5)
        best = max(accuracy for points in curves.values() for _, accuracy in points)
        right.set_ylim(100 * baseline - 3 * margin, 100 * max(baseline, best) + 0.4 * margin)
        right.set_title("Near the limit")
        right.yaxis.set_major_formatter(_percent())
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def plot_layer_sparsity(
    path: Path, names: Sequence[str], sparsities: Sequence[float], *, total: float, title: str = "Sparsity by layer"
) -> None:
    """The sparsity (fraction) of each layer, in the network's order; total: of all weights together."""
    with open_figure(path, title, 8.0, 1.7 + 0.42 * len(names)) as figure:
        axes = figure.subplots()
        rows = range(len(names))
        axes.barh(rows, [100] * len(names), color="#EFEFEF", height=0.62)
        axes.barh(rows, [100 * sparsity for sparsity in sparsities], color=BLUE, height=0.62)
        for row, sparsity in zip(rows, sparsities, strict=True):
            axes.text(101, row, f"{100 * sparsity:.1f} %", va="center", fontsize=9)
        axes.axvline(100 * total, color=VERMILION, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.set_title(f"{100 * total:.2f} % of all weights are zero (dashed line)")
        axes.set_yticks(rows, names)
        axes.invert_yaxis()
        axes.set_xlim(0, 109)
        axes.set_xticks(range(0, 101, 20))
        axes.xaxis.set_major_formatter(_percent())
        axes.set_xlabel("weights that are zero")
        axes.grid(visible=False, axis="y")


def plot_bit_widths(
    path: Path, rows: Sequence[BitWidthPoint], *, baseline: float, title: str = "Accuracy and size by bit width"
) -> None:
    """Accuracy with its 95 % interval, and bytes, of each bit width. baseline: the float model's accuracy."""
    ordered = sorted(rows, key=lambda row: row.bit_width, reverse=True)
    places = range(len(ordered))
    labels = [f"{row.bit_width} bit" for row in ordered]
    with open_figure(path, title, 9.6, 4.0) as figure:
        left, right = figure.subplots(1, 2)
        for place, row in zip(places, ordered, strict=True):
            low, high = row.interval or (row.accuracy, row.accuracy)
            error = [[100 * (row.accuracy - low)], [100 * (high - row.accuracy)]]
            left.errorbar(
                [place],
                [100 * row.accuracy],
                yerr=error,
                color=BLUE,
                marker="o",
                markersize=7,
                capsize=4,
                linewidth=1.3,
            )
        left.axhline(100 * baseline, color=BLACK, linewidth=1.1, label=f"float32: {100 * baseline:.2f} %")
        left.set_title("Accuracy, 95 % interval" if any(row.interval for row in ordered) else "Accuracy")
        left.set_ylabel("accuracy")
        left.yaxis.set_major_formatter(_percent())
        left.set_xticks(
            places,
            [
                f"{label}\n{100 * row.accuracy:.2f} %\n{format_signed(100 * (row.accuracy - baseline))} points"
                for label, row in zip(labels, ordered, strict=True)
            ],
        )
        left.set_xlim(-0.5, len(ordered) - 0.5)
        left.legend(loc="lower left")
        right.bar(places, [row.num_bytes / 1024 for row in ordered], color=SKY, width=0.62)
        for place, row in zip(places, ordered, strict=True):
            right.annotate(
                format_kb(row.num_bytes), (place, row.num_bytes / 1024), xytext=(0, 3), textcoords="offset points",
                ha="center", fontsize=8.5,
            )  # fmt: skip
        right.set_title("Size")
        right.set_ylabel("KB (1 KB = 1024 bytes)")
        right.set_xticks(places, labels)
        right.margins(y=0.12)
        right.grid(visible=False, axis="x")


def plot_size_ledger(path: Path, entries: Mapping[str, int], *, title: str = "Size ledger") -> None:
    """entries: measure → bytes, `float32` among them: every ratio is against it."""
    reference = entries["float32"]
    ordered = sorted(entries.items(), key=lambda entry: -entry[1])
    with open_figure(path, title, 8.4, 1.7 + 0.46 * len(ordered)) as figure:
        axes = figure.subplots()
        rows = range(len(ordered))
        smallest = ordered[-1][1]
        lowest = 2.0 ** np.floor(np.log2(smallest / 2))
        colours = [QUIET if name == "float32" else VERMILION if name == "file" else BLUE for name, _ in ordered]
        axes.barh(rows, [num_bytes - lowest for _, num_bytes in ordered], left=lowest, color=colours, height=0.6)
        axes.set_xscale("log")
        axes.set_xlim(lowest, reference * (reference / lowest) ** 0.30)
        for row, (_, num_bytes) in zip(rows, ordered, strict=True):
            text = f"{format_kb(num_bytes)}   {reference / num_bytes:,.1f}×"
            axes.annotate(text, (num_bytes, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9)
        lay_kb_axis(axes.xaxis, lowest, reference)
        axes.set_yticks(rows, [name for name, _ in ordered])
        axes.invert_yaxis()
        axes.set_xlabel("bytes, logarithmic (1 KB = 1024 bytes); × is how much smaller than float32")
        axes.grid(visible=False, axis="y")


def plot_front(
    path: Path,
    points: Sequence[tuple[int, float]],
    front: Sequence[tuple[int, float]],
    *,
    threshold: float,
    chosen: tuple[int, float] | None = None,
    title: str = "File size against accuracy",
) -> None:
    """(bytes, accuracy) of everything tried, its front, the lowest accuracy allowed, and the point chosen."""
    ordered = sorted(front)
    with open_figure(path, title, 8.0, 4.8) as figure:
        axes = figure.subplots()
        axes.scatter(
            [num_bytes for num_bytes, _ in points], [100 * accuracy for _, accuracy in points],
            s=26, color=SKY, edgecolor="white", linewidth=0.6, zorder=2, label=f"tried ({len(points)})",
        )  # fmt: skip
        axes.plot(
            [num_bytes for num_bytes, _ in ordered], [100 * accuracy for _, accuracy in ordered],
            color=BLUE, marker="o", drawstyle="steps-post", zorder=3, label="front: none smaller is better",
        )  # fmt: skip
        axes.axhline(
            100 * threshold, color=QUIET, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1,
            label=f"lowest allowed: {100 * threshold:.2f} %",
        )  # fmt: skip
        if chosen is not None:
            axes.plot(
                [chosen[0]], [100 * chosen[1]], marker="*", markersize=17, color=VERMILION, markeredgecolor="white",
                linestyle="none", zorder=4, label=f"chosen: {format_kb(chosen[0])} at {100 * chosen[1]:.2f} %",
            )  # fmt: skip
        sizes = [num_bytes for num_bytes, _ in (*points, *front)]
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.15, max(sizes) * 1.15)
        lay_kb_axis(axes.xaxis, min(sizes) / 1.15, max(sizes) * 1.15)
        axes.set_xlabel("bytes on disk, logarithmic (1 KB = 1024 bytes)")
        axes.set_ylabel("accuracy")
        axes.yaxis.set_major_formatter(_percent())
        axes.legend(loc="lower right")


def plot_quantization_curves(
    path: Path,
    histories: Mapping[int, Sequence[Mapping[str, float]]],
    *,
    baseline: float,
    title: str = "Quantization-aware training",
) -> None:
    """histories: bit width → rows of `epoch`, `train_loss`, `validation_accuracy` (fraction)."""
    with open_figure(path, title, 9.6, 4.0) as figure:
        left, right = figure.subplots(1, 2)
        for width, colour, marker in zip(sorted(histories, reverse=True), SERIES, MARKERS, strict=False):
            epochs = _column(histories[width], "epoch")
            panels: tuple[tuple[Axes, str, Callable[[float], float]], ...] = (
                (left, "train_loss", lambda loss: loss),
                (right, "validation_accuracy", lambda fraction: 100 * fraction),
            )
            for axes, name, scaled in panels:
                values = [scaled(value) for value in _column(histories[width], name)]
                axes.plot(epochs, values, color=colour, marker=marker, label=f"{width} bit")
        right.axhline(100 * baseline, color=BLACK, linewidth=1.1, label=f"float32: {100 * baseline:.2f} %")
        left.set_title("Loss on train")
        left.set_ylabel("loss")
        right.set_title("Accuracy on validation")
        right.set_ylabel("accuracy")
        right.yaxis.set_major_formatter(_percent())
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        left.legend(loc="upper right")
        right.legend(loc="lower right")
