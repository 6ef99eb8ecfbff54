"""What every figure shares: style, numerals, axes.

Figures are made without pyplot (it keeps global state and every figure it ever made): the same numbers give the same
bytes. Colours are Okabe and Ito's, told apart by colour-blind readers too; where two lines meet, marker and dash differ
as well. Accuracy and sparsity come in as fractions and are printed in percent; sizes come in bytes, printed in KB of
1024 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from worker.report.language.fonts import BOLD, PERSIAN_FONT, REGULAR
from worker.report.language.values import Value
from worker.report.language.wording import Wording, get_wording, strip_isolates

BLACK, ORANGE, SKY, GREEN = "#222222", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
QUIET = "#767676"
WIDTH = 6.7
"""Inches: the width of the text, so that letters are printed at the size that is written here."""
TITLE_HEIGHT = 0.25
DASHED = (0, (4, 3))
SHORT_DASHED = (0, (1.5, 1.5))
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#999999",
    "axes.grid": True,
    "axes.labelcolor": BLACK,
    "axes.labelsize": 8.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.facecolor": "white",
    "figure.titlesize": 10,
    "figure.titleweight": "bold",
    "font.size": 8.5,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "legend.fontsize": 7.8,
    "legend.framealpha": 0.92,
    "legend.edgecolor": "#DDDDDD",
    "lines.linewidth": 1.5,
    "lines.markersize": 4.2,
    "savefig.dpi": 200,
    "text.color": BLACK,
    "xtick.color": "#555555",
    "xtick.labelsize": 7.8,
    "ytick.color": "#555555",
    "ytick.labelsize": 7.8,
}


@dataclass(frozen=True)
class Canvas:
    """Draws in one language: labels, digits and font are that language's.

    title: above a picture that stands alone; within a document its caption says it.
    """

    wording: Wording
    title: str = ""

    @property
    def persian(self) -> bool:
        """Whether it reads from right to left."""
        return self.wording.language == "fa"

    @contextmanager
    def figure(self, path: Path, height: float, width: float = WIDTH) -> Iterator[Figure]:
        """A figure of so many inches, without its title, written to `path` as PNG at the end."""
        family = ["DejaVu Sans"]
        if self.persian:
            _register_fonts()
            family = [PERSIAN_FONT, *family]
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            side = "right" if self.persian else "left"
            matplotlib.rcParams.update(STYLE | {"font.family": family, "axes.titlelocation": side})
            figure = Figure(figsize=(width, height + (TITLE_HEIGHT if self.title else 0)))
            if self.title:
                figure.suptitle(self.title, x=0.012, ha="left")
            yield figure
            # Without `Software`, matplotlib's version would be part of the bytes.
            figure.savefig(path, format="png", metadata={"Software": None})

    def term(self, key: str) -> str:
        """A word of the language."""
        return self.wording.term(key)

    def say(self, key: str, **values: Value) -> str:
        """A short sentence of the language, without marks of direction: matplotlib orders letters by itself."""
        return strip_isolates(self.wording.say(key, **values))

    def show(self, value: Value) -> str:
        """A number as the language writes it."""
        return strip_isolates(self.wording.show(value))

    def digits(self, numeral: str) -> str:
        """A numeral in the language's digits."""
        return self.wording.numerals.localize(numeral)

    def number_axis(self, axis: Any) -> None:
        """Ticks in the language's digits."""
        axis.set_major_formatter(FuncFormatter(lambda value, _: self.digits(f"{value:.10g}")))

    def whole_axis(self, axis: Any) -> None:
        """Ticks at whole numbers alone."""
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.number_axis(axis)

    def kilobyte_axis(self, axis: Any, lowest: float, highest: float, most: int = 13) -> None:
        """Powers of two as ticks of a logarithmic axis in bytes, at most so many of them."""
        exponents = range(int(np.floor(np.log2(lowest))), int(np.ceil(np.log2(highest))) + 1)
        stride = -(-len(exponents) // most)
        axis.set_major_locator(FixedLocator([2.0**e for e in exponents][::stride]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: self.digits(f"{value / 1024:,.10g}")))

    def kilobytes(self, num_bytes: float) -> str:
        """KB, as short as it is told apart."""
        kb = num_bytes / 1024
        return self.digits(f"{kb:,.0f}" if kb >= 100 else f"{kb:.1f}" if kb >= 10 else f"{kb:.2f}")

    def legend(self, axes: Axes, place: Any = "best") -> None:
        """A legend, markers on the side where reading begins."""
        axes.legend(loc=place, **self.legend_direction())

    def legend_direction(self) -> dict[str, Any]:
        """For `legend`: in Persian the marker stands to the right of its word."""
        return {"markerfirst": False, "alignment": "right"} if self.persian else {}


def make_titled(title: str) -> Canvas:
    """A canvas for a picture that stands alone, in English."""
    return Canvas(get_wording("en"), title)


def _register_fonts() -> None:
    # Known to matplotlib by file, since no machine has it installed; adding it twice changes nothing.
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in (REGULAR, BOLD):
        if str(file) not in known:
            font_manager.fontManager.addfont(file)
