"""The reader as one file: it answers what the service computes, wherever NumPy is."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.worker.exports.integer_networks import compute_logits, draw_integers, draw_named, draw_pictures
from tests.worker.network.records import records
from worker.catalog import Architecture
from worker.coding.container import encode_network
from worker.coding.reader.__main__ import join_modules
from worker.coding.reader.classify import _OPERATIONS, Classifier
from worker.integer_network import IntegerNetwork
from worker.network.architectures import DEFAULT_WIDTHS
from worker.network.operations import NAMES
from worker.network.record import Network
from worker.network.torchvision_records import describe_torchvision


def draw_narrow(name: str) -> IntegerNetwork:
    """A built-in network of an eighth of its widths, whose file has no record of it."""
    return draw_named(name, tuple(max(2, width // 8) for width in DEFAULT_WIDTHS[name]), seed=1)


@pytest.mark.slow
@given(record=records(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_any_network_answers_the_same_bits(record: Network, seed: int) -> None:
    network = draw_integers(record, seed)
    pictures = draw_pictures(network, 3, seed)
    wanted = compute_logits(network, pictures)
    assume(np.isfinite(wanted).all())
    np.testing.assert_array_equal(Classifier(encode_network(network)).compute_logits(pictures), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(Architecture))
def test_built_in_networks_answer_the_same_bits(name: str) -> None:
    network = draw_narrow(name)
    data = encode_network(network)
    assert data[2] == 1
    pictures = draw_pictures(network, 4, seed=2)
    np.testing.assert_array_equal(Classifier(data).compute_logits(pictures), compute_logits(network, pictures))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small"])
def test_networks_of_torchvision_answer_the_same_bits(name: str) -> None:
    network = draw_integers(describe_torchvision(name, input_shape=(3, 32, 32), num_classes=10), seed=1)
    pictures = draw_pictures(network, 1, seed=2)
    classifier = Classifier(encode_network(network))
    np.testing.assert_array_equal(classifier.compute_logits(pictures), compute_logits(network, pictures))


def test_every_operation_is_known() -> None:
    layers = {"convolution", "linear", "batch_norm", "channel_affine"}
    assert set(NAMES.values()) - layers == set(_OPERATIONS)


def test_no_name_of_the_file_is_given_twice() -> None:
    names = Counter[str]()
    for node in ast.parse(join_modules()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] += 1
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))
    assert [name for name, count in names.items() if count > 1] == []


def test_it_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    network = draw_narrow("mlp")
    (picture,) = draw_pictures(network, 1, seed=3)
    (tmp_path / "tonok_reader.py").write_text(join_modules(), "utf-8")
    (tmp_path / "network.tonok").write_bytes(encode_network(network))
    np.save(tmp_path / "picture.npy", picture)
    np.save(tmp_path / "flat.npy", picture[0])
    np.save(tmp_path / "small.npy", picture[:, :5])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # Isolated: neither this checkout nor anything of the user's is found.
        command = [sys.executable, "-I", "tonok_reader.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    best = int(compute_logits(network, picture[None])[0].argmax())
    for name in ("picture.npy", "flat.npy"):
        assert run("network.tonok", name).stdout.split("\t")[0] == network.class_names[best]
    for wrong in (("network.tonok", "small.npy"), ("picture.npy", "picture.npy"), ("no.tonok", "picture.npy"), ()):
        done = run(*wrong)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
