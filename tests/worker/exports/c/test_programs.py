"""Networks in C answer what the integer pass answers, bit for bit."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storage.errors import InvalidModel
from tests.worker.exports.c.programs import BUILDS, build_program, find_compiler, run_program
from tests.worker.exports.integer_networks import compute_logits, draw_integers, draw_pictures
from tests.worker.network.records import records
from worker.checkpoint_facts import describe_model
from worker.exports.c.archive import COPIED, FOR_CORTEX_M, save_archive
from worker.exports.c.calls import WRITERS
from worker.exports.c.constants import pack_weights, write_text
from worker.exports.c.network_source import write_network
from worker.network.operations import OPERATIONS
from worker.network.operations.elementwise import Flatten
from worker.network.operations.layers import Linear, build_square_convolution
from worker.network.operations.pooling import Mean
from worker.network.record import Network, Node
from worker.network.torchvision_records import describe_torchvision

NUM_PICTURES = 3


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "options"), BUILDS)
@given(record=records(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_any_network_answers_the_same_bits(compiler: str, options: str, record: Network, seed: int) -> None:
    if find_compiler(compiler) is None:
        pytest.skip(f"needs {compiler}")
    network = draw_integers(record, seed)
    pictures = draw_pictures(network, NUM_PICTURES, seed)
    wanted = compute_logits(network, pictures)
    assume(np.isfinite(wanted).all())
    with tempfile.TemporaryDirectory() as folder:
        program = build_program(network, Path(folder), compiler, options)
        said, logits = run_program(program, pictures)
    np.testing.assert_array_equal(logits, wanted)
    assert said == [f"{best} {network.class_names[best]}" for best in wanted.argmax(1)]


@pytest.mark.slow
@pytest.mark.skipif(find_compiler("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "densenet121", "googlenet"])
def test_large_networks_answer_the_same_bits(name: str, tmp_path: Path) -> None:
    network = draw_integers(describe_torchvision(name, input_shape=(3, 32, 32), num_classes=10), seed=1)
    pictures = draw_pictures(network, 2, seed=2)
    wanted = compute_logits(network, pictures)
    _, logits = run_program(build_program(network, tmp_path, "gcc", "-O2"), pictures)
    np.testing.assert_array_equal(logits, wanted)
    assert np.isfinite(wanted).all()
    assert wanted.std() > 0


@pytest.mark.slow
@pytest.mark.skipif(find_compiler("gcc") is None, reason="needs gcc")
def test_part_of_a_picture_is_an_error(tmp_path: Path) -> None:
    network = draw_integers(describe_model("mlp", (4,), num_classes=3), seed=0)
    program = build_program(network, tmp_path, "gcc", "-O2")
    done = subprocess.run([program], input=bytes(28 * 28 + 1), capture_output=True, check=False)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert b"1 of 784 bytes" in done.stderr


def test_the_same_network_is_the_same_archive(tmp_path: Path) -> None:
    network = draw_integers(describe_model("mlp", (4,), num_classes=3), seed=0)
    source = save_archive(network, "tiny", tmp_path / "first.zip")
    assert save_archive(network, "tiny", tmp_path / "second.zip") == source
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        names = {name.removeprefix("network/") for name in archive.namelist()}
        readme = archive.read("network/README.md").decode()
    assert names == {"README.md", "network.h", "network.c", *COPIED, *FOR_CORTEX_M}
    first, second = network.layers
    weights = sum(-(-layer.weight.size * layer.bit_width // 8) for layer in network.layers)
    floats = first.scale.size + first.bias.size + second.scale.size + second.bias.size
    assert source.constant_bytes == weights + 4 * floats
    # The four hidden values, what they are computed from, and one row each of what only convolutions need.
    assert source.buffers.num_bytes == 4 * 4 + 28 * 28 + 4 + 1
    assert f"| {source.constant_bytes} |" in readme
    assert f"| {source.buffers.num_bytes} |" in readme


def test_sums_of_more_than_32_bits_are_refused() -> None:
    record = Network(
        (1, 1, 70_000 // 64), (Node(Flatten(), (-1,), "flat"), Node(Linear(out_features=1), (0,), "fc")), 1
    )
    network = draw_integers(record, seed=0)
    (layer,) = network.layers
    weight = np.full((1, record.shapes[0][0]), -128, np.int8)
    wide = replace(layer, weight=weight, bit_width=8, input_zero_point=2**14, input_bit_width=8, input_signed=False)
    with pytest.raises(InvalidModel, match="layer fc"):
        write_network(replace(network, layers=(wide,)))


def test_a_network_that_needs_a_gigabyte_is_refused_before_its_constants_are_written() -> None:
    record = Network(
        (1, 4096, 4096), (Node(build_square_convolution(64, 1), (-1,), "conv"), Node(Mean(), (0,), "mean")), 1
    )
    with pytest.raises(InvalidModel, match="bytes"):
        write_network(draw_integers(record, seed=0))


def test_class_names_stay_what_they_are_in_c() -> None:
    assert write_text('a"b\\??/é\n7') == '"a\\042b\\134\\077\\077/\\303\\251\\0127"'


@pytest.mark.parametrize("bit_width", range(1, 9))
def test_packed_weights_are_their_bits_one_behind_the_other(bit_width: int) -> None:
    lowest, highest = -(1 << bit_width - 1), (1 << bit_width - 1) - 1
    weight = np.random.default_rng(bit_width).integers(lowest, highest, (3, 7), dtype=np.int8, endpoint=True)
    packed = pack_weights(weight, bit_width)
    assert len(packed) == -(-21 * bit_width // 8)
    whole = int.from_bytes(packed.tobytes(), "little")
    codes = [whole >> bit_width * place & (1 << bit_width) - 1 for place in range(21)]
    assert codes == [value % (1 << bit_width) for value in weight.flatten().tolist()]


def test_every_operation_but_flattening_has_its_call() -> None:
    assert WRITERS.keys() == set(OPERATIONS.values()) - {Flatten}
