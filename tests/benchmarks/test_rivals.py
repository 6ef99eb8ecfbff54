"""The comparison with other tools says what was measured, and gives them the same network."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import torch

from tests.benchmarks.rivals.collect import RIVALS, Row, find_version
from tests.benchmarks.rivals.environments import LOCKS
from tests.benchmarks.rivals.page import RECORDS, choose_smallest, read_tables, render_tables
from tests.benchmarks.rivals.tools.plain import Network
from worker.core.models import build_model

TOOLS = Path(__file__).parent / "rivals" / "tools"


def test_the_page_shows_what_was_recorded() -> None:
    assert read_tables() == render_tables()


def test_every_drop_of_the_record_is_counted_from_the_same_checkpoint() -> None:
    rows = [
        Row.from_json(told) for told in json.loads(RECORDS["rivals"].read_text(encoding="utf-8"))["numbers"]["rows"]
    ]
    reference = next(row for row in rows if (row.tool, row.variant) == ("tonok", "float32"))
    assert [row.drop for row in rows] == pytest.approx([100 * (reference.accuracy - row.accuracy) for row in rows])


def test_the_rivals_network_is_ours() -> None:
    ours = build_model("fashion_cnn", (4, 8, 16)).eval()
    theirs = Network((4, 8, 16)).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), ours(x))


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*.py")), ids=lambda path: path.stem)
def test_a_rivals_script_imports_nothing_of_ours(script: Path) -> None:
    nodes = list(ast.walk(ast.parse(script.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    assert {name for name in names if name.split(".")[0] in {"worker", "service", "storage"}} == set()


@pytest.mark.parametrize("tool", [*RIVALS, "zstandard"])
def test_a_rival_has_a_script_and_every_package_of_its_environment_a_hash(tool: str) -> None:
    lock = (LOCKS / f"{tool}.lock").read_text(encoding="utf-8")
    packages = re.split(r"^(?=[a-z0-9-]+==)", lock, flags=re.MULTILINE)[1:]
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in lock
    assert (TOOLS / f"{tool}.py").exists()
    assert re.fullmatch(r"[0-9.]+", find_version(tool))


def test_of_two_files_of_one_variant_the_figure_shows_the_one_that_zstd_leaves_smaller() -> None:
    large = Row("brevitas", "8 bit", "state dict", 1, 100, 90, 9, 10, 0.9, 0.0)
    small = Row("brevitas", "8 bit", "ONNX", 1, 120, 80, 9, 10, 0.9, 0.0)
    assert choose_smallest([large, small]) == [small]
