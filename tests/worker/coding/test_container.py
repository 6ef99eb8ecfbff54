from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.errors import InvalidModel
from tests.worker.coding.networks import (
    build_layer,
    build_network,
    build_small_network,
    build_typical_network,
    build_weight,
)
from worker.coding import decode_network, encode_network
from worker.coding.fields import Fields
from worker.coding.ranges import MAX_DECISIONS, RangeReader, RangeWriter
from worker.coding.reader import Bits, Reader, read_file
from worker.coding.weights import Scan, WeightModels, code_weights
from worker.integer_network import IntegerLayer, IntegerNetwork
from worker.model_heads import TONOK_HEAD_BYTES

FINITE_FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def check_equal(one: IntegerNetwork, other: IntegerNetwork) -> None:
    """Field by field, arrays bit by bit."""
    assert replace(one, layers=()) == replace(other, layers=())
    assert len(one.layers) == len(other.layers)
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        for field in fields(IntegerLayer):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            if isinstance(a, np.ndarray):
                assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), field.name
            else:
                assert a == b, field.name


def forge(data: bytes, body: bytes) -> bytes:
    """The same file with another body and the checksum that belongs to it."""
    return data[:3] + zlib.crc32(body).to_bytes(4, "big") + body


def read_or_refuse(data: bytes) -> bool:
    """Whether the file is read; anything but a network or InvalidModel fails the test."""
    try:
        decode_network(data)
    except InvalidModel:
        return False
    return True


@st.composite
def layers(draw: st.DrawFn) -> IntegerLayer:
    bit_width = draw(st.integers(1, 8))
    shape = draw(
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6) | hnp.array_shapes(min_dims=4, max_dims=4, max_side=3)
    )
    values = st.integers(-(1 << bit_width - 1), (1 << bit_width - 1) - 1)
    single = hnp.from_dtype(np.dtype(np.float32), allow_nan=False, allow_infinity=False)
    num_scales = draw(st.sampled_from([1, shape[0]]))
    return IntegerLayer(
        name=draw(st.text(max_size=12)),
        weight=draw(hnp.arrays(np.int8, shape, elements=values)),
        scale=draw(hnp.arrays(np.float32, (num_scales,), elements=single)),
        bias=draw(hnp.arrays(np.float32, (shape[0],), elements=single)),
        bit_width=bit_width,
        input_scale=draw(FINITE_FLOATS),
        input_zero_point=draw(st.integers(-128, 255)),
        input_bit_width=draw(st.integers(1, 16)),
        input_signed=draw(st.booleans()),
    )


@st.composite
def networks(draw: st.DrawFn) -> IntegerNetwork:
    return IntegerNetwork(
        architecture=draw(st.sampled_from(["fashion_cnn", "mlp"]) | st.text(max_size=12)),
        widths=tuple(draw(st.lists(st.integers(0, 4096), max_size=4))),
        input_shape=draw(st.tuples(st.integers(0, 4), st.integers(0, 300), st.integers(0, 300))),
        class_names=tuple(draw(st.lists(st.text(max_size=12), max_size=4))),
        mean=(draw(FINITE_FLOATS),),
        std=(draw(FINITE_FLOATS),),
        layers=tuple(draw(st.lists(layers(), max_size=3))),
    )


@settings(max_examples=40)
@given(networks())
def test_any_network_comes_back_bit_by_bit(network: IntegerNetwork) -> None:
    check_equal(decode_network(encode_network(network)), network)


def test_scales_that_are_all_tiny_and_far_apart_come_back() -> None:
    first, second = build_small_network().layers
    network = build_network(replace(first, input_scale=2.0**-100), replace(second, input_scale=2.0**-120))
    check_equal(decode_network(encode_network(network)), network)
    assert [layer["input_scale"] for layer in read_file(encode_network(network))["layers"]] == [2.0**-100, 2.0**-120]


@pytest.mark.slow
@pytest.mark.parametrize("build", [build_small_network, build_typical_network])
def test_the_reference_reader_agrees_bit_by_bit(build: Callable[[], IntegerNetwork]) -> None:
    network = build()
    read = read_file(encode_network(network))
    read["layers"] = tuple(IntegerLayer(**layer) for layer in read["layers"])
    check_equal(IntegerNetwork(**read), network)


