"""How long loops that try again wait, and how much they write."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from storage.backoff import Backoff

NAME = "tonok.test.backoff"
NUM_TRIES = 5000


@pytest.fixture
def backoff() -> Backoff:
    return Backoff(logging.getLogger(NAME), "read", first_s=0.2, longest_s=5.0)


def test_waits_double_up_to_the_longest_and_stay_there(backoff: Backoff) -> None:
    waits = [backoff.fail(OSError()) for _ in range(NUM_TRIES)]
    assert waits[:5] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2])
    assert all(earlier <= later for earlier, later in pairwise(waits))
    assert set(waits[5:]) == {5.0}


def test_of_a_failure_that_lasts_the_log_holds_a_line_for_each_doubling(
    backoff: Backoff, caplog: pytest.LogCaptureFixture
) -> None:
    logged_at = []
    for number in range(1, NUM_TRIES + 1):
        caplog.clear()
        backoff.fail(OSError("first line\nsecond line"))
        logged_at += [number] * len(caplog.records)
        for record in caplog.records:
            assert (record.exc_info is not None) == (number == 1)
            assert "\n" not in record.getMessage()
    assert logged_at == [2**exponent for exponent in range(NUM_TRIES.bit_length())]


def test_the_end_of_a_row_is_logged_once_and_the_next_row_begins_anew(
    backoff: Backoff, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger=NAME)
    backoff.succeed()
    assert caplog.records == []
    for _ in range(100):
        backoff.fail(OSError())
    caplog.clear()
    for _ in range(3):
        backoff.succeed()
    (ended,) = caplog.records
    assert ended.exc_info is None
    assert backoff.num_failures == 0
    caplog.clear()
    assert backoff.fail(OSError()) == pytest.approx(0.2)
    (begun,) = caplog.records
    assert begun.exc_info is not None
