from __future__ import annotations

import re
import time

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
