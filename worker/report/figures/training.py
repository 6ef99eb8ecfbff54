"""Figures of data, training and mistakes: samples, curves by epoch, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from worker.report.facts import DatasetFact
from worker.report.figures.canvas import BLACK, BLUE, DASHED, MARKERS, QUIET, SERIES, VERMILION, WIDTH, Canvas
from worker.report.language.values import class_name, count, percent

History = Sequence[Mapping[str, float]]


def draw_samples(canvas: Canvas, path: Path, dataset: DatasetFact) -> None:
    """One row of pictures per class, the class beside it: grey ones dark on white, coloured ones as they are."""
    rows, columns = len(dataset.class_names), max(1, *(len(pictures) for pictures in dataset.samples))
    with canvas.figure(path, 0.43 * rows + 0.1, WIDTH) as figure:
        axes = figure.subplots()
        channels, height, width = dataset.input_shape
        gap = max(1, height // 10)
        sides = rows * (height + gap) - gap, columns * (width + gap) - gap
        sheet = np.full(sides if channels == 1 else (*sides, channels), 255, dtype=np.uint8)
        for row, pictures in enumerate(dataset.samples):
            for column, picture in enumerate(pictures):
                top, left = row * (height + gap), column * (width + gap)
                sheet[top : top + height, left : left + width] = 255 - picture if channels == 1 else picture
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        names = [canvas.show(class_name(name)) for name in dataset.class_names]
        axes.set_yticks([row * (height + gap) + height / 2 for row in range(rows)], names)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        if canvas.persian:
            axes.yaxis.tick_right()


def draw_training(canvas: Canvas, path: Path, history: History, best_epoch: int) -> None:
    """Loss and accuracy of train and validation by epoch, with the epoch that was kept."""
    with canvas.figure(path, 2.6) as figure:
        left, right = figure.subplots(1, 2)
        _draw_splits(canvas, left, right, history)
        for axes in (left, right):
            axes.axvline(
                best_epoch, color=QUIET, linewidth=1, linestyle=DASHED, zorder=1,
                label=canvas.say("figure.best_epoch", epoch=count(best_epoch)),
            )  # fmt: skip
            axes.set_xlabel(canvas.term("epoch"))
            canvas.whole_axis(axes.xaxis)
            canvas.number_axis(axes.yaxis)
        left.set_ylabel(canvas.term("cross_entropy_nats"))
        right.set_ylabel(canvas.term("accuracy_percent"))
        canvas.legend(left, "upper right")
        canvas.legend(right, "lower right")


def draw_confusion(canvas: Canvas, path: Path, matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> None:
    """[true class][predicted class] counts. Shade is the share of the true class; zeros stay blank."""
    counts = np.asarray(matrix, dtype=np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [canvas.show(class_name(name)) for name in class_names]
    side = max(4.6, 1.8 + 0.28 * len(names))
    with canvas.figure(path, side, side + 1.3) as figure:
        axes = figure.subplots()
        # A square root, so that the few mistakes are seen beside a diagonal near 100 %.
        image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
        for row, column in np.argwhere(counts > 0):
            ink = "white" if shares[row, column] > 0.36 else BLACK
            number = canvas.show(count(int(counts[row, column])))
            axes.text(column, row, number, ha="center", va="center", color=ink, fontsize=7.2)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel(canvas.term("predicted_class"))
        axes.set_ylabel(canvas.term("true_class"))
        axes.grid(visible=False)
        axes.tick_params(length=0)
        bar = figure.colorbar(image, ax=axes, fraction=0.042, pad=0.02)
        shown = (0, 1, 5, 25, 50, 100)
        bar.set_ticks([float(np.sqrt(share / 100)) for share in shown])
        bar.set_ticklabels([canvas.digits(f"{share}") for share in shown])
        bar.set_label(canvas.term("share_of_true_class"))


def draw_quantization(
    canvas: Canvas, path: Path, histories: Mapping[int, History], *, baseline: Mapping[str, float]
) -> None:
    """Loss on train and accuracy on validation while training quantized.

    histories: bit width → rows by epoch. baseline: `loss` and `accuracy` of the float model on validation.
    One width alone is shown with train and validation apart.
    """
    with canvas.figure(path, 2.6 if len(histories) == 1 else 2.9) as figure:
        left, right = figure.subplots(1, 2)
        if len(histories) == 1:
            _draw_splits(canvas, left, right, next(iter(histories.values())))
        else:
            for width, colour, marker in zip(sorted(histories, reverse=True), SERIES, MARKERS, strict=False):
                rows = histories[width]
                epochs = [row["epoch"] for row in rows]
                label = canvas.say("figure.bits", bits=count(width))
                left.plot(epochs, [row["validation_loss"] for row in rows], color=colour, marker=marker, label=label)
                accuracy = [100 * row["validation_accuracy"] for row in rows]
                right.plot(epochs, accuracy, color=colour, marker=marker, label=label)
        label = canvas.say("figure.float_accuracy", accuracy=percent(baseline["accuracy"]))
        right.axhline(100 * baseline["accuracy"], color=BLACK, linewidth=1, linestyle=DASHED, label=label)
        left.axhline(baseline["loss"], color=BLACK, linewidth=1, linestyle=DASHED, label=canvas.term("float_model"))
        left.set_ylabel(canvas.term("loss" if len(histories) == 1 else "validation_loss_nats"))
        right.set_ylabel(canvas.term("accuracy_percent" if len(histories) == 1 else "validation_accuracy_percent"))
        for axes in (left, right):
            axes.set_xlabel(canvas.term("epoch"))
            canvas.whole_axis(axes.xaxis)
            canvas.number_axis(axes.yaxis)
            axes.margins(x=0.08, y=0.15)
        if len(histories) == 1:
            canvas.legend(left)
            canvas.legend(right)
        else:
            # Curves that cross leave no free corner: one legend for both panels, below them.
            figure.legend(
                *right.get_legend_handles_labels(), loc="outside lower center", ncols=len(histories) + 1,
                **canvas.legend_direction(),
            )  # fmt: skip


def _draw_splits(canvas: Canvas, left: Axes, right: Axes, rows: History) -> None:
    """Loss at the left and accuracy at the right, train and validation apart."""
    epochs = [row["epoch"] for row in rows]
    for axes, measure, factor in ((left, "loss", 1.0), (right, "accuracy", 100.0)):
        for split, colour, marker, dash in (("train", BLUE, "o", "-"), ("validation", VERMILION, "s", "--")):
            values: list[Any] = [factor * row[f"{split}_{measure}"] for row in rows]
            axes.plot(epochs, values, color=colour, marker=marker, linestyle=dash, label=canvas.term(split))
