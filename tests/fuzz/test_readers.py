"""A few thousand of the inputs of `python -m tests.fuzz.readers`, the same on every machine."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutations import Mutator, build_networks, flip_bits, seal
from tests.fuzz.readers import are_same, check_inputs, compare_readers, read_with_service
from worker.coding import encode_network
from worker.model_heads import TONOK_HEAD_BYTES

NUM_INPUTS = 2000


@pytest.mark.slow
def test_both_readers_answer_every_input_alike() -> None:
    tally = check_inputs(Mutator(seed=1), range(NUM_INPUTS))
    assert [(finding.number, finding.what) for finding in tally.findings] == []
    # Each way to change a file makes some that are read and some that are not: nothing is tried in vain.
    kinds = {ending.split(":")[0] for ending in tally.endings}
    assert len(kinds) == 8
    assert set(tally.endings) == {f"{kind}: {ending}" for kind in kinds for ending in ("read", "refused")}


def test_what_is_read_of_a_changed_file_can_be_written_and_read_again() -> None:
    mutator = Mutator(seed=2)
    networks = [read_with_service(mutator.make(number)[1]) for number in range(200)]
    read = [network for network in networks if network is not None]
    assert len(read) > 20
    for network in read:
        again = read_with_service(encode_network(network))
        assert again is not None
        assert are_same(network, again)


def test_every_bit_of_a_file_flipped_under_a_right_checksum() -> None:
    body = encode_network(build_networks(seed=0)[12])[TONOK_HEAD_BYTES:]
    for place in range(8 * len(body)):
        flipped = bytearray(body)
        flipped[place // 8] ^= 1 << place % 8
        assert compare_readers(seal(bytes(flipped))) in ("read", "refused")


def test_an_input_is_known_by_its_number() -> None:
    assert Mutator(seed=3).make(7) == Mutator(seed=3).make(7)
    body = bytes(20)
    assert flip_bits(random.Random(0), body) != body
