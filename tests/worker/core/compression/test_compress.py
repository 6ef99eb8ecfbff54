"""`compress` as a library: from a notebook, on a network and its data, without a job."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.variants import SEED
from worker.catalog import Precision
from worker.coding import decode_network
from worker.compression_plan import CompressionPlan, QatStage
from worker.core.compression.pipeline import FOREIGN_CHECKPOINTS, compress
from worker.core.models import build_model
from worker.core.quantization.integer_model import build_integer_model
from worker.core.quantization_aware import DEFAULT_EPOCHS, QatSettings, quantize_network
from worker.core.resume import FolderCheckpoints
from worker.core.training import TrainingSettings, evaluate, fit
from worker.datasets import Dataset
from worker.jobs.quantize import QuantizeSpec
from worker.progress import JobCancelled, Progress, QuietReporter
from worker.techniques import Technique

PLAN = CompressionPlan(1, (QatStage(0.5, 1, 0.02, is_plain=True),), channel_sparsity=0.25)


class Stopping(QuietReporter):
    """Cancels at the first report of a phase."""

    def __init__(self, phase: str) -> None:
        self.phase = phase

    def report(self, progress: Progress) -> None:
        if progress.phase == self.phase:
            raise JobCancelled


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_and_its_data_are_all_it_takes(digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(SEED)
    data = digits.limit_train(400)
    model = build_model("mlp", (24,), input_shape=data.input_shape, num_classes=10)
    fit(model, data, TrainingSettings(4, 0.05, batch_size=32, flip=False, precision=Precision.FLOAT32, is_fresh=True))
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    checkpoints = FolderCheckpoints(tmp_path)
    with pytest.raises(JobCancelled):
        compress(model, data, PLAN, 20.0, SEED, Stopping("measuring"), checkpoints=checkpoints)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.step")}
    found = compress(model, data, PLAN, 20.0, SEED, checkpoints=checkpoints)
    # What was finished before the cancel is not done again.
    assert kept == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.step")}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert found.chosen.within
    assert found.chosen.num_bytes == len(found.file) == min(one.num_bytes for one in found.candidates if one.has_margin)
    assert len({one.stage for one in found.candidates}) == len(found.candidates)
    stored = build_integer_model(decode_network(found.file))
    assert evaluate(stored, data, data.validation).accuracy == found.chosen.accuracy
    told = {one.technique for row in found.ablation for one in row.applied}
    assert Technique.BATCH_NORM_FOLDING not in told  # it has none
    assert {one.technique for one in found.applied} <= told
    assert found.stages[0].unit == "channels"
    assert found.stages[0].asked_sparsity == 0.25


class Listening(Stopping):
    """Keeps the warnings."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.warnings: list[str] = []

    def warn(self, message: str, data: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self.warnings.append(message)


def attempt(asked: dict[str, Any], folder: Path) -> list[str]:
    """Runs until the first file is encoded; returns the warnings."""
    listening = Listening("encoding")
    with pytest.raises(JobCancelled):
        compress(**asked, report=listening, checkpoints=FolderCheckpoints(folder))
    return listening.warnings


@pytest.fixture
def asked(digits: Dataset) -> dict[str, Any]:
    torch.manual_seed(SEED)
    model = build_model("mlp", (4,), input_shape=digits.input_shape, num_classes=10)
    return {"model": model, "data": digits.limit_train(60), "plan": PLAN, "max_drop": 20.0, "seed": SEED}


@pytest.mark.parametrize("other", ["model", "data", "validation", "plan", "max_drop", "seed"])
def test_what_another_compression_kept_is_discarded(other: str, asked: dict[str, Any], tmp_path: Path) -> None:
    data = asked["data"]
    others = {
        "model": build_model("mlp", (4,), input_shape=data.input_shape, num_classes=10), "data": data.limit_train(50),
        "plan": replace(PLAN, bit_width=5), "max_drop": 10.0, "seed": SEED + 1,
        "validation": replace(data, validation=data.test),
    }  # fmt: skip
    assert attempt(asked, tmp_path) == []
    first = (tmp_path / "measured-calibrated.step").stat().st_ino
    kept = [tmp_path / "rung-0.step", tmp_path / "narrowed.state"]
    for path in kept:
        path.write_bytes(b"of the first")
    notes = tmp_path / "notes.txt"
    notes.write_text("of somebody else", encoding="utf-8")
    assert attempt(asked | {"max_drop": 20}, tmp_path) == []  # the same number, written otherwise
    assert all(path.exists() for path in kept)
    assert (tmp_path / "measured-calibrated.step").stat().st_ino == first

    changed = {"data" if other == "validation" else other: others[other]}
    assert attempt(asked | changed, tmp_path) == [FOREIGN_CHECKPOINTS]
    assert not any(path.exists() for path in kept)
    assert notes.exists()
    assert attempt(asked | changed, tmp_path) == []


@pytest.mark.parametrize("task", [None, b"", b"damaged", "a list"], ids=["none", "empty", "damaged", "another kind"])
def test_checkpoints_of_nobody_knows_what_are_discarded(
    task: bytes | str | None, asked: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("measured-calibrated.step", "rung-0.step"):
        torch.save({"digest": "of an older version"}, tmp_path / name)
    if isinstance(task, bytes):
        (tmp_path / "task.step").write_bytes(task)
    elif task is not None:
        torch.save([task], tmp_path / "task.step")
    assert attempt(asked, tmp_path) == [FOREIGN_CHECKPOINTS]
    assert not (tmp_path / "rung-0.step").exists()
    assert attempt(asked, tmp_path) == []


def test_compress_holds_its_files_against_what_quantize_makes_by_default() -> None:
    spec, settings = QuantizeSpec(model_id="latest"), QatSettings()
    for field in ("epochs", "learning_rate", "distillation", "seed"):
        assert getattr(spec, field) == getattr(settings, field)
    defaults = inspect.signature(quantize_network).parameters
    for field in ("activation_bit_width", "per_channel"):
        assert getattr(spec, field) == defaults[field].default
    assert set(DEFAULT_EPOCHS) == set(range(2, 9))
