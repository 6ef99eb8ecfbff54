"""Files whose scans were never written by us: refused where they fit no layer, and bounded in memory where they do."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from storage.errors import InvalidModel
from tests.worker.coding.networks import build_layer, build_network
from worker.coding import container, decode_network, limits
from worker.coding.fields import Fields
from worker.coding.kernel import open_writer
from worker.coding.ranges import MAX_DECISIONS
from worker.coding.weights import Scan
from worker.model_heads import TONOK_MAGIC

BYTES_PER_DECISION = 600
"""What docs/format.md says, and something for the interpreter's own growth."""

MEASURE = """
import re, sys
from pathlib import Path
from worker.coding import decode_network
def read_peak():
    # Of this program alone: ru_maxrss begins with what the process that started it held.
    return 1024 * int(re.search(r"VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
data = Path(sys.argv[1]).read_bytes()
before = read_peak()
decode_network(data)
print(read_peak() - before)
"""


BYTES_PER_WEIGHT = 8
"""In blocks: what is read, as bytes and as numbers of two, and what is made of both."""


def forge(num_columns: int, scan: Scan, side: int | None = None) -> bytes:
    """A valid frame around one row of zeros, walked as `scan` says whether that makes sense or not.

    side: makes the row a kernel of so many lines.
    """
    shape = (1, num_columns) if side is None else (1, 1, side, num_columns // side)
    network = build_network(build_layer("fc1", np.zeros(shape, np.int8)))
    writer = open_writer()
    fields = Fields(writer)
    container._code_network(fields, network, (scan,), num_columns, version=1)
    body = writer.finish()
    smallest = max(0, -(-(num_columns - limits.FREE_WEIGHTS) // 1024))
    body = body.ljust(smallest, b"\0")
    return TONOK_MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("scan", [Scan(positions=7, stride=1), Scan(positions=4, stride=5)])
def test_a_scan_that_does_not_fit_its_layer_is_refused_by_the_code_that_writer_and_reader_share(scan: Scan) -> None:
    with pytest.raises(InvalidModel, match="does not fit its shape"):
        decode_network(forge(64, scan))


@pytest.mark.slow
def test_a_tiny_file_that_opens_a_context_per_decision_takes_no_more_than_is_said(tmp_path: Path) -> None:
    num_columns = MAX_DECISIONS // 8
    path = tmp_path / "hostile.tonok"
    path.write_bytes(forge(num_columns, Scan(positions=num_columns, stride=1)))
    assert path.stat().st_size < 300
    measured = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    assert int(measured.stdout) < BYTES_PER_DECISION * num_columns


@pytest.mark.slow
def test_a_layer_in_blocks_takes_a_few_bytes_a_weight(tmp_path: Path) -> None:
    num_columns = 1 << 24
    path = tmp_path / "hostile.tonok"
    path.write_bytes(forge(num_columns, Scan(positions=num_columns, stride=1 << 12, in_blocks=True), side=1 << 12))
    assert path.stat().st_size < 17_000
    measured = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
    assert int(measured.stdout) < BYTES_PER_WEIGHT * num_columns
