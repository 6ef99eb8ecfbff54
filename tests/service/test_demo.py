"""The demo: what it shows, and at the end one real run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.demo.display import UNSOUND, Row, build_table
from service.demo.server import CHECKOUT, build_environment
from storage.settings import Settings

PATIENCE_S = 3600.0
"""For what takes a minute where nothing else runs: this ends a test that hangs, and no other."""


CHANCE = {
    "problems": ["one_class", "chance"], "most_answered_class": 3, "most_answered_share": 1.0,
    "largest_class_share": 0.1, "accuracy": 0.1, "dead_layers": [], "num_not_finite": 0,
}  # fmt: skip


def build_row(name: str, accuracy: float, drop: float | None, file_bytes: int | None) -> Row:
    entries = [{"measure": "float32", "bytes": 1_692_672, "kb": 1653.0, "ratio": 1.0}]
    if file_bytes is not None:
        entries.append(
            {"measure": "file", "bytes": file_bytes, "kb": file_bytes / 1024, "ratio": 1_692_672 / file_bytes}
        )
    model: dict[str, Any] = {
        "evaluation": {"test": {"num_correct": round(10_000 * accuracy), "num_examples": 10_000, "accuracy": accuracy}},
        "accuracy_drop": None if drop is None else {"validation": 0.9, "test": drop},
        "sparsity": 0.0 if drop is None else 0.975,
        "macs": 4_241_152,
        "size": {"entries": entries},
    }
    return Row(name, model)


def test_the_table_has_one_line_per_model_and_measures_every_file_against_the_baseline() -> None:
    table = build_table([build_row("baseline", 0.9312, None, None), build_row("compressed file", 0.9224, 0.88, 11_776)])
    header, rule, baseline, compressed = table.splitlines()[:4]
    assert header.split()[:2] == ["model", "test"]
    assert set(rule) == {"─"}
    assert baseline.split() == ["baseline", "93.12", "–", "0.00", "4.24", "–", "1,653.00", "–", "–", "–", "–"]
    # 11,776 bytes are 11.5 KB; 1,653 / 11.5 = 143.7
    assert compressed.split()[2:] == ["92.24", "0.88", "97.50", "4.24", "–", "1,653.00", "–", "–", "11.50", "143.7×"]


def test_a_model_of_which_nothing_was_measured_still_has_a_line() -> None:
    empty = {"evaluation": None, "accuracy_drop": None, "sparsity": None, "macs": None, "size": None}
    assert build_table([Row("odd", empty)]).splitlines()[2].split() == ["odd", *["–"] * 10]


def test_a_model_that_is_not_sound_is_marked_and_told_of() -> None:
    sound, sick = build_row("baseline", 0.93, None, None), build_row("compressed file", 0.1, 0.0, 199)
    sick = Row(sick.name, {**sick.model, "health": CHANCE})
    lines = build_table([sound, sick]).splitlines()
    marked = [line for line in lines if UNSOUND in line]
    assert len(marked) == 2
    assert lines.index(marked[0]) == 3
    assert all(problem in marked[1] for problem in ("one_class", "chance"))
    assert UNSOUND not in build_table([sound])


def test_the_service_of_the_demo_keeps_to_its_own_folder_and_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONOK_DATABASE_URL", "sqlite:////someone-elses/tonok.db")
    monkeypatch.setenv("TONOK_DATA_DIR", str(tmp_path))
    environment = build_environment(Settings(), tmp_path / "demo", 12345)
    assert "TONOK_DATABASE_URL" not in environment
    assert environment["TONOK_DATA_DIR"] == str(tmp_path / "demo")
    assert environment["TONOK_DATASET_DIR"] == str(tmp_path / "datasets"), "fetched once for demo and serve"
    assert environment["TONOK_HOST"] == "127.0.0.1"


def test_a_mirror_that_the_user_names_goes_before_the_neighbouring_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TONOK_DATASET_MIRROR", "https://mirror.example/fashion-mnist")
    environment = build_environment(Settings(), tmp_path, 12345)
    assert environment["TONOK_DATASET_MIRROR"] == "https://mirror.example/fashion-mnist"


def start_demo(data_dir: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "service.demo", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "TONOK_DATA_DIR": str(data_dir), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def find_processes(data_dir: Path) -> list[str]:
    """Command lines of living processes whose environment names this data directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(data_dir) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_run_on_digits_ends_with_every_row_and_leaves_files_but_no_process(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--dataset", "digits")
    text, _ = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, text
    output = tmp_path / "demo" / "output"
    assert (output / "table.txt").read_text() in text
    results = {entry["row"]: entry["model"] for entry in json.loads((output / "results.json").read_text())}
    assert list(results) == [
        "baseline", "one-shot pruning", "step-by-step pruning", "8 bit", "6 bit", "4 bit", "2 bit", "channel pruning",
        "compressed file",
    ]  # fmt: skip
    # How far each gets is not said here: a point is one and a half of these 150 validation pictures.
    assert all(0 <= results[row]["sparsity"] < 1 for row in ("one-shot pruning", "step-by-step pruning"))
    assert results["channel pruning"]["macs"] <= results["baseline"]["macs"]
    files = {entry["measure"]: entry["bytes"] for entry in results["compressed file"]["size"]["entries"]}
    [compressed] = output.glob("*-compressed/*.tonok")
    assert files["file"] == compressed.stat().st_size
    assert list(output.glob("*-baseline/*.png"))
    assert find_processes(tmp_path) == []


@pytest.mark.slow
def test_interrupted_it_cancels_its_job_and_leaves_no_process(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--dataset", "digits")
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("[1]"):
            break
    demo.send_signal(signal.SIGINT)
    text, _ = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 130, text
    assert "Interrupted" in text
    assert find_processes(tmp_path) == []


@pytest.mark.slow
def test_without_fashion_mnist_it_says_so_loudly_and_names_both_settings(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    # A mirror without the files, and a proxy where nobody listens: neither source can answer.
    demo = start_demo(tmp_path, TONOK_DATASET_MIRROR=str(empty), https_proxy="http://127.0.0.1:9",
                      http_proxy="http://127.0.0.1:9")  # fmt: skip
    assert demo.stdout is not None
    text = ""
    for line in demo.stdout:
        text += line
        if line.startswith("[2]"):
            break
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=PATIENCE_S)
    assert "dataset_unavailable" in text
    assert "DIGITS" in text
    assert "TONOK_DATASET_MIRROR" in text
    assert "TONOK_DATASET_DIR" in text
