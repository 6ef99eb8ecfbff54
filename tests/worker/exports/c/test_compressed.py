"""Networks in C whose weights are decoded at start out of the bytes of their compressed file."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from storage.errors import InvalidModel
from tests.worker.exports.c.programs import (
    BUILDS,
    SANITIZERS,
    build_program,
    find_compiler,
    lay_files,
    make,
    run_program,
)
from tests.worker.exports.c.test_programs import NUM_PICTURES
from tests.worker.exports.integer_networks import compute_logits, draw_integers, draw_named, draw_pictures
from tests.worker.network.records import records
from worker.coding import weights_in_file
from worker.coding.container import encode_network
from worker.coding.kernel import load_kernel
from worker.coding.tables import LOGIT, LOGIT_LIMIT, PROBABILITY
from worker.coding.weights_in_file import locate_weights
from worker.exports.c.archive import save_archive
from worker.exports.c.network_source import write_network
from worker.integer_network import IntegerNetwork
from worker.model_heads import TONOK_HEAD_BYTES
from worker.network.operations.layers import build_square_convolution
from worker.network.operations.pooling import MaxPool, Mean
from worker.network.record import Network, NetworkBuilder, Node

pytestmark = pytest.mark.skipif(find_compiler("gcc") is None, reason="needs gcc")


def prune(network: IntegerNetwork, share: float, seed: int) -> IntegerNetwork:
    """Most weights and some whole rows become zero: what masks are for."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        weight = layer.weight.copy()
        weight[rng.random(weight.shape) < share] = 0
        weight[rng.random(len(weight)) < share / 2] = 0
        layers.append(replace(layer, weight=weight))
    return replace(network, layers=tuple(layers))


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "options"), BUILDS)
@given(record=records(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.5, 0.95]))
@settings(max_examples=4)
def test_any_network_answers_the_same_bits(
    compiler: str, options: str, record: Network, seed: int, share: float
) -> None:
    if find_compiler(compiler) is None:
        pytest.skip(f"needs {compiler}")
    network = prune(draw_integers(record, seed), share, seed)
    assume(network.layers)
    pictures = draw_pictures(network, NUM_PICTURES, seed)
    wanted = compute_logits(network, pictures)
    assume(np.isfinite(wanted).all())
    with tempfile.TemporaryDirectory() as folder:
        program = build_program(network, Path(folder), compiler, options, encode_network(network))
        _, logits = run_program(program, pictures)
    np.testing.assert_array_equal(logits, wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "widths"),
    [("lenet5", (6, 16, 120, 84)), ("mlp", (64, 32)), ("resnet_small", (8, 8, 16, 16)), ("fashion_cnn", (16, 32, 64))],
)
def test_files_of_the_first_version_are_decoded_too(name: str, widths: tuple[int, ...], tmp_path: Path) -> None:
    network = prune(draw_named(name, widths, seed=3), 0.9, seed=3)
    data = encode_network(network)
    assert data[2] == 1
    pictures = draw_pictures(network, 2, seed=4)
    program = build_program(network, tmp_path, "gcc", SANITIZERS, data)
    np.testing.assert_array_equal(run_program(program, pictures)[1], compute_logits(network, pictures))


def test_flash_holds_the_bytes_of_the_file_for_the_weights(tmp_path: Path) -> None:
    network = draw_named("mlp", (4,), seed=0)
    data = encode_network(network)
    source = save_archive(network, "tiny", tmp_path / "c.zip", data)
    assert source.weight_bytes == len(data)
    assert source.constant_bytes - source.weight_bytes == write_network(network).float_bytes
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        body = archive.read("network/network.c").decode()
        names = {name.removeprefix("network/") for name in archive.namelist()}
    assert {"decoder.c", "coder/kernel.c", "coder/kernel_blocks.c"} <= names
    listed = body.partition(f"file_bytes[{len(data)}] = {{")[2].partition("}")[0]
    assert bytes(int(number) for number in listed.split(",") if number.strip()) == data
    assert "weights_" not in body  # nor are they there a second time


