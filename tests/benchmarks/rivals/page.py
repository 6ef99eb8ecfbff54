"""The records → the tables and the figure of docs/benchmarks.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from tests.benchmarks.record import CHECKOUT, RESULTS
from tests.benchmarks.rivals.collect import NAMES, Row
from worker.report.figures.canvas import BLACK, BLUE, DASHED, GREEN, ORANGE, PURPLE, QUIET, VERMILION, make_titled

PAGE = CHECKOUT / "docs" / "benchmarks.md"
FIGURE = CHECKOUT / "docs" / "benchmarks-rivals.png"
RECORDS = {name: RESULTS / f"{name}.json" for name in ("rivals", "coding")}
"""The page's tables by the name of their record, which is also the name of their place in the page."""
_CODERS = (
    ("Tonok", "weight_bytes", "encode", "decode"),
    ("DeepCABAC, by default", "deepcabac_default_weight_bytes", "deepcabac_encode", "deepcabac_decode"),
    ("DeepCABAC, searched", "deepcabac_weight_bytes", "deepcabac_search", "deepcabac_decode"),
)
"""Name, and of a record's numbers: the bytes, and the speeds of encoding and decoding."""
_MARKS = {
    "tonok": (BLUE, "o"),
    "brevitas": (VERMILION, "s"),
    "nncf": (GREEN, "^"),
    "torch_pruning": (PURPLE, "D"),
    "onnxruntime": (ORANGE, "v"),
    "nncodec": (BLACK, "P"),
}
_PLACES = (
    (0, 6, "center", "bottom"),
    (0, -6, "center", "top"),
    (-8, 0, "right", "center"),
    (8, 0, "left", "center"),
    (-8, 9, "right", "center"),
    (8, 9, "left", "center"),
    (-8, -9, "right", "center"),
    (8, -9, "left", "center"),
)
"""Where a label may stand, in points from its marker, and which of its sides points there."""


def render_tables() -> dict[str, str]:
    """Name → Markdown of each record as `write_result` keeps it."""
    render = {"rivals": render_rivals, "coding": render_coding}
    return {name: render[name](json.loads(path.read_text(encoding="utf-8"))) for name, path in RECORDS.items()}