def test_a_network_reads_the_same_in_blocks_of_a_layer_too_large_for_single_decisions() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(-128, 128, size=(300, 400)).astype(np.int8)
    network = build_network(build_layer("fc1", dense, bit_width=8))
    data = encode_network(network)
    check_equal(decode_network(data), network)
    # Uniform bytes cannot shrink: the coder may cost them one per cent.
    assert dense.size <= len(data) < dense.size * 1.01 + 1000


def test_the_reference_reader_agrees_about_blocks() -> None:
    weight = build_weight((40, 60), 0.7, 6, seed=8)
    writer = RangeWriter()
    code_weights(Fields(writer), WeightModels(), weight, 6, Scan(in_blocks=True, masked=True, by_column=True))
    reader = Reader(Bits(writer.finish()))
    # The scan is told apart from the weights; hand it over and read the masks and the blocks.
    rows, columns = reader.mask("row", 40, 1), reader.mask("column", 60, 1)
    read = np.zeros((40, 60), np.int8)
    read[np.ix_(rows, columns)] = np.reshape(reader.blocks(len(rows) * len(columns), 6), (len(columns), len(rows))).T
    np.testing.assert_array_equal(read, weight)


def test_encoding_twice_gives_the_same_bytes() -> None:
    assert encode_network(build_small_network()) == encode_network(build_small_network())


def test_a_file_cut_anywhere_is_refused() -> None:
    data = encode_network(build_small_network())
    for length in range(len(data)):
        with pytest.raises(InvalidModel):
            decode_network(data[:length])


def test_a_file_with_any_one_bit_flipped_is_refused() -> None:
    data = encode_network(build_small_network())
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(InvalidModel):
            decode_network(bytes(damaged))


def test_a_flipped_bit_under_a_forged_checksum_gives_a_network_or_the_one_error() -> None:
    data = encode_network(build_small_network())
    body = data[TONOK_HEAD_BYTES:]
    for position in range(0, 8 * len(body), 11):
        damaged = bytearray(body)
        damaged[position // 8] ^= 1 << position % 8
        read_or_refuse(forge(data, bytes(damaged)))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    assert not read_or_refuse(data)


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_random_bodies_under_a_right_checksum_give_a_network_or_the_one_error(body: bytes) -> None:
    read_or_refuse(forge(b"TK\x01", body))


def test_another_version_is_named() -> None:
    with pytest.raises(InvalidModel, match="version 3"):
        decode_network(b"TK\x03" + bytes(20))


def test_a_file_may_not_declare_more_weights_than_its_bytes_allow() -> None:
    empty = build_network(build_layer("fc1", np.zeros((1024, 1024), np.int8)))
    data = encode_network(empty)
    check_equal(decode_network(data), empty)
    # 2^20 weights need (2^20 - 2^16) / 1024 = 960 bytes, padded with zeros where nothing is to be said.
    assert len(data) >= 960
    with pytest.raises(InvalidModel, match="more weights than its size allows"):
        decode_network(forge(data, data[TONOK_HEAD_BYTES:900]))


def test_a_reader_stops_after_so_many_decisions() -> None:
    reader = RangeReader(b"")
    for _ in range(MAX_DECISIONS):
        reader.transcode(32768, 0)
    with pytest.raises(InvalidModel, match="more decisions"):
        reader.transcode(32768, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"weight": np.zeros((2, 16), np.int16)}, "weight"),
        ({"scale": np.ones(3, np.float32)}, "scale"),
        ({"bias": np.array([0.0, np.nan], np.float32)}, "bias"),
        ({"bit_width": 9}, "bit_width"),
        ({"input_scale": float("inf")}, "input_scale"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused_by_name(change: dict[str, object], field: str) -> None:
    layer = replace(build_small_network().layers[1], **change)  # type: ignore[arg-type]
    with pytest.raises(InvalidModel) as error:
        encode_network(build_network(layer))
    assert error.value.field == field


def test_a_weight_beyond_the_width_of_its_layer_is_refused() -> None:
    for weight in (4, -5, -8, 127, -128):
        layer = build_layer("fc1", np.full((2, 2), weight, np.int8), bit_width=3)
        with pytest.raises(InvalidModel, match="outside the bits"):
            encode_network(build_network(layer))
