"""Networks in C answer the same bits on an emulated Cortex-M4, and what they take there is what they take."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.needs import NO_CORTEX_M, has_cortex_m
from tests.worker.exports.c.programs import WARNINGS, without_make
from tests.worker.exports.integer_networks import compute_logits, draw_integers, draw_pictures
from tests.worker.network.records import records
from worker.checkpoint_facts import describe_model
from worker.exports.c.archive import save_archive
from worker.exports.c.cortex_m import PACKAGES, CortexMProgram, build_for_cortex_m
from worker.exports.exporter import NoDevice
from worker.integer_network import IntegerNetwork
from worker.network.operations.layers import Convolution
from worker.network.operations.pooling import Mean
from worker.network.record import Network, Node
from worker.network.torchvision_records import describe_torchvision
from worker.results.export import ExportMemory

NEEDS_CORTEX_M = pytest.mark.skipif(not has_cortex_m(), reason=NO_CORTEX_M)
LIMIT_S = 120.0
TINY = draw_integers(describe_model("mlp", (4,), num_classes=3), seed=0)
PICTURES = draw_pictures(TINY, 3, seed=1)
HANGING = 'for (;;) __asm__ volatile("")'


def build(network: IntegerNetwork, folder: Path, *, set_up: str = "", starting: str = "") -> CortexMProgram:
    """The program of an archive. set_up: of C, done before the pictures; starting: what a picture begins with."""
    source = save_archive(network, "tested", folder / "whole.zip")
    with zipfile.ZipFile(folder / "whole.zip") as whole, zipfile.ZipFile(folder / "c.zip", "w") as archive:
        for name in whole.namelist():
            text = whole.read(name).decode()
            if name == "network/network.h" and set_up:
                text += f"\n#define NETWORK_SET_UP(memory) ({{ (void)(memory); {set_up}; 0; }})\n"
            if name == "network/network.c" and starting:
                head, _, body = text.rpartition("float logits[NETWORK_CLASSES]) {\n")
                text = f"{head}float logits[NETWORK_CLASSES]) {{\n    {starting};\n{body}"
            archive.writestr(name, text)
    memory = ExportMemory(constant_bytes=source.constant_bytes, ram_bytes=source.buffers.num_bytes)
    return build_for_cortex_m(folder / "c.zip", folder / "device", memory)


@NEEDS_CORTEX_M
def test_a_small_network_answers_the_same_bits_by_the_same_number_of_instructions_each_time(tmp_path: Path) -> None:
    program = build(TINY, tmp_path)
    answers, again = (program.answer(PICTURES, LIMIT_S) for _ in range(2))
    np.testing.assert_array_equal(answers.logits, compute_logits(TINY, PICTURES))
    np.testing.assert_array_equal(again.logits, answers.logits)
    assert (again.instructions, again.stack_bytes) == (answers.instructions, answers.stack_bytes)
    # More than one for each of its weights, which a Cortex-M4 cannot load, multiply and add by fewer.
    assert len(answers.instructions) == 3
    assert 784 * 4 < min(answers.instructions) <= max(answers.instructions) < 100 * 784 * 4
    assert answers.set_up_instructions is None
    # Its constants are in flash and its memory in RAM, once each, and what comes on top is code.
    source = save_archive(TINY, "tested", tmp_path / "whole.zip")
    assert source.constant_bytes < program.flash_bytes < source.constant_bytes + 4096
    assert source.buffers.num_bytes <= program.static_bytes < source.buffers.num_bytes + 16
    # The parts of a row that a fully connected layer unpacks, and not the whole of what is kept for the stack.
    assert 64 < answers.stack_bytes < 1024


@pytest.mark.slow
@NEEDS_CORTEX_M
@given(record=records(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8)
def test_any_network_answers_the_same_bits(record: Network, seed: int) -> None:
    network = draw_integers(record, seed)
    pictures = draw_pictures(network, 3, seed)
    wanted = compute_logits(network, pictures)
    assume(np.isfinite(wanted).all())
    with tempfile.TemporaryDirectory() as folder:
        answers = build(network, Path(folder)).answer(pictures, LIMIT_S)
    np.testing.assert_array_equal(answers.logits, wanted)


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_a_large_network_answers_the_same_bits_however_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORTEX_M_CFLAGS", f"-O3 {WARNINGS}")
    record = describe_torchvision("mobilenet_v3_small", input_shape=(3, 32, 32), num_classes=10)
    network = draw_integers(record, seed=1)
    pictures = draw_pictures(network, 2, seed=2)
    answers = build(network, tmp_path).answer(pictures, LIMIT_S)
    np.testing.assert_array_equal(answers.logits, compute_logits(network, pictures))


@pytest.mark.slow
@NEEDS_CORTEX_M
@pytest.mark.parametrize("times", [1000, 50_000])
def test_a_loop_of_known_length_is_counted_to_ten_instructions(times: int, tmp_path: Path) -> None:
    loop = f'__asm__ volatile("movw r3, #{times}\\n1: subs r3, #1\\nbne 1b" ::: "r3", "cc")'
    answers = build(TINY, tmp_path, set_up=loop).answer(PICTURES, LIMIT_S)
    counted = answers.set_up_instructions
    # Two a round, one before, and the few that read the timer.
    assert counted is not None
    assert 2 * times + 1 - 10 <= counted <= 2 * times + 1 + 20


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_the_stack_is_what_was_taken_of_it(tmp_path: Path) -> None:
    taking = '__asm__ volatile("sub sp, #4096\\nstr r3, [sp]\\nadd sp, #4096" ::: "memory")'
    assert build(TINY, tmp_path, set_up=taking).answer(PICTURES, LIMIT_S).stack_bytes == 4096


@pytest.mark.slow
@NEEDS_CORTEX_M
@pytest.mark.parametrize(
    "set_up",
    ["*(volatile int *)0xA0000000u = 1", '__asm__ volatile("sub sp, #32768\\npush {r3}" ::: "memory")'],
    ids=["no memory", "stack overflow"],
)
def test_a_program_that_breaks_is_told_of(set_up: str, tmp_path: Path) -> None:
    with pytest.raises(NoDevice, match="it ended with"):
        build(TINY, tmp_path, set_up=set_up).answer(PICTURES, LIMIT_S)


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_a_program_that_hangs_is_ended_and_the_pictures_before_that_count(tmp_path: Path) -> None:
    program = build(TINY, tmp_path, starting=f"static int pictures; if (pictures++ == 2) {HANGING}")
    answers = program.answer(PICTURES, 20.0)  # of which the two take a tenth of a second where nothing else runs
    np.testing.assert_array_equal(answers.logits, compute_logits(TINY, PICTURES)[:2])
    assert len(answers.instructions) == 2


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_a_program_that_hangs_at_once_is_told_of(tmp_path: Path) -> None:
    program = build(TINY, tmp_path, starting=HANGING)
    with pytest.raises(NoDevice, match="not one of 3 pictures was done within 1 s"):
        program.answer(PICTURES, 1.0)


def test_a_network_that_is_too_large_for_the_board_is_not_built_and_told_of_with_its_bytes(tmp_path: Path) -> None:
    for memory, said in (
        (ExportMemory(constant_bytes=4_194_305, ram_bytes=1), "4,194,305 bytes of flash, .* has 4,194,304"),
        (ExportMemory(constant_bytes=1, ram_bytes=5_000_000), "5,000,000 bytes of RAM, .* has 4,194,304"),
    ):
        with pytest.raises(NoDevice, match=said):
            build_for_cortex_m(tmp_path / "none.zip", tmp_path, memory)


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_what_only_the_linker_finds_too_large_is_told_of_with_its_bytes(tmp_path: Path) -> None:
    # Values of 2 MiB and what a layer reads of 1 MiB fit; the picture of 1 MiB does, and the stack does not.
    convolution = Convolution(kernel=(1, 1), stride=(2, 2), padding=(0, 0), out_channels=2)
    record = Network((1, 1024, 1024), (Node(convolution, (-1,), "conv"), Node(Mean(), (0,), "mean")), 1)
    with pytest.raises(NoDevice, match=r"it takes 4,2\d\d,\d\d\d bytes of RAM"):
        build(draw_integers(record, seed=0), tmp_path)


def test_where_there_is_no_cross_compiler_debians_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoDevice, match=f"apt-get install make {PACKAGES}"):
        build(TINY, tmp_path)
    assert not has_cortex_m()


@pytest.mark.slow
@NEEDS_CORTEX_M
def test_the_command_of_the_archives_readme_prints_the_same(tmp_path: Path) -> None:
    program = build(TINY, tmp_path)
    answers = program.answer(PICTURES, LIMIT_S)  # which lays the pictures where the command looks for them
    folder = tmp_path / "device" / "network"
    assert "make cortex-m " in (folder / "README.md").read_text("utf-8")
    done = subprocess.run(
        ["make", "--silent", "-C", folder, "cortex-m"],
        env=without_make(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert [int(best) for best, *_ in rows] == answers.logits.argmax(1).tolist()
    assert tuple(int(count) for _, count, *_ in rows) == answers.instructions
    assert [[int(word, 16) for word in bits] for _, _, _, *bits in rows] == answers.logits.view(np.uint32).tolist()
