from __future__ import annotations

import pytest
from babel.numbers import get_decimal_symbol, get_group_symbol

from worker.report.language.values import Numerals, Value, count, decimals, kilobytes, limit, percent, points, ratio
from worker.report.language.wording import strip_isolates

ENGLISH, PERSIAN = Numerals(persian=False), Numerals(persian=True)


@pytest.mark.parametrize(
    ("value", "english", "persian"),
    [
        (percent(0.9284), "92.84", "۹۲٫۸۴"),
        (points(-0.137), "−0.14", "−۰٫۱۴"),
        (points(-0.001), "0.00", "۰٫۰۰"),
        (kilobytes(1_689_648), "1,650.05", "۱٬۶۵۰٫۰۵"),
        (count(421_834), "421,834", "۴۲۱٬۸۳۴"),
        (ratio(134.46), "134", "۱۳۴"),
        (ratio(9.13), "9.1", "۹٫۱"),
        (limit(1.0), "1.0", "۱٫۰"),
        (limit(0.25), "0.25", "۰٫۲۵"),
        (decimals(0.8795, 3), "0.879", "۰٫۸۷۹"),
        (Value("interval", (0.9211, 0.9314)), "92.11–93.14", "۹۲٫۱۱–۹۳٫۱۴"),
    ],
)
def test_numbers_are_written_in_the_digits_of_the_language(value: Value, english: str, persian: str) -> None:
    assert ENGLISH.show(value) == english
    assert strip_isolates(PERSIAN.show(value)) == persian


def test_persian_separators_are_those_of_cldr() -> None:
    decimal, group = (symbol("fa", numbering_system="arabext") for symbol in (get_decimal_symbol, get_group_symbol))
    assert strip_isolates(PERSIAN.show(decimals(1234.5, 1))) == f"۱{group}۲۳۴{decimal}۵"


def test_the_noise_of_the_last_bits_does_not_decide_how_a_number_is_rounded() -> None:
    noisy = 0.9325 + 2e-16
    assert f"{0.9325:.3f}" != f"{noisy:.3f}"
    assert ENGLISH.show(decimals(0.9325)) == ENGLISH.show(decimals(noisy))
    assert ENGLISH.show(percent(0.57655)) == ENGLISH.show(percent(0.57655 + 2e-16))


def test_a_persian_number_is_an_island_that_reads_from_left_to_right() -> None:
    assert PERSIAN.show(points(-1.5)) == "\u2066−۱٫۵۰\u2069"


@pytest.mark.parametrize("missing", [percent(None), kilobytes(None), decimals(float("nan"))])
def test_what_was_not_measured_is_a_dash_and_no_number(missing: Value) -> None:
    assert ENGLISH.show(missing) == PERSIAN.show(missing) == "–"
