"""The table of the emulated microcontroller, held to what was measured."""

from __future__ import annotations

import json

from tests.benchmarks.bench_cortex_m import render_table
from tests.benchmarks.record import CHECKOUT, RESULTS


def test_the_page_shows_what_was_recorded() -> None:
    rows = json.loads((RESULTS / "cortex_m.json").read_text("utf-8"))["numbers"]["rows"]
    assert render_table(rows) in (CHECKOUT / "docs" / "devices.md").read_text("utf-8")
