from __future__ import annotations

import math
import zlib
from decimal import Decimal, localcontext

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.coding import reader
from worker.coding.ranges import CostMeter, RangeReader, RangeWriter
from worker.coding.tables import LOGIT, LOGIT_LIMIT, PROBABILITY

DECISIONS = st.lists(st.tuples(st.sampled_from([1, 2, 300, 32768, 65534, 65535]), st.integers(0, 1)), max_size=300)


@settings(max_examples=100)
@given(DECISIONS)
def test_decisions_come_back_from_both_readers_and_cost_what_the_meter_says(decisions: list[tuple[int, int]]) -> None:
    writer, meter = RangeWriter(), CostMeter()
    for probability, bit in decisions:
        writer.transcode(probability, bit)
        meter.transcode(probability, bit)
    data = writer.finish()
    fast, slow = RangeReader(data), reader.Bits(data)
    assert [fast.transcode(p, 0) for p, _ in decisions] == [bit for _, bit in decisions]
    assert [slow.read(p) for p, _ in decisions] == [bit for _, bit in decisions]
    assert not data.endswith(b"\0")
    assert len(data) <= meter.bits / 8 * 1.001 + 2


def test_a_block_is_read_as_the_same_bits_one_by_one() -> None:
    bits = (np.arange(500) % 7 == 0).astype(np.int32)
    writer = RangeWriter()
    writer.code_block(9362, bits)
    data = writer.finish()
    np.testing.assert_array_equal(RangeReader(data).code_block(9362, np.zeros_like(bits)), bits)
    one_by_one = RangeReader(data)
    assert [one_by_one.transcode(9362, 0) for _ in bits] == bits.tolist()


def test_the_tables_are_known_numbers() -> None:
    assert PROBABILITY[LOGIT_LIMIT] == 32768
    # 65536 / (1 + e^-1) and 256 ln(0.75 / 0.25), by hand.
    assert PROBABILITY[LOGIT_LIMIT + 256] == 47911
    assert LOGIT[49152] == 281
    assert zlib.crc32(np.array(LOGIT + PROBABILITY, np.int32).astype("<i4").tobytes()) == 3203014326


def test_no_table_entry_lies_so_near_a_tie_that_two_machines_could_differ() -> None:
    logits = [256 * math.log((2 * p + 1) / (2 * (65536 - p) - 1)) for p in range(65536)]
    probabilities = [65536 / (1 + math.exp(-x / 256)) for x in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1) if x]
    distances = [abs(abs(value - math.floor(value)) - 0.5) for value in logits + probabilities]
    # The error of a double here is below 1e-10.
    assert min(distances) > 1e-7


def test_the_tables_agree_with_decimal_arithmetic() -> None:
    with localcontext() as context:
        context.prec = 30
        for x in range(-LOGIT_LIMIT, LOGIT_LIMIT + 1, 97):
            exact = 65536 / (1 + (Decimal(-x) / 256).exp())
            assert PROBABILITY[x + LOGIT_LIMIT] == min(65535, max(1, round(exact)))
        for p in range(0, 65536, 997):
            assert LOGIT[p] == round(256 * (Decimal(2 * p + 1) / (2 * (65536 - p) - 1)).ln())
