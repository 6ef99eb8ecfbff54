"""Files of version 2: whatever version 1 has no place for, and nothing else."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from storage.errors import InvalidModel
from tests.fuzz.mutations import build_network, build_second
from tests.fuzz.readers import are_same, compare_readers, read_with_reference, read_with_service
from tests.worker.coding.networks import build_layer
from tests.worker.coding.test_old_files import describe
from worker.coding import decode_network, encode_network, reader
from worker.coding.fields import Fields
from worker.coding.float_blocks import code_float_blocks
from worker.coding.ranges import RangeReader, RangeWriter
from worker.coding.record import list_known, pack_record, unpack_record
from worker.integer_network import IntegerAffine, IntegerNetwork
from worker.network.layers import count_outputs, find_affines
from worker.network.record import Network
from worker.network.torchvision_records import describe_torchvision
from worker.picture_policy import ResizePolicy

NUM_NETWORKS = 40


def build_any(seed: int) -> IntegerNetwork:
    return build_second(random.Random(seed), 1 + seed % 8, seed)


@pytest.mark.parametrize("seed", range(NUM_NETWORKS))
def test_both_readers_read_what_was_written(seed: int) -> None:
    network = build_any(seed)
    data = encode_network(network)
    assert data[:3] == b"TK\x02"
    assert are_same(decode_network(data), network)
    read = read_with_reference(data)
    assert read is not None
    assert are_same(read, network)


def test_version_2_is_written_where_version_1_lacks_a_place_alone() -> None:
    network = build_network(random.Random(0), "mlp", 4, 2)
    assert encode_network(network)[2] == 1
    assert encode_network(replace(network, input_shape=(3, 2, 2), mean=(0.5,) * 3))[2] == 1
    for changes in ({"mean": (0.5, 0.25, 0.5)}, {"std": (0.5, 0.25, 0.5)}, {"resize": ResizePolicy(height=2, width=2)}):
        changed = replace(network, input_shape=(3, 2, 2), **changes)
        assert encode_network(changed)[2] == 2


def test_names_and_shapes_take_no_bytes_beside_a_record() -> None:
    record = describe_torchvision("mobilenet_v3_small", input_shape=(3, 32, 32), num_classes=10)
    layers, affines = list_known(record)
    assert not affines
    assert [layer.name for layer in layers] == list(count_outputs(record))
    for layer in layers:
        rows, columns, *kernel = record.tensors[f"{layer.name}.weight"]
        assert (layer.rows, layer.unit, layer.kernel) == (rows, columns, tuple(kernel))
    # JSON column by column, deflated: a tenth of the JSON itself.
    assert len(pack_record(record)) < 1100
    assert unpack_record(pack_record(record)) == record


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "efficientnet_b0", "squeezenet1_1"])
def test_records_come_back_and_both_readers_find_the_same_affines(name: str) -> None:
    record = describe_torchvision(name, input_shape=(3, 64, 64), num_classes=7)
    assert unpack_record(pack_record(record)) == record
    assert list_known(record)[1] == find_affines(record)


def forge(record: bytes) -> bytes:
    """A file whose record is these bytes, and that ends behind them."""
    writer = RangeWriter()
    fields = Fields(writer)
    fields.bit("holds a record", 1)
    fields.text("architecture", "onnx", 255)
    fields.octets("record bytes", record, 1 << 17)
    body = writer.finish()
    return b"TK\x02" + zlib.crc32(body).to_bytes(4, "big") + body


def deflate(text: str) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(text.encode()) + deflater.flush()


GOOD = [[1, 2, 2], 0, ["convolution"], [[1]], [{"out_channels": 2, "kernel": [1, 1]}], ["conv"]]


@pytest.mark.parametrize(
    "packed",
    [
        deflate(json.dumps(GOOD))[:-1],
        deflate(json.dumps(GOOD)) + b"x",
        b"not deflated",
        deflate("[" * 100_000),
        deflate(" " * (1 << 24)),
        deflate(json.dumps([[1, 2, 2], 0, ["linear"], [[1]], [{"out_features": 2}], ["fc"]])),
        deflate(json.dumps([*GOOD[:2], [["convolution"]], *GOOD[3:]])),
        deflate(json.dumps([*GOOD[:3], [["1"]], *GOOD[4:]])),
        deflate(json.dumps([*GOOD[:3], [], *GOOD[4:]])),
        deflate(json.dumps([*GOOD[:4], [{"out_channels": 1 << 60, "kernel": [1, 1]}], GOOD[5]])),
        deflate(json.dumps(GOOD).replace('"kernel"', '"out_channels": 2, "kernel"')),
        deflate(json.dumps(GOOD).replace("[1, 2, 2]", "[1e999, 2, 2]")),
        deflate(json.dumps([[1, 2, 2], 0, [], [], [], []])),
    ],
    ids=[
        "cut", "behind", "noise", "deep", "bomb", "no network", "list", "text", "fewer", "huge", "twins", "infinite",
        "empty",
    ],
)  # fmt: skip
def test_a_record_that_is_none_is_refused_by_both(packed: bytes) -> None:
    data = forge(packed)
    with pytest.raises(InvalidModel) as caught:
        decode_network(data)
    assert caught.value.field == "network"
    assert compare_readers(data) == "refused"


def test_the_good_record_would_be_read_further() -> None:
    assert isinstance(unpack_record(deflate(json.dumps(GOOD))), Network)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"affines": ()}, "affines"),
        ({"input_shape": (1, 9, 9), "mean": (0.5,), "std": (0.5,)}, "network"),
        ({"widths": (2,)}, "network"),
        ({"mean": (0.5,) * 7}, "mean"),
        ({"layers": (build_layer("stem", np.ones((2, 1, 9, 9), np.int8)),)}, "layers"),
    ],
)
def test_what_contradicts_its_record_is_not_written(changes: dict[str, object], field: str) -> None:
    network = next(each for each in map(build_any, range(NUM_NETWORKS)) if each.affines)
    with pytest.raises(InvalidModel) as caught:
        encode_network(replace(network, **changes))  # type: ignore[arg-type]
    assert caught.value.field == field


def test_affines_beside_no_record_are_not_written() -> None:
    network = build_network(random.Random(0), "mlp", 4, 2)
    affine = IntegerAffine("a", np.ones(2, np.float32), np.zeros(2, np.float32))
    with pytest.raises(InvalidModel) as caught:
        encode_network(replace(network, affines=(affine,)))
    assert caught.value.field == "affines"


def test_floats_of_every_kind_come_back_bit_by_bit_from_blocks() -> None:
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 1 << 32, 20_000, np.uint64).astype(np.uint32).view(np.float32)
    arrays = [
        patterns[np.isfinite(patterns)],
        np.array([0.0, -0.0], np.float32),
        np.array([2.0**-149, -(2.0**-126), 3.4e38, 2.0**-100], np.float32),
        rng.normal(size=50).astype(np.float32),
    ]
    writer = RangeWriter()
    code_float_blocks(Fields(writer), "scale", arrays)
    read = code_float_blocks(Fields(RangeReader(writer.finish())), "scale", [np.zeros_like(one) for one in arrays])
    assert [one.tobytes() for one in read] == [one.tobytes() for one in arrays]


CASES = Path(__file__).parent / "cases" / "written_in_version_2.json"
"""[the file in hexadecimal, the SHA-256 of `describe_whole` of what it holds]."""


def describe_whole(network: IntegerNetwork) -> str:
    """Everything that a network holds, floats and arrays to the bit."""
    record = None if network.network is None else network.network.to_json()
    resize = None if network.resize is None else network.resize.model_dump(mode="json")
    affines = [(each.name, each.gain.tobytes().hex(), each.shift.tobytes().hex()) for each in network.affines]
    return json.dumps([describe(network), record, resize, affines])


@pytest.mark.parametrize("read", [read_with_service, read_with_reference])
def test_files_of_version_2_stay_readable(read: Callable[[bytes], IntegerNetwork | None]) -> None:
    for data, digest in json.loads(CASES.read_text()):
        network = read(bytes.fromhex(data))
        assert network is not None
        assert hashlib.sha256(describe_whole(network).encode()).hexdigest() == digest


def test_the_reader_reads_where_nothing_of_this_project_is(tmp_path: Path) -> None:
    shutil.copytree(Path(reader.__file__).parent, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))
    network = build_any(1)
    (tmp_path / "model.tonok").write_bytes(encode_network(network))
    script = (
        "import pathlib, sys; sys.path.insert(0, '.'); from elsewhere import read_file; "
        "read = read_file(pathlib.Path('model.tonok').read_bytes()); "
        "print(*[layer['name'] for layer in read['layers']]); "
        "assert not {'worker', 'storage', 'constriction', 'torch', 'pydantic'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [layer.name for layer in network.layers]
