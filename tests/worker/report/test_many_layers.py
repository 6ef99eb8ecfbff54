"""A network of a hundred layers: its tables fit on a page, and nothing of it is lost in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.report.small_study import ENGLISH, build_facts, build_results
from worker.report.analysis.evidence import read_evidence
from worker.report.content import Section, Table
from worker.report.sections.appendices import list_layers
from worker.report.sections.builder import Builder
from worker.report.sections.layer_rows import MOST_ROWS, split_rows
from worker.report.sections.method import build_data
from worker.report.sections.pruning import build_step_by_step

NUM_LAYERS = 121


def widen(value: Any) -> Any:
    """The same results of a network of many layers: each list of layers is as long, whatever model it is of."""
    if isinstance(value, dict):
        return {name: widen(one) for name, one in value.items()}
    if not isinstance(value, list):
        return value
    if value and isinstance(value[0], dict) and {"name", "zeros", "total"} <= value[0].keys():
        totals = [10 * (number * 37 % NUM_LAYERS) + 50 for number in range(NUM_LAYERS)]
        return [
            {"name": f"block{number}.conv", "zeros": number % 50, "total": total, "sparsity": number % 50 / total}
            for number, total in enumerate(totals)
        ]
    return [widen(one) for one in value]


@pytest.fixture
def desk(tmp_path: Path) -> Builder:
    return Builder(read_evidence(build_facts(widen(build_results()))), ENGLISH, tmp_path)


def list_tables(section: Section | None) -> list[Table]:
    assert section is not None
    own = [block for block in section.blocks if isinstance(block, Table)]
    return own + [table for part in section.sections for table in list_tables(part)]


def read_number(cell: str) -> float:
    return float("".join(letter for letter in cell if letter.isdigit() or letter == "."))


def check_tables(tables: list[Table]) -> None:
    """Asserts that each has few rows, and that those before the last add up to it."""
    assert tables
    for table in tables:
        *rows, total = table.rows
        assert len(rows) == MOST_ROWS
        place = [column.head for column in table.columns].index(ENGLISH.term("head.weights"))
        assert sum(read_number(row[place]) for row in rows) == read_number(total[place])


def test_the_zeros_of_each_model_add_up(desk: Builder) -> None:
    check_tables(list_tables(list_layers(desk)))


def test_the_zeros_of_the_search_add_up(desk: Builder) -> None:
    check_tables([table for table in list_tables(build_step_by_step(desk)) if table.key == "check_sparsity"])


def test_the_network_is_told_in_as_few_rows(desk: Builder) -> None:
    (table,) = [table for table in list_tables(build_data(desk)) if table.key in ("weights", "architecture")]
    assert len(table.rows) <= MOST_ROWS + 1


@given(st.lists(st.integers(0, 50), max_size=80))
def test_the_largest_stay_in_their_order_and_none_is_lost(sizes: list[int]) -> None:
    shown, others = split_rows(sizes)
    assert sorted(shown + others) == list(range(len(sizes)))
    assert shown == sorted(shown)
    assert others == sorted(others)
    assert len(shown) + bool(others) <= MOST_ROWS
    assert all(sizes[one] >= sizes[other] for one in shown for other in others)
    assert not others or len(sizes) > MOST_ROWS
