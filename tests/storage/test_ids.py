from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.ids import new_id


def test_an_id_is_its_prefix_and_26_characters_of_crockfords_alphabet() -> None:
    assert re.fullmatch(r"job_[0-9A-HJKMNP-TV-Z]{26}", new_id("job"))


def test_ids_sort_in_the_order_they_were_made_also_within_one_millisecond() -> None:
    ids = [new_id("job") for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_the_first_ten_characters_are_the_milliseconds_since_the_epoch() -> None:
    before = time.time_ns() // 1_000_000
    digits = new_id("mdl").removeprefix("mdl_")
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    for digit in digits:
        number = number * 32 + alphabet.index(digit)
    assert before <= number >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_rise_while_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    moments = iter([now, now - 5_000_000_000, now - 1_000_000, now + 1_000_000])
    monkeypatch.setattr("storage.ids.time.time_ns", lambda: next(moments))
    ids = [new_id("job") for _ in range(4)]
    assert ids == sorted(set(ids))


def test_ids_of_many_threads_rise_for_each_of_them() -> None:
    def make(_number: int) -> list[str]:
        return [new_id("job") for _ in range(500)]

    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(make, range(8)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({job_id for ids in made for job_id in ids}) == 4000
