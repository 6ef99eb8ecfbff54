"""What a notebook shows: tables and curves, as HTML without a script. All text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _MARGIN = 320, 150, 24
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728")

Points = Sequence[tuple[float, float]]


def build_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Builds a table with one header line."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def build_bar(percent: float | None, text: str) -> str:
    """Builds a progress bar with words beside it."""
    value = "" if percent is None else f' value="{percent:.1f}"'
    return f'<progress max="100"{value}></progress> {escape(text)}'


def build_chart(title: str, series: Mapping[str, Points]) -> str:
    """Builds lines over steps as SVG, the range of both axes written beside them; nothing without points."""
    shown = {name: points for name, points in series.items() if points}
    if not shown:
        return ""
    steps = [step for points in shown.values() for step, _ in points]
    values = [value for points in shown.values() for _, value in points]
    left, right, low, high = min(steps), max(steps), min(values), max(values)

    def place(step: float, value: float) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * ((step - left) / (right - left) if right > left else 0.5)
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * ((value - low) / (high - low) if high > low else 0.5)
        return x, y

    lines = []
    for number, (name, points) in enumerate(shown.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [place(*point) for point in points]
        line, (x, y) = " ".join(f"{x:.1f},{y:.1f}" for x, y in places), places[-1]
        lines.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>'
            f'<text x="{_WIDTH - _MARGIN}" y="{_MARGIN + 12 * number}" text-anchor="end" fill="{colour}">'
            f"{escape(name)} {points[-1][1]:.4g}</text>"
        )
    return (
        f'<svg role="img" aria-label="{escape(title)}" width="{_WIDTH}" height="{_HEIGHT}" font-size="10" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="4" y="12" font-weight="bold">{escape(title)}</text>{"".join(lines)}'
        f'<text x="{_MARGIN}" y="{_HEIGHT - 6}">step {left:g}–{right:g}, {low:.4g}–{high:.4g}</text></svg>'
    )


def format_cell(value: Any, factor: float = 1, form: str = "{:.6g}") -> str:
    """Writes a number in this form, a dash for None, text as it is."""
    if value is None:
        return "–"
    return form.format(factor * value) if isinstance(value, int | float) else str(value)
