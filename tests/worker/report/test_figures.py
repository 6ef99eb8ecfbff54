"""What a reader of the PNG files may rely on. How they look was judged by eye."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import matplotlib.pyplot
import numpy as np
import pytest

from worker.report.facts import DatasetFact
from worker.report.figures.ablation import AblationStep, draw_ablation
from worker.report.figures.canvas import Canvas
from worker.report.figures.compression import Mark, draw_bit_widths, draw_front, draw_layers, draw_ledger, draw_sparsity
from worker.report.figures.training import draw_confusion, draw_quantization, draw_samples, draw_training
from worker.report.language.wording import get_wording

EPOCHS = [
    {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "validation_loss": 1.1 / epoch,
        "train_accuracy": 1 - 0.2 / epoch,
        "validation_accuracy": 1 - 0.25 / epoch,
    }
    for epoch in range(1, 9)
]
LONG_NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
ONE_SHOT = [(0.2, 0.93), (0.5, 0.925), (0.8, 0.7), (0.95, 0.1)]
STEP_BY_STEP = [(0.5, 0.935), (0.9, 0.93), (0.975, 0.921), (0.99, 0.9)]

ENGLISH, PERSIAN = Canvas(get_wording("en"), "What is to be seen"), Canvas(get_wording("fa"))
CHOSEN = {"one-shot": 0.5, "step-by-step": 0.975}
FLOAT = {"loss": 0.3, "accuracy": 0.931}


def describe_samples(samples: list[list[np.ndarray[Any, Any]]], channels: int) -> DatasetFact:
    counts = {"train": [len(pictures) for pictures in samples]}
    names = LONG_NAMES[: len(samples)]
    return DatasetFact("dst_1", names, (channels, 8, 8), counts, mean=[0.5], std=[0.5], samples=samples)


RED = np.full((8, 8, 3), (255, 0, 0), np.uint8)
PHOTOGRAPHS = describe_samples([[RED, RED], [], [RED]], 3)
DIGITS = describe_samples([[np.full((8, 8), 255, np.uint8)]], 1)

PLOTS: dict[str, Callable[[Canvas, Path], None]] = {
    "training curves": lambda canvas, path: draw_training(canvas, path, EPOCHS, best_epoch=8),
    "training of a single epoch": lambda canvas, path: draw_training(canvas, path, EPOCHS[:1], best_epoch=1),
    "confusion matrix": lambda canvas, path: draw_confusion(
        canvas, path, (np.eye(10, dtype=int) * 990 + 1).tolist(), LONG_NAMES
    ),
    "confusion matrix with a class nobody has": lambda canvas, path: draw_confusion(
        canvas, path, [[0, 0], [3, 5]], ["no", "yes"]
    ),
    "confusion matrix of many classes": lambda canvas, path: draw_confusion(
        canvas, path, np.eye(26, dtype=int).tolist(), [f"a long name {number}" for number in range(26)]
    ),
    "photographs, of one class none": lambda canvas, path: draw_samples(canvas, path, PHOTOGRAPHS),
    "grey pictures": lambda canvas, path: draw_samples(canvas, path, DIGITS),
    "ablation": lambda canvas, path: draw_ablation(
        canvas,
        path,
        [
            AblationStep("float32 checkpoint", 1_689_651, 0.0),
            AblationStep("a technique whose name takes nearly half the width of a page", 14_500, 0.2),
            AblationStep("one that buys nothing", 14_520, -0.1),
        ],
        max_drop=1.0,
    ),
    "sparsity of one search": lambda canvas, path: draw_sparsity(
        canvas, path, {"one-shot": ONE_SHOT}, baseline=0.931, max_drop=1.0, chosen=CHOSEN, axis="sparsity"
    ),
    "sparsity of two searches": lambda canvas, path: draw_sparsity(
        canvas, path, {"one-shot": ONE_SHOT, "step-by-step": STEP_BY_STEP}, baseline=0.931, max_drop=1.0,
        chosen=CHOSEN, axis="sparsity",
    ),
    "sparsity with no drop allowed": lambda canvas, path: draw_sparsity(
        canvas, path, {"one-shot": ONE_SHOT[:1]}, baseline=0.93, max_drop=0.0, chosen=CHOSEN, axis="channels"
    ),
    "sparsity by layer": lambda canvas, path: draw_layers(
        canvas, path, [f"block{number}.convolution.pointwise" for number in range(14)], {"a": [0.9] * 13 + [1.0]}
    ),
    "sparsity of a single layer": lambda canvas, path: draw_layers(canvas, path, ["fc"], {"a": [0.0]}),
    "bit widths": lambda canvas, path: draw_bit_widths(
        canvas, path, {width: Mark(0.93 - 0.02 / width, (0.91, 0.94), 52_000 * width) for width in (8, 6, 4, 2)},
        baseline=0.931,
    ),
    "one bit width": lambda canvas, path: draw_bit_widths(
        canvas, path, {4: Mark(0.93, (0.92, 0.94), 700)}, baseline=0.93
    ),
    "size ledger": lambda canvas, path: draw_ledger(
        canvas, path, {"float32": 1_692_864, "formula": 105_472, "packed": 60_000, "entropy": 11_000, "file": 11_500}
    ),
    "size ledger of nothing but float32": lambda canvas, path: draw_ledger(canvas, path, {"float32": 3_000}),
    "size ledger of many megabytes": lambda canvas, path: draw_ledger(
        canvas, path, {"float32": 90 << 20, "file": 1 << 20}
    ),
    "front": lambda canvas, path: draw_front(
        canvas, path, [(4_000, 0.9), (9_000, 0.925), (60_000, 0.92)], [(4_000, 0.9), (9_000, 0.925)], threshold=0.921,
        chosen=(9_000, 0.925),
    ),
    "front of a single point": lambda canvas, path: draw_front(
        canvas, path, [(800, 0.9)], [(800, 0.9)], threshold=0.95, chosen=(800, 0.9)
    ),
    "quantization curves": lambda canvas, path: draw_quantization(
        canvas, path, {8: EPOCHS[:2], 6: EPOCHS[:3], 4: EPOCHS[:4], 2: EPOCHS}, baseline=FLOAT
    ),
    "quantization curves of one width": lambda canvas, path: draw_quantization(
        canvas, path, {4: EPOCHS}, baseline=FLOAT
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("canvas", [ENGLISH, PERSIAN], ids=["en, titled", "fa"])
@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS.keys())
def test_nothing_is_cut_off_the_margin_stays_white(
    draw: Callable[[Canvas, Path], None], canvas: Canvas, tmp_path: Path
) -> None:
    draw(canvas, tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")[:, :, :3]
    assert min(pixels[:2].min(), pixels[-2:].min(), pixels[:, :2].min(), pixels[:, -2:].min()) == 1.0
    assert pixels.min() < 0.5, "an empty picture has no cut text either"


def test_photographs_keep_their_colours(tmp_path: Path) -> None:
    draw_samples(ENGLISH, tmp_path / "photographs.png", PHOTOGRAPHS)
    pixels = matplotlib.image.imread(tmp_path / "photographs.png")[:, :, :3]
    assert (pixels == (1.0, 0.0, 0.0)).all(axis=2).sum() > 1000


def test_the_same_numbers_give_the_same_bytes_whatever_style_the_caller_has_set(tmp_path: Path) -> None:
    draw = PLOTS["sparsity of two searches"]
    draw(ENGLISH, tmp_path / "first.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw(ENGLISH, tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_other_numbers_give_another_picture(tmp_path: Path) -> None:
    draw_layers(ENGLISH, tmp_path / "a.png", ["fc"], {"a": [0.5]})
    draw_layers(ENGLISH, tmp_path / "b.png", ["fc"], {"a": [0.6]})
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_no_figure_is_left_in_global_state(tmp_path: Path) -> None:
    PLOTS["front"](ENGLISH, tmp_path / "plot.png")
    assert matplotlib.pyplot.get_fignums() == []


def test_a_ledger_without_its_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="float32"):
        draw_ledger(ENGLISH, tmp_path / "plot.png", {"file": 10})
