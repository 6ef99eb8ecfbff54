"""Damaged and hostile ONNX files: read or refused with one kind of error, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.importing.onnx_files import Draft, Node, draw, finish
from tests.worker.importing.test_operations import ENDS, FLAT, SIZES, WAYS
from worker.network.importers.onnx_file import MAX_ONNX_BYTES, parse_onnx, read_onnx
from worker.network.importers.onnx_messages import parse_model
from worker.network.importers.wire import WireReader
from worker.network.operations.base import InvalidNetwork

FILES = [draft.write() for draft, _ in WAYS.values()]
FILES += [Draft(nodes, FLAT | SIZES, input_dims=(3, 3, 8, 8)).write() for nodes in ENDS.values()]


def read_or_refuse(data: bytes) -> bool:
    """Whether it is read. Anything but the one error is a failure of the test."""
    try:
        found = parse_onnx(data)
    except InvalidNetwork:
        return False
    assert found.weights.keys() == found.network.tensors.keys()
    return True


@pytest.mark.slow
@settings(max_examples=1500)
@given(file=st.sampled_from(FILES), data=st.data())
def test_damaged_files_are_read_or_refused(file: bytes, data: st.DataObject) -> None:
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                damaged[place] = data.draw(st.integers(0, 255))
            case 1:
                damaged[place : place + data.draw(st.integers(1, 8))] = b""
            case 2:
                damaged[place:place] = data.draw(st.binary(min_size=1, max_size=8))
            case 3:
                other = data.draw(st.sampled_from(FILES))
                damaged[place:place] = other[: data.draw(st.integers(1, 40))]
        if not damaged:
            return
    read_or_refuse(bytes(damaged))


@given(data=st.binary(min_size=1, max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert not read_or_refuse(data)


@pytest.mark.parametrize("file", FILES[:4])
def test_a_file_that_is_cut_short_is_refused_wherever_it_was_cut(file: bytes) -> None:
    # The opset comes last: nothing before the end is a whole file.
    assert read_or_refuse(file)
    assert not any(read_or_refuse(file[:length]) for length in range(1, len(file)))


def write_length(number: int, body: bytes) -> bytes:
    """A field of a message whose bytes are `body`."""
    length, encoded = len(body), b""
    while length > 127:
        encoded, length = encoded + bytes([length & 127 | 128]), length >> 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + body


MANY = 4 << 20
BOMBS = {
    "nodes": write_length(7, write_length(1, b"") * MANY),
    "fields": write_length(7, b"\x08\x00" * MANY),
    "tensors": write_length(7, write_length(5, b"") * MANY),
    "dimensions": write_length(7, write_length(5, write_length(1, b"\x01" * MANY))),
    "inputs": write_length(7, write_length(11, b"") * MANY),
    "outputs": write_length(7, write_length(12, b"") * MANY),
    "integers": write_length(7, write_length(1, write_length(5, write_length(8, b"\x01" * MANY)))),
    "a name": write_length(7, write_length(2, b"") + write_length(1, write_length(3, b"n" * MANY))),
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_before_it_takes_memory(bomb: bytes) -> None:
    data = b"\x08\x0a" + bomb
    tracemalloc.start()
    try:
        assert not read_or_refuse(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


def test_arithmetic_that_doubles_each_time_is_refused() -> None:
    nodes: list[Node] = [("Sub", ["c", "n"], "d0")]
    nodes += [("Mul", [f"d{number}", f"d{number}"], f"d{number + 1}") for number in range(200)]
    assert not read_or_refuse(finish(nodes, "d200", n=draw(1)).write())


def test_shapes_that_double_each_time_are_refused() -> None:
    nodes: list[Node] = [("Shape", ["c"], "s0")]
    nodes += [("Concat", [f"s{number}"] * 2, f"s{number + 1}", {"axis": 0}) for number in range(200)]
    assert not read_or_refuse(finish([*nodes, ("Reshape", ["c", "s200"], "a")], "a").write())


@pytest.mark.parametrize("size", [0, MAX_ONNX_BYTES + 1])
def test_a_file_of_no_size_or_too_large_is_not_looked_into(size: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(size)
    with pytest.raises(InvalidNetwork):
        read_onnx(path)


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_read_as_the_library_of_onnx_reads_it(file: bytes) -> None:
    ours = parse_model(WireReader(file))
    theirs = onnx.ModelProto()
    theirs.ParseFromString(file)
    assert ours.opset == theirs.opset_import[0].version
    assert [(node.operation, node.name, node.inputs, node.outputs) for node in ours.nodes] == [
        (node.op_type, node.name, tuple(node.input), tuple(node.output)) for node in theirs.graph.node
    ]
    for mine, node in zip(ours.nodes, theirs.graph.node, strict=True):
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            assert mine.attributes[attribute.name] == (tuple(value) if isinstance(value, list) else value)
    for tensor in theirs.graph.initializer:
        span = ours.tensors[tensor.name].data
        assert ours.tensors[tensor.name].dims == tuple(tensor.dims)
        assert span is not None
        assert file[span.start : span.end] == tensor.raw_data
