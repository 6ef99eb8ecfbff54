"""A few thousand of the inputs of `python -m tests.fuzz.device`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz.device import build_decoder, list_files, run
from tests.worker.exports.c.programs import find_compiler

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_compiler("gcc") is None, reason="needs gcc")]


def test_a_device_decodes_or_refuses_every_file() -> None:
    decoded, refused = run(seed=1, count=3000)
    assert decoded + refused == 3000
    assert decoded > 100
    assert refused > 100


def test_valid_files_are_decoded_all(tmp_path: Path) -> None:
    files = list_files(seed=2)
    program = build_decoder(files, tmp_path)
    heads = (number.to_bytes(4, "little") + len(data).to_bytes(4, "little") for number, data in enumerate(files))
    whole = b"".join(head + data for head, data in zip(heads, files, strict=True))
    done = subprocess.run([program], input=whole, capture_output=True, check=True)
    assert done.stdout.split() == [str(len(files)).encode(), b"0"]
