"""The inner loop in C decides as the Python beside it does, to the last bit."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage.errors import InvalidModel
from worker.coding.fields import Fields
from worker.coding.kernel import (
    SOURCE,
    KernelReader,
    KernelWriter,
    code_layer,
    compile_kernel,
    find_library,
    load_kernel,
)
from worker.coding.ranges import MAX_DECISIONS, BitCoder, CostMeter, RangeReader, RangeWriter
from worker.coding.weights import Scan, WeightModels, code_blocks, code_weights

SCANS = st.sampled_from([(1, 1), (2, 1), (4, 2), (9, 3), (20, 5), (36, 6), (17, 1)])


class PlainMeter(CostMeter):
    """Not a type that the kernel knows: coded by Python."""


@pytest.fixture(scope="module", autouse=True)
def _built_kernel() -> None:
    if load_kernel() is None:
        pytest.skip("THE CODER'S KERNEL IS NOT BUILT (`python -m worker.coding` says why): its C is not tested")


@st.composite
def layers(draw: st.DrawFn) -> tuple[NDArray[np.int8], int, Scan]:
    """A layer of any density, its bit width and a walk that fits it."""
    positions, stride = draw(SCANS)
    shape = draw(st.integers(1, 24)), positions * draw(st.integers(1, 12))
    bit_width = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    low, high = -(1 << bit_width - 1), (1 << bit_width - 1) - 1
    spread = draw(st.sampled_from([0.3, 1.0, 5.0, 300.0]))
    weight = np.clip(np.rint(rng.normal(0, spread, shape)), low, high).astype(np.int8)
    weight[rng.random(shape) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    weight[rng.random(shape[0]) < draw(st.sampled_from([0.0, 0.5]))] = 0
    flags = {name: draw(st.booleans()) for name in ("by_column", "masked", "in_blocks")}
    return weight, bit_width, Scan(positions, stride, **flags)


def code_all(coder: BitCoder, network: list[tuple[NDArray[np.int8], int, Scan]]) -> tuple[object, object]:
    """What is read of each layer, and what the models have learnt by it; the models go from layer to layer."""
    models, fields, read = WeightModels(), Fields(coder), []
    for weight, bit_width, scan in network:
        try:
            read.append(code_weights(fields, models, weight, bit_width, scan).tolist())
        except InvalidModel as error:
            read.append(error.args)
            break
    mixers = models.nonzero, models.negative, models.magnitude
    return read, [[array.tolist() for array in mixer.get_learnt()] for mixer in mixers]


def open_kernel_writer() -> KernelWriter:
    library = load_kernel()
    assert library is not None
    return KernelWriter(library)


def open_kernel_reader(data: bytes) -> KernelReader:
    library = load_kernel()
    assert library is not None
    return KernelReader(library, data)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(layers(), min_size=1, max_size=3))
def test_both_write_the_same_bytes_at_the_same_cost_and_read_them_back(
    network: list[tuple[NDArray[np.int8], int, Scan]],
) -> None:
    fast, plain, meter, plain_meter = open_kernel_writer(), RangeWriter(), CostMeter(), PlainMeter()
    expected = code_all(plain, network)
    assert expected[0] == [weight.tolist() for weight, _, _ in network]
    for coder in (fast, meter, plain_meter):
        assert code_all(coder, network) == expected
    data = fast.finish()
    assert data == plain.finish()
    assert meter.bits == plain_meter.bits
    blank = [(np.zeros_like(weight), bit_width, scan) for weight, bit_width, scan in network]
    assert code_all(open_kernel_reader(data), blank) == expected
    assert code_all(RangeReader(data), blank) == expected


@settings(max_examples=150)
@given(st.binary(max_size=120), st.lists(layers(), min_size=1, max_size=2))
def test_both_read_or_refuse_what_nobody_wrote(data: bytes, network: list[tuple[NDArray[np.int8], int, Scan]]) -> None:
    assert code_all(open_kernel_reader(data), network)[0] == code_all(RangeReader(data), network)[0]


@settings(max_examples=50)
@given(st.binary(max_size=60), st.integers(1, 65535), st.integers(0, 300))
def test_both_read_the_same_single_bits_and_blocks(data: bytes, probability: int, count: int) -> None:
    def read(reader: BitCoder) -> Iterator[int | str]:
        try:
            yield from (reader.transcode(probability, 0) for _ in range(20))
            yield from reader.code_block(probability, np.zeros(count, np.int32)).tolist()
        except InvalidModel as error:
            yield error.args[0]

    assert list(read(open_kernel_reader(data))) == list(read(RangeReader(data)))


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 65535), st.binary(max_size=9), st.booleans()), max_size=200))
def test_both_write_the_same_single_bits_and_blocks(decisions: list[tuple[int, bytes, bool]]) -> None:
    def write(writer: KernelWriter | RangeWriter) -> bytes:
        for probability, bits, is_block in decisions:
            if is_block:
                writer.code_block(probability, np.frombuffer(bits, np.uint8).astype(np.int32) & 1)
            else:
                assert writer.transcode(probability, len(bits) & 1) == len(bits) & 1
        return writer.finish()

    assert write(open_kernel_writer()) == write(RangeWriter())


@pytest.mark.parametrize("probability", [1, 65535])
def test_a_carry_goes_through_as_many_words_as_it_has_to(probability: int) -> None:
    # Certain decisions keep the interval at the edge of a word for long, and a surprise then carries over or does not.
    bits = np.full(200_000, probability > 1, np.int32)
    for surprise in range(0, 3000, 100):
        plain, fast = RangeWriter(), open_kernel_writer()
        for writer in (plain, fast):
            writer.code_block(probability, bits[: 50_000 + surprise])
            writer.code_block(probability, 1 - bits[:3])
            writer.code_block(probability, bits[:7])
        assert fast.finish() == plain.finish()


def test_the_largest_block_of_any_integers_is_the_same_from_both() -> None:
    rng = np.random.default_rng(0)
    for bit_width in (1, 4, 8):
        values = rng.integers(-(1 << bit_width - 1), 1 << bit_width - 1, 20_000).astype(np.int8)
        plain, fast = RangeWriter(), open_kernel_writer()
        for writer in (plain, fast):
            assert (code_blocks(writer, values, bit_width) == values).all()
        data = fast.finish()
        assert data == plain.finish()
        for reader in (open_kernel_reader(data), RangeReader(data)):
            assert (code_blocks(reader, np.zeros_like(values), bit_width) == values).all()


def test_the_number_of_decisions_is_bounded_in_c_too() -> None:
    side = MAX_DECISIONS // 1024
    models = WeightModels()
    mixers = models.nonzero, models.negative, models.magnitude
    walk = range(side), range(1024)
    dense = np.ones((side, 1024), np.int8)
    with pytest.raises(InvalidModel, match="more decisions"):
        code_layer(open_kernel_writer(), deepcopy(mixers), dense, walk, (1, 1, False), 4)
    # An empty stream reads as zeros: as many as there may be, and then one more.
    reader = open_kernel_reader(b"")
    code_layer(reader, deepcopy(mixers), dense, walk, (1, 1, False), 4)
    with pytest.raises(InvalidModel, match="more decisions"):
        reader.transcode(32768, 0)


def test_a_layer_that_the_kernel_has_no_room_for_is_left_to_python() -> None:
    models = WeightModels()
    mixers = models.nonzero, models.negative, models.magnitude
    weight = np.ones((2, 6), np.int8)
    live = range(2), range(6)
    for walk in ((4, 1, False), (1, 2, False)):
        assert code_layer(open_kernel_writer(), mixers, weight, live, walk, 4) is None
    assert code_layer(RangeWriter(), mixers, weight, live, (1, 1, False), 4) is None


COUNT_PROBES = """
#include "kernel_contexts.h"

