"""What every figure of a report shares: style, numerals, axes. No figure has a title: its caption says it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from worker.report.figures.plots import STYLE
from worker.report.language.fonts import BOLD, PERSIAN_FONT, REGULAR
from worker.report.language.values import Value
from worker.report.language.wording import Wording, strip_isolates

WIDTH = 6.7
"""Inches: the width of the text, so that letters are printed at the size that is written here."""
DPI = 200
DASHED = (0, (4, 3))
SHORT_DASHED = (0, (1.5, 1.5))


class Canvas:
    """Draws in one language: labels, digits and font are that language's."""

    def __init__(self, wording: Wording) -> None:
        self.wording = wording
        self.persian = wording.language == "fa"
        if self.persian:
            # Known to matplotlib by file, since no machine has it installed; adding it twice changes nothing.
            known = {entry.fname for entry in font_manager.fontManager.ttflist}
            for file in (REGULAR, BOLD):
                if str(file) not in known:
                    font_manager.fontManager.addfont(file)

    @contextmanager
    def figure(self, path: Path, height: float, width: float = WIDTH) -> Iterator[Figure]:
        """A figure of so many inches, written to `path` as PNG at the end."""
        family = [PERSIAN_FONT, "DejaVu Sans"] if self.persian else ["DejaVu Sans"]
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(
                STYLE
                | {
                    "font.family": family,
                    "font.size": 8.5,
                    "axes.labelsize": 8.5,
                    "axes.titlesize": 9,
                    "axes.titlelocation": "right" if self.persian else "left",
                    "legend.fontsize": 7.8,
                    "xtick.labelsize": 7.8,
                    "ytick.labelsize": 7.8,
                    "lines.linewidth": 1.5,
                    "lines.markersize": 4.2,
                    "savefig.dpi": DPI,
                }
            )
            figure = Figure(figsize=(width, height))
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

    def percent_axis(self, axis: Any) -> None:
        """Ticks in percent, of values that are percentages already."""
        axis.set_major_formatter(FuncFormatter(lambda value, _: self.digits(f"{value:.10g}")))

    def number_axis(self, axis: Any) -> None:
        """Ticks in the language's digits."""
        axis.set_major_formatter(FuncFormatter(lambda value, _: self.digits(f"{value:.10g}")))

    def whole_axis(self, axis: Any) -> None:
        """Ticks at whole numbers alone."""
        axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.number_axis(axis)

    def kilobyte_axis(self, axis: Any, lowest: float, highest: float) -> None:
        """Powers of two as ticks of a logarithmic axis in bytes, few enough to be read."""
        exponents = range(int(np.floor(np.log2(lowest))), int(np.ceil(np.log2(highest))) + 1)
        stride = max(1, len(exponents) // 7)
        axis.set_major_locator(FixedLocator([2.0**e for e in exponents][::stride]))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: self.digits(f"{value / 1024:,.4g}")))

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
