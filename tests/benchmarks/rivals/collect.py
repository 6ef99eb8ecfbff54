"""What lies in a task's folder → rows: bytes on disk as shipped and after zstd, accuracy of what was read back."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.rivals.environments import LOCKS
from tests.benchmarks.rivals.task import TaskFiles
from worker.intervals import compute_wilson_interval

NAMES = {
    "tonok": "Tonok",
    "brevitas": "Brevitas",
    "nncf": "NNCF",
    "torch_pruning": "Torch-Pruning",
    "onnxruntime": "ONNX Runtime",
    "nncodec": "nncodec",
}
RIVALS = tuple(tool for tool in NAMES if tool != "tonok")


@dataclass(frozen=True)
class Row:
    """One artifact. drop: percentage points below the baseline on test; epochs: of training after the baseline."""

    tool: str
    variant: str
    artifact: str
    epochs: int
    num_bytes: int
    zstd_bytes: int
    num_correct: int
    num_examples: int
    validation_accuracy: float
    drop: float

    @property
    def accuracy(self) -> float:
        """On test, fraction 0..1."""
        return self.num_correct / self.num_examples

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: value for name, value in vars(self).items() if name not in ("num_correct", "num_examples")},
            "test": {
                "num_correct": self.num_correct,
                "num_examples": self.num_examples,
                "accuracy": self.accuracy,
                "interval": compute_wilson_interval(self.num_correct, self.num_examples),
            },
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Row:
        """The row that `to_json` made."""
        flat = {name: value for name, value in told.items() if name != "test"}
        return cls(**flat, num_correct=told["test"]["num_correct"], num_examples=told["test"]["num_examples"])


def find_version(tool: str) -> str:
    """The version that a rival's lock file pins."""
    pinned = re.search(rf"^{tool.replace('_', '-')}==(\S+)", (LOCKS / f"{tool}.lock").read_text("utf-8"), re.MULTILINE)
    if pinned is None:
        raise LookupError(f"{tool}.lock does not pin {tool}")
    return pinned.group(1)


def collect_rows(task: TaskFiles, zstandard_python: Path) -> list[Row]:
    """Every artifact of every tool that is there; ours first, each tool's in the order of their bytes."""
    found = list(_find_artifacts(task))
    paths = [path for _, _, files in found for path in files]
    sizes = iter(compress_files(zstandard_python, paths))
    baseline: Mapping[str, Any] = next(artifact for record, artifact, _ in found if record["variant"] == "float32")
    rows = []
    for record, artifact, files in found:
        correct, examples = artifact["num_correct"], artifact["num_examples"]
        rows.append(
            Row(
                tool=record["tool"],
                variant=record["variant"],
                artifact=artifact["artifact"],
                epochs=record["epochs"],
                num_bytes=sum(path.stat().st_size for path in files),
                zstd_bytes=sum(next(sizes) for _ in files),
                num_correct=correct["test"],
                num_examples=examples["test"],
                validation_accuracy=correct["validation"] / examples["validation"],
                drop=100 * (baseline["num_correct"]["test"] - correct["test"]) / examples["test"],
            )
        )
    return sorted(rows, key=lambda row: (list(NAMES).index(row.tool), -row.num_bytes))


def compress_files(python: Path, paths: Sequence[Path]) -> list[int]:
    """Bytes of each file after zstd, by the Python that has it."""
    command = [str(python), "-m", "tests.benchmarks.rivals.tools.zstandard"]
    told = json.dumps([str(path.resolve()) for path in paths])
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    sizes: list[int] = json.loads(done.stdout)
    return sizes


def read_failures(task: TaskFiles) -> dict[str, str]:
    """Tool → why it has no rows, or not all."""
    paths = {tool: task.folder / tool / "failure.txt" for tool in NAMES}
    return {tool: path.read_text(encoding="utf-8") for tool, path in paths.items() if path.exists()}


def _find_artifacts(task: TaskFiles) -> Iterator[tuple[dict[str, Any], dict[str, Any], list[Path]]]:
    for tool in NAMES:
        for path in sorted((task.folder / tool).glob("*/variant.json")):
            record = json.loads(path.read_text(encoding="utf-8")) | {"tool": tool}
            for artifact in record["artifacts"]:
                yield record, artifact, [path.parent / name for name in artifact["files"]]