/* Slots that are looked at to find each of `count` rows of one node again, together. */
int64_t count_probes(uint32_t step, uint32_t count, uint32_t node) {
    Contexts table;
    Memory memory = {0};
    int64_t probes = 0;
    open_contexts(&table, &memory, 512);
    for (uint32_t i = 0; i < count; i++) find(&table, &memory, i * step << 9 | node);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = i * step << 9 | node;
        uint64_t slot = home_of(&table, key);
        for (probes++; table.keys[slot] != key + 1; probes++) slot = (slot + 1) % table.capacity;
    }
    close_contexts(&table, &memory);
    return probes;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: where contexts lie is not tested")
def test_contexts_of_one_node_do_not_crowd(tmp_path: Path) -> None:
    source, library = tmp_path / "count.c", tmp_path / "count.so"
    source.write_text(COUNT_PROBES, encoding="utf-8")
    build = ["cc", "-std=c99", "-fPIC", "-shared", f"-I{SOURCE.parent}", "-o", str(library), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    count_probes = ctypes.CDLL(str(library)).count_probes
    count_probes.restype = ctypes.c_int64
    for exponent in range(8):
        for node in (0, 9, 300):
            count = 1 << 18 - exponent
            # Half of the slots are taken: at random one and a half are looked at (Knuth 6.4), in one heap hundreds.
            assert count_probes(1 << exponent, count, node) <= 4 * count


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: the kernel's build is not tested")
def test_a_kernel_of_another_source_is_never_loaded(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    source = tmp_path / "kernel.c"
    source.write_text("int tonok_nothing(void) { return 0; }\n")
    monkeypatch.setattr("worker.coding.kernel.SOURCE", source)
    first = compile_kernel()
    assert first.parent == tmp_path
    source.write_text("int tonok_nothing(void) { return 1; }\n")
    assert find_library() != first
    assert not find_library().exists()
    second = compile_kernel()
    assert list(tmp_path.glob("*.so")) == [second]
    with pytest.raises(FileNotFoundError):
        compile_kernel("no-such-compiler")
    load_kernel.cache_clear()
    try:
        assert load_kernel() is None  # it has none of the functions
        source.write_text("of which no library was built\n")
        load_kernel.cache_clear()
        assert load_kernel() is None
    finally:
        load_kernel.cache_clear()
    assert sorted(tmp_path.iterdir()) == sorted([source, second])