@pytest.mark.slow
@pytest.mark.parametrize("place", [3, TONOK_HEAD_BYTES, -1])
def test_damaged_bytes_are_told_of(place: int, tmp_path: Path) -> None:
    network = draw_named("mlp", (4,), seed=0)
    data = bytearray(encode_network(network))
    lay_files(network, tmp_path, bytes(data))
    listed = (tmp_path / "network.c").read_text("utf-8")
    head, opening, rest = listed.partition(f"file_bytes[{len(data)}] = {{\n")
    numbers, closing, tail = rest.partition("};")
    values = [int(number) for number in numbers.split(",") if number.strip()]
    values[place] ^= 1
    (tmp_path / "network.c").write_text(f"{head}{opening}{','.join(map(str, values))}{closing}{tail}", "utf-8")
    make(tmp_path, "gcc", SANITIZERS, "classify")
    done = subprocess.run([tmp_path / "classify"], input=bytes(784), capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"damaged" in done.stderr


def test_a_network_without_weights_has_nothing_to_decode() -> None:
    record = Network((1, 4, 4), (Node(Mean(), (-1,), "mean"),), 0)
    network = draw_integers(record, seed=0)
    with pytest.raises(InvalidModel, match="without weights"):
        write_network(network, encode_network(network))


DECODE = """
#include <stdio.h>
#include <stdlib.h>

#include "network.c"

/* Decodes with workspaces that are short by one, in each of their arrays in turn, and then with the whole. */
int main(void) {
    struct network_workspace sizes;
    const size_t words = sizeof sizes.words / sizeof *sizes.words, halves = sizeof sizes.halves / sizeof *sizes.halves;
    for (int lacking = 0; lacking < 4; lacking++) {
        struct tonok_workspace workspace = {0};
        workspace.num_words = words - (lacking == 0);
        workspace.num_halves = halves - (lacking == 1);
        workspace.num_bytes = sizeof sizes.bytes - (lacking == 2);
        workspace.words = malloc(4 * workspace.num_words);
        workspace.halves = malloc(2 * workspace.num_halves);
        workspace.bytes = malloc(workspace.num_bytes);
        uint8_t *packed = malloc(sizeof((struct network_memory *)0)->weights);
        const size_t count = sizeof coded_layers / sizeof *coded_layers;
        printf("%d ", tonok_decode(&file, coded_layers, count, &workspace, packed));
        free(workspace.words);
        free(workspace.halves);
        free(workspace.bytes);
        free(packed);
    }
    return 0;
}
"""


@pytest.mark.slow
@given(record=records(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.5, 0.95]))
@settings(max_examples=3)
def test_a_workspace_is_as_large_as_it_must_be_and_no_larger(record: Network, seed: int, share: float) -> None:
    network = prune(draw_integers(record, seed), share, seed)
    assume(network.layers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = lay_files(network, folder, encode_network(network))
        (folder / "decode.c").write_text(DECODE, "utf-8")
        build = f"gcc -std=c99 {SANITIZERS} -DTONOK_DEVICE -o decode decode.c kernels.c decoder.c coder/*.c -lm"
        subprocess.run(build, shell=True, cwd=folder, check=True)
        done = subprocess.run([folder / "decode"], check=True, capture_output=True, text=True)
    *lacking, whole = map(int, done.stdout.split())
    assert whole == 0
    # One byte at least is given, where none is needed.
    assert lacking == ([-3, -3, -3] if source.compressed and source.compressed.workspace.bytes > 1 else [-3, -3, 0])


def measure_stack(depth: int, folder: Path, *, is_compressed: bool) -> int:
    """Bytes that `network_run` takes of the stack, as GCC tells."""
    builder = NetworkBuilder((3, 8, 8))
    for number in range(depth):
        builder.add(f"conv{number}", build_square_convolution(4, 3, padding=1))
        builder.add(f"pool{number}", MaxPool(kernel=(3, 3), stride=(1, 1), padding=(1, 1)))
    builder.add("mean", Mean())
    network = draw_integers(builder.build(), seed=0)
    folder.mkdir()
    lay_files(network, folder, encode_network(network) if is_compressed else None)
    subprocess.run(["gcc", "-std=c99", "-O2", "-fstack-usage", "-c", "network.c"], cwd=folder, check=True)
    usage = (folder / "network.su").read_text("utf-8").splitlines()
    return next(int(line.split("\t")[1]) for line in usage if "network_run" in line)


@pytest.mark.slow
@pytest.mark.parametrize("is_compressed", [False, True])
def test_the_stack_does_not_grow_with_the_network(is_compressed: bool, tmp_path: Path) -> None:
    shallow, deep = (measure_stack(depth, tmp_path / str(depth), is_compressed=is_compressed) for depth in (3, 60))
    assert deep <= shallow + 64


LOGISTIC = """
#include <stdio.h>

#include "decoder.c"
#include "coder/kernel.c"

int main(void) {
    static uint16_t steps[NUM_STEPS], probabilities[LOGIT_LIMIT + 1];
    fill_logistic(steps, probabilities);
    Logistic logistic = {steps, probabilities};
    for (uint32_t p = 0; p < 65536; p++) printf("%d ", (int)find_logit(&logistic, p));
    for (int64_t x = -LOGIT_LIMIT; x <= LOGIT_LIMIT; x++) printf("%d ", (int)find_probability(&logistic, x));
    return 0;
}
"""


def test_a_device_computes_the_tables_of_the_format(tmp_path: Path) -> None:
    network = draw_named("mlp", (4,), seed=0)
    lay_files(network, tmp_path, encode_network(network))
    (tmp_path / "logistic.c").write_text(LOGISTIC, "utf-8")
    build = ["gcc", "-std=c99", "-O1", "-DTONOK_DEVICE", "-o", "logistic", "logistic.c", "coder/kernel_blocks.c"]
    subprocess.run(build, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "logistic"], check=True, capture_output=True, text=True)
    numbers = list(map(int, done.stdout.split()))
    assert numbers[: len(LOGIT)] == LOGIT
    assert numbers[len(LOGIT) :] == PROBABILITY
    assert len(PROBABILITY) == 2 * LOGIT_LIMIT + 1


def test_where_the_weights_of_a_file_begin_is_where_they_are_read_from() -> None:
    network = draw_named("mlp", (4,), seed=0)
    data = encode_network(network)
    located = locate_weights(data)
    assert [layer.shape for layer in located.layers] == [layer.weight.shape for layer in network.layers]
    assert 8 <= located.next <= len(data)
    assert located.point - located.lower < located.range
    damaged = bytearray(data)
    damaged[-1] ^= 1
    damaged[3:7] = zlib.crc32(damaged[TONOK_HEAD_BYTES:]).to_bytes(4, "big")
    again = locate_weights(bytes(damaged))  # the head is as it was
    assert (again.next, again.lower, again.range) == (located.next, located.lower, located.range)


@pytest.mark.slow
@given(record=records(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.5, 0.95]))
@settings(max_examples=15)
def test_the_kernel_locates_weights_as_python_does(record: Network, seed: int, share: float) -> None:
    if load_kernel() is None:
        pytest.skip("THE CODER'S KERNEL IS NOT BUILT")
    data = encode_network(prune(draw_integers(record, seed), share, seed))
    located = locate_weights(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_in_file, "load_kernel", lambda: None)
        assert locate_weights(data) == located
