"""How wide the columns of a table should be, for formats that do not find it out themselves."""

from __future__ import annotations

from worker.report.content import Table
from worker.report.writers.inline import strip_markup

LINE_CHARS = 92
"""Letters of a table's size that fit into the width of the text, in a wide font."""
PADDING_CHARS = 4.0
"""What the margins of a cell take, and bold letters beyond others."""
CODE_FACTOR = 1.25
"""Letters of a typewriter are so much wider."""


def share_width(table: Table) -> list[float]:
    """The share of the text's width for each column: no word is broken while all words fit, then no cell is.

    Sums to 1.
    """
    words, cells = [], []
    for position, column in enumerate(table.columns):
        texts = [column.head, *(row[position] for row in table.rows)]
        words.append(PADDING_CHARS + max(_measure(word) for text in texts for word in (text.split() or [""])))
        cells.append(PADDING_CHARS + max(_measure(text) for text in texts))
    wishes = [cell - word for cell, word in zip(cells, words, strict=True)]
    spare = max(0.0, LINE_CHARS - sum(words))
    granted = min(1.0, spare / sum(wishes)) if any(wishes) else 0.0
    widths = [word + granted * wish for word, wish in zip(words, wishes, strict=True)]
    return [width / sum(widths) for width in widths]


def _measure(text: str) -> float:
    return len(strip_markup(text)) * (CODE_FACTOR if "`" in text else 1.0)