def render_rivals(record: Mapping[str, Any]) -> str:
    """A row for each artifact, and one for each tool that failed."""
    numbers, machine = record["numbers"], record["machine"]
    rows = [Row.from_json(told) for told in numbers["rows"]]
    reference = next(row for row in rows if row.variant == "float32" and row.tool == "tonok")
    threads = record["conditions"]["threads"]
    measured = (
        f"{_describe(record)}, {threads} thread{'' if threads == 1 else 's'}, seed {record['seeds'][0]}, "
        f"torch {machine['packages']['torch']}. Our jobs: {record['conditions']['our_jobs']}."
    )
    lines = [
        measured,
        "",
        "| Tool | What | File | Epochs | Bytes | + zstd | × smaller | Test % | Drop |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        tool = NAMES[row.tool] + (f" {numbers['versions'][row.tool]}" if row.tool in numbers["versions"] else "")
        smallest = min(row.num_bytes, row.zstd_bytes)
        lines.append(
            f"| {tool} | {row.variant} | {row.artifact} | {row.epochs} "
            f"| {row.num_bytes:,} | {row.zstd_bytes:,} | {reference.num_bytes / smallest:.1f} "
            f"| {100 * row.accuracy:.2f} | {row.drop:.2f} |"
        )
    lines += [
        f"| {NAMES[tool]} | not measured: {reason} | | | | | | | |" for tool, reason in numbers["failures"].items()
    ]
    return "\n".join(lines) + "\n"


def render_coding(record: Mapping[str, Any]) -> str:
    """For each network a row for each coder that was measured."""
    lines = [
        f"{_describe(record)}.",
        "",
        "| Integers of | Coder | Bytes of weights | Encode MB/s | Decode MB/s | as float32: encode | decode |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for name, numbers in record["numbers"].items():
        for coder, size, *steps in _CODERS:
            if size in numbers:
                speeds = [numbers[f"{step}{unit}_mb_per_s"] for unit in ("", "_float32") for step in steps]
                cells = [name, coder, f"{numbers[size]:,}", *(f"{speed:.3g}" for speed in speeds)]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_page() -> None:
    """Puts the tables of the records into the page, and draws the figure beside it."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in render_tables().items():
        found = _find_block(name).search(text)
        if found is None:
            raise LookupError(f"{PAGE.name} has no place for the table of {name}")
        text = text[: found.start(2)] + table + text[found.end(2) :]
    PAGE.write_text(text, encoding="utf-8")
    record = json.loads(RECORDS["rivals"].read_text(encoding="utf-8"))
    draw([Row.from_json(told) for told in record["numbers"]["rows"]], FIGURE)


def read_tables() -> dict[str, str]:
    """The tables as they stand in the page."""
    text = PAGE.read_text(encoding="utf-8")
    return {name: found[2] for name in RECORDS if (found := _find_block(name).search(text)) is not None}


def _find_block(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*)(<!-- /{name} -->)", re.DOTALL)


def _describe(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    return (
        f"Measured {record['measured_at'][:10]} at commit `{record['commit']}` on an {machine['processor']}, "
        f"{machine['cores']} cores"
    )


def choose_smallest(rows: Iterable[Row]) -> list[Row]:
    """Of each variant the artifact that is smallest once zstd has been at it."""
    best: dict[tuple[str, str], Row] = {}
    for row in rows:
        known = best.get((row.tool, row.variant))
        if known is None or row.zstd_bytes < known.zstd_bytes:
            best[row.tool, row.variant] = row
    return list(best.values())


def draw(rows: Sequence[Row], path: Path) -> None:
    """Test accuracy against bytes: filled as shipped, hollow after zstd, a line between the two."""
    chosen = choose_smallest(rows)
    reference = next(row for row in chosen if row.variant == "float32" and row.tool == "tonok")
    sizes = [size for row in chosen for size in (row.num_bytes, row.zstd_bytes)]
    canvas = make_titled("The same checkpoint through each tool")
    with canvas.figure(path, 5.0, 8.0) as figure:
        axes: Axes = figure.subplots()
        for tool, (colour, marker) in _MARKS.items():
            mine = [row for row in chosen if row.tool == tool]
            for row in mine:
                height = 100 * row.accuracy
                axes.plot([row.num_bytes, row.zstd_bytes], [height, height], color=colour, linewidth=1.0, zorder=2)
                axes.plot(
                    row.zstd_bytes, height, marker=marker, color="white", markeredgecolor=colour, markersize=6, zorder=3
                )
                axes.plot(row.num_bytes, height, marker=marker, color=colour, markersize=7, zorder=4)
            if mine:
                axes.plot([], [], marker=marker, color=colour, linestyle="none", label=NAMES[tool])
        axes.plot([], [], marker="o", color="white", markeredgecolor=QUIET, linestyle="none", label="+ zstd")
        axes.axhline(
            100 * reference.accuracy - 1, color=QUIET, linewidth=1.1, linestyle=DASHED, zorder=1,
            label="one point below float32",
        )  # fmt: skip
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.4, max(sizes) * 1.4)
        axes.margins(y=0.1)
        canvas.kilobyte_axis(axes.xaxis, min(sizes) / 1.4, max(sizes) * 1.4)
        axes.set_xlabel("KB on disk, logarithmic (1 KB = 1024 bytes); filled: as shipped, hollow: + zstd")
        axes.set_ylabel("accuracy on test (%)")
        axes.legend(loc="lower right")
        _label(axes, [row for row in chosen if row.variant != "float32" or row.tool == "tonok"], chosen)


def _label(axes: Axes, labelled: Sequence[Row], marked: Sequence[Row]) -> None:
    """Names the points, each where its name covers neither a marker, nor a line, nor another name."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # Places are known once the layout is.
    to_display = axes.transData.transform
    taken = []
    for row in marked:
        (left, y), (right, _) = to_display([(size, 100 * row.accuracy) for size in (row.zstd_bytes, row.num_bytes)])
        taken += [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x in (left, right)]
        taken.append(Bbox.from_extents(min(left, right), y - 1, max(left, right), y + 1))
    for row in sorted(labelled, key=lambda row: row.zstd_bytes):
        for x, y, sideways, upright in _PLACES:
            text = axes.annotate(
                row.variant, (row.zstd_bytes if x <= 0 else row.num_bytes, 100 * row.accuracy), xytext=(x, y),
                textcoords="offset points", ha=sideways, va=upright, fontsize=7.5, color=_MARKS[row.tool][0],
            )  # fmt: skip
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in taken) or (x, y, sideways, upright) == _PLACES[-1]:
                taken.append(box)
                break
            text.remove()
