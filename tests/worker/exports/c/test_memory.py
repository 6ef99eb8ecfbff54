"""No value is written over while somebody still reads it."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given

from tests.worker.network.records import records
from worker.checkpoint_facts import describe_model
from worker.exports.c.memory import plan_memory
from worker.network.layers import is_layer
from worker.network.record import PICTURE, Network


@given(records())
def test_every_value_is_read_as_it_was_written(record: Network) -> None:
    memory = plan_memory(record)
    # Each value is the number of its node, over all of its places.
    values = np.full(memory.num_values, -2)

    def get(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        source = memory.sources[index]
        shape = record.input_shape if source == PICTURE else record.shapes[source]
        return values[memory.offsets[source] : memory.offsets[source] + math.prod(shape)]

    if PICTURE in memory.offsets:
        get(PICTURE)[:] = PICTURE
    for number, node in enumerate(record.nodes):
        if memory.sources[number] != number:
            continue
        for index in node.inputs:
            if not (is_layer(node) and memory.sources[index] == PICTURE):
                assert (get(index) == memory.sources[index]).all()
        get(number)[:] = number
    assert (get(record.output) == memory.sources[record.output]).all()


def test_a_value_that_is_dead_gives_its_place_to_the_next() -> None:
    # conv1 → bn1 → pool → relu …: 8 x 28 x 28 and a quarter of that are alive at once, and nothing else ever is.
    memory = plan_memory(describe_model("fashion_cnn", (8, 8, 8)))
    assert memory.num_values == 8 * 28 * 28 + 8 * 14 * 14
    # An mlp's hidden values have been made integers before the next are written.
    assert plan_memory(describe_model("mlp", (64, 32))).num_values == 64
