"""Widths of columns: nothing is broken that need not be."""

import pytest

from worker.report.content import Column, Table
from worker.report.writers.columns import LINE_CHARS, share_width


def _make_table(heads: list[str], *rows: list[str]) -> Table:
    return Table("any", "", [Column(head) for head in heads], rows)


def test_shares_make_up_the_whole_line() -> None:
    shares = share_width(_make_table(["a", "bb"], ["1", "22 333"], ["", "4"]))
    assert sum(shares) == pytest.approx(1)
    assert shares[1] > shares[0]


def test_every_cell_stays_on_one_line_where_all_of_them_fit() -> None:
    table = _make_table(["model", "note"], ["baseline", "a rather long remark of some words"])
    letters = [share * LINE_CHARS for share in share_width(table)]
    assert letters[0] > len("baseline")
    assert letters[1] > len("a rather long remark of some words")


def test_no_word_is_broken_by_the_long_text_beside_it() -> None:
    table = _make_table(["epoch", "note"], ["12", "word " * 60])
    assert share_width(table)[0] * LINE_CHARS > len("epoch")


def test_letters_of_a_typewriter_get_more_room() -> None:
    plain, code = share_width(_make_table(["x", "x"], ["a" * 20, "`" + "a" * 20 + "`"]))
    assert code > plain
