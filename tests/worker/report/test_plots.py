"""What a reader of the PNG files may rely on. How they look was judged by eye."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import matplotlib.pyplot
import numpy as np
import pytest

from worker.report.figures import plots
from worker.report.figures.plots_ablation import AblationStep, plot_ablation

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

PLOTS: dict[str, Callable[[Path], None]] = {
    "training curves": lambda path: plots.plot_training_curves(path, EPOCHS, best_epoch=8),
    "training of a single epoch": lambda path: plots.plot_training_curves(path, EPOCHS[:1], best_epoch=1),
    "confusion matrix": lambda path: plots.plot_confusion_matrix(
        path, (np.eye(10, dtype=int) * 990 + 1).tolist(), LONG_NAMES, title="fashion_cnn on fashion_mnist, test split"
    ),
    "confusion matrix with a class nobody has": lambda path: plots.plot_confusion_matrix(
        path, [[0, 0], [3, 5]], ["no", "yes"], title="test"
    ),
    "ablation": lambda path: plot_ablation(
        path,
        [
            AblationStep("float32 checkpoint", 1_689_651, 0.0),
            AblationStep("a technique whose name takes nearly half the width of a page", 14_500, 0.2),
            AblationStep("one that buys nothing", 14_520, -0.1),
        ],
        max_drop=1.0,
        title="What each technique bought",
    ),
    "sparsity of one search": lambda path: plots.plot_sparsity_curve(
        path, {"one-shot": ONE_SHOT}, baseline=0.931, max_drop=1.0, chosen={"one-shot": 0.5}
    ),
    "sparsity of two searches": lambda path: plots.plot_sparsity_curve(
        path, {"one-shot": ONE_SHOT, "step-by-step": STEP_BY_STEP}, baseline=0.931, max_drop=1.0
    ),
    "sparsity with no drop allowed": lambda path: plots.plot_sparsity_curve(
        path, {"one-shot": ONE_SHOT[:1]}, baseline=0.93, max_drop=0.0
    ),
    "sparsity by layer": lambda path: plots.plot_layer_sparsity(
        path, [f"block{number}.convolution.pointwise" for number in range(14)], [0.9] * 13 + [1.0], total=0.912
    ),
    "sparsity of a single layer": lambda path: plots.plot_layer_sparsity(path, ["fc"], [0.0], total=0.0),
    "bit widths": lambda path: plots.plot_bit_widths(
        path,
        [plots.BitWidthPoint(width, 0.93 - 0.02 / width, 52_000 * width, (0.91, 0.94)) for width in (8, 6, 4, 2)],
        baseline=0.931,
    ),
    "one bit width without its interval": lambda path: plots.plot_bit_widths(
        path, [plots.BitWidthPoint(4, 0.93, 700)], baseline=0.93
    ),
    "size ledger": lambda path: plots.plot_size_ledger(
        path, {"float32": 1_692_864, "formula": 105_472, "packed": 60_000, "entropy": 11_000, "file": 11_500}
    ),
    "size ledger of nothing but float32": lambda path: plots.plot_size_ledger(path, {"float32": 3_000}),
    "front": lambda path: plots.plot_front(
        path, [(4_000, 0.9), (9_000, 0.925), (60_000, 0.92)], [(4_000, 0.9), (9_000, 0.925)], threshold=0.921,
        chosen=(9_000, 0.925),
    ),
    "front of a single point": lambda path: plots.plot_front(path, [(800, 0.9)], [(800, 0.9)], threshold=0.95),
    "quantization curves": lambda path: plots.plot_quantization_curves(
        path, {8: EPOCHS[:2], 6: EPOCHS[:3], 4: EPOCHS[:4], 2: EPOCHS}, baseline=0.931
    ),
}  # fmt: skip


@pytest.mark.parametrize("draw", PLOTS.values(), ids=PLOTS.keys())
def test_nothing_is_cut_off_the_margin_stays_white(draw: Callable[[Path], None], tmp_path: Path) -> None:
    draw(tmp_path / "plot.png")
    pixels = matplotlib.image.imread(tmp_path / "plot.png")[:, :, :3]
    assert min(pixels[:2].min(), pixels[-2:].min(), pixels[:, :2].min(), pixels[:, -2:].min()) == 1.0
    assert pixels.min() < 0.5, "an empty picture has no cut text either"


def test_the_same_numbers_give_the_same_bytes_whatever_style_the_caller_has_set(tmp_path: Path) -> None:
    draw = PLOTS["sparsity of two searches"]
    draw(tmp_path / "first.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        draw(tmp_path / "second.png")
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_other_numbers_give_another_picture(tmp_path: Path) -> None:
    plots.plot_layer_sparsity(tmp_path / "a.png", ["fc"], [0.5], total=0.5)
    plots.plot_layer_sparsity(tmp_path / "b.png", ["fc"], [0.6], total=0.6)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_no_figure_is_left_in_global_state(tmp_path: Path) -> None:
    PLOTS["front"](tmp_path / "plot.png")
    assert matplotlib.pyplot.get_fignums() == []


def test_a_ledger_without_its_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="float32"):
        plots.plot_size_ledger(tmp_path / "plot.png", {"file": 10})
