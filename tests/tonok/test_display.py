"""What a person sees of a job while it runs, and of what came of it in a notebook."""

from __future__ import annotations

import io
import sys
import types
from typing import Any
from xml.etree import ElementTree

import pytest

from tonok.display import LiveLine, NotebookView, format_seconds
from tonok.markup import build_chart, build_table

HOSTILE = "<script>alert('&')</script>"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    line = LiveLine(terminal, "[1] baseline")
    metrics = {"8bit_train_loss": 0.3124, "8bit_train_accuracy": 0.9, "8bit_validation_accuracy": 0.9151}
    state = {"phase": "training", "percent": 41.6, "epoch": 5, "total_epochs": 12, "eta_s": 95.2}
    line.show({**state, "metrics": metrics})
    line.show({"phase": "training", "epoch": 6, "total_epochs": 12})
    first, second = terminal.getvalue().split("\r\x1b[2K")[1:]
    bar, words = first.split(" ", 1)
    assert (bar.count("█"), bar.count("░")) == (8, 12)
    assert words == "[1] baseline · training · 42 % · 1:35 left · epoch 5/12 · loss 0.312 · accuracy 91.51 %"
    assert second.endswith("epoch 6/12 · loss 0.312 · accuracy 91.51 %"), "what was measured last stays in sight"
    assert "\n" not in terminal.getvalue()


def test_a_file_sees_plain_lines_and_only_where_something_is_said() -> None:
    output = io.StringIO()
    line = LiveLine(output, "[1] baseline")
    for step in range(50):
        line.show({"phase": "training", "step": step})
    line.show({"phase": "training", "message": "epoch 1/12: loss 0.51"})
    assert output.getvalue() == "[1] baseline: training\n[1] baseline: epoch 1/12: loss 0.51\n"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (3725, "62:05")])
def test_seconds_read_as_minutes(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_curves_are_a_picture_with_every_point_inside_and_names_as_text() -> None:
    series = {HOSTILE: [(1, 2.5), (2, 1.5), (3, 0.5)], "validation_loss": [(1, 2.0)], "empty": []}
    picture = ElementTree.fromstring(build_chart("loss", series))
    width, height = (float(picture.attrib[name]) for name in ("width", "height"))
    lines = [line.attrib["points"].split() for line in picture.iter("polyline")]
    assert [len(line) for line in lines] == [3, 1]
    for x, y in (map(float, point.split(",")) for line in lines for point in line):
        assert 0 <= x <= width
        assert 0 <= y <= height
    # Down is worse for a picture's y, and the loss falls.
    heights = [float(point.split(",")[1]) for point in lines[0]]
    assert heights == sorted(heights)
    assert any(HOSTILE in (text.text or "") for text in picture.iter("text"))


def test_one_point_and_a_level_line_have_a_picture_too() -> None:
    assert build_chart("loss", {"train_loss": [(1, 0.5)]})
    assert build_chart("loss", {"train_loss": [(1, 0.5), (2, 0.5)]})
    assert build_chart("loss", {}) == ""


def test_a_table_shows_text_as_text() -> None:
    table = ElementTree.fromstring(build_table([HOSTILE], [[HOSTILE]]))
    assert [cell.text for cell in (*table.iter("th"), *table.iter("td"))] == [HOSTILE, HOSTILE]


def test_a_notebook_gets_one_output_that_is_redrawn_with_its_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Handle:
        def update(self, html: str) -> None:
            drawn.append(html)

    def display(html: str, display_id: bool) -> Handle:
        assert display_id
        assert drawn == []
        drawn.append(html)
        return Handle()

    # What IPython's documentation says of it: it is no package of this project.
    shown: Any = types.ModuleType("IPython.display")
    shown.HTML, shown.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    view = NotebookView("train")
    for epoch in range(1, 4):
        view.show({"phase": "training", "percent": 30.0 * epoch, "metrics": {"train_loss": 1 / epoch, "other": None}})
    view.note("warning: it is slow")
    view.end("the end")
    assert len(drawn) == 3, "the first moment, the words, and the end: not each of three moments within a second"
    last = drawn[1]
    assert "warning: it is slow" in last
    points = last.partition('points="')[2].partition('"')[0]
    assert len(points.split()) == 3
    assert drawn[-1] == "the end"
