"""The service's own kinds in one real worker whose only slot is taken for an hour."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.artifacts import build_artifact
from storage.database import Database
from storage.files import FileStore
from storage.jobs import get_job, submit_job
from storage.settings import Settings
from storage.tables import Job
from worker.checkpoint_facts import CheckpointInfo
from worker.core.checkpoint import save_checkpoint
from worker.core.models import build_model
from worker.dataset_location import DatasetLocation
from worker.datasets import load_dataset
from worker.engine.local import LIGHT_SLOTS
from worker.jobs import LIGHT_KINDS, SPECS

_PATIENCE_S = 300.0


@pytest.fixture
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "TONOK_DATA_DIR": str(settings.data_dir), "TONOK_SLOTS": "1", "TONOK_THREADS_PER_SLOT": "1",
    }  # fmt: skip
    worker = subprocess.Popen([sys.executable, "-m", "worker"], env=environment)
    yield worker
    worker.kill()
    worker.wait()


def _submit(database: Database, upload: str | None = None, **spec: Any) -> str:
    parsed = SPECS[spec["kind"]].model_validate(spec)
    with database.transaction() as session:
        job, _ = submit_job(
            session, spec=spec, resolved_spec=parsed.model_dump(mode="json"), kind=parsed.kind, name=None, labels={},
            model_id=None, max_attempts=1, max_runtime_s=7200, max_queued=10,
        )  # fmt: skip
        if upload is not None:
            session.flush()
            session.add(
                build_artifact(
                    job_id=job.id,
                    kind="upload",
                    name="upload",
                    media_type="application/octet-stream",
                    sha256=upload,
                    num_bytes=1,
                )
            )
    return job.id


def _wait(database: Database, job_id: str, *statuses: str) -> Job:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with database.read() as session:
            job = get_job(session, job_id)
        if job.status in statuses:
            return job
        assert time.monotonic() < deadline, f"{job_id} is still {job.status}"
        time.sleep(0.05)


def _store_checkpoint(files: FileStore, path: Path) -> str:
    data = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)
    torch.manual_seed(0)
    model = build_model("mlp", (8, 8), input_shape=data.input_shape, num_classes=len(data.class_names))
    info = CheckpointInfo(
        architecture="mlp", widths=(8, 8), input_shape=data.input_shape, class_names=data.class_names, mean=data.mean,
        std=data.std, dataset="digits", split_seed=0,
    )  # fmt: skip
    save_checkpoint(path, model, info)
    return files.put(path).sha256


@pytest.mark.slow
def test_an_import_starts_while_an_hour_of_training_fills_the_slot(
    database: Database, files: FileStore, tmp_path: Path, worker: subprocess.Popen[bytes]
) -> None:
    heavy = _submit(
        database, kind="train", dataset="digits", architecture="lenet5", epochs=500, patience=500, batch_size=1
    )
    _wait(database, heavy, "running")
    behind = _submit(database, kind="train", dataset="digits", architecture="mlp", epochs=1)
    light = _submit(database, _store_checkpoint(files, tmp_path / "net.safetensors"), kind="import")
    # Whatever it finds the untrained network to be worth: it has come to its end beside the training.
    assert _wait(database, light, "succeeded", "failed", "cancelled").started_at is not None
    assert [_wait(database, job_id, "running", "queued").status for job_id in (heavy, behind)] == ["running", "queued"]
    assert worker.poll() is None


def test_the_light_kinds_are_those_about_a_file_that_came_with_the_request() -> None:
    assert {"import", "import_dataset", "predict"} == set(LIGHT_KINDS)


def test_each_light_kind_has_room_beside_all_others() -> None:
    """Of each runs one at a time, so that a prediction waits for no import, whatever else comes in."""
    assert len(LIGHT_KINDS) <= LIGHT_SLOTS
