"""A whole study on digits through API and worker; the worker is killed on the way."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import PATIENCE_S, Service
from tests.variants import SEED
from worker.core.checkpoint import load_checkpoint

STUDY = {
    "dataset": "digits", "architecture": "fashion_cnn", "widths": [4, 8, 16], "epochs": 4,
    # So much that a pruned step is certain to be within it: without one there would be no controls.
    "max_accuracy_drop": 50.0, "seed": SEED,
}  # fmt: skip
STEPS = {
    "train", "one_shot", "step_by_step", "quantize", "channels", "compress", "control_unpruned", "control_random",
    "control_small_dense",
}  # fmt: skip
MAGIC = {"pdf": b"%PDF-", "docx": b"PK\x03\x04", "html": b"<!DOCTYPE html>", "json": b"{"}


def kill_after_steps(service: Service, job_id: str, num_steps: int) -> set[str]:
    """Runs a worker until so many steps have succeeded, then kills it; returns their ids."""
    environment = os.environ | {
        "TONOK_DATA_DIR": str(service.settings.data_dir),
        "TONOK_THREADS_PER_SLOT": "1",
        "TONOK_LEASE_TTL_S": "4",
    }
    worker = subprocess.Popen([sys.executable, "-m", "worker"], env=environment)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while len(done := list_steps(service, job_id, "succeeded")) < num_steps:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        worker.kill()
        worker.wait()
    return {step["id"] for step in done}


def list_steps(service: Service, job_id: str, status: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = service.get("/v1/jobs", parent_job_id=job_id, status=status)["jobs"]
    return steps


@pytest.mark.slow
def test_a_study_goes_on_after_a_kill_writes_its_report_and_the_same_in_persian_repeats_no_step(
    service: Service,
) -> None:
    job_id = service.client.post("/v1/jobs/study", json=STUDY).json()["id"]
    finished_before = kill_after_steps(service, job_id, 2)
    assert service.get(f"/v1/jobs/{job_id}")["status"] == "running"
    service.drain()
    job = service.get(f"/v1/jobs/{job_id}")
    assert job["status"] == "succeeded", job["error"]
    assert set(job["result"]["steps"]) == STEPS
    children = list_steps(service, job_id, "succeeded")
    assert {child["id"] for child in children} >= finished_before
    assert all(child["attempt"] == 1 for child in children if child["id"] in finished_before)
    assert {child["links"]["parent"] for child in children} == {f"/v1/jobs/{job_id}"}

    persian = service.run("study", **STUDY, language="fa", name="به فارسی")
    assert all(step["is_reused"] for step in persian["result"]["steps"].values())
    assert service.get("/v1/jobs", parent_job_id=persian["id"])["jobs"] == []

    for study, language in ((job, "en"), (persian, "fa")):
        for suffix, magic in MAGIC.items():
            assert service.download(study["id"], f"report-{language}.{suffix}").startswith(magic)
    steps = job["result"]["steps"]
    compressed = service.download(job["id"], ".tonok")
    assert compressed == service.download(steps["compress"]["job_id"], ".tonok")
    assert job["output_model_id"] == steps["compress"]["model_id"]
    assert job["result"]["file_bytes"] == len(compressed)
    # The controls: the same epochs without pruning; the same sparsity by chance; a dense network of about the bytes.
    pruned = service.get(f"/v1/jobs/{steps['step_by_step']['job_id']}/result")["result"]
    unpruned = service.get(f"/v1/jobs/{steps['control_unpruned']['job_id']}/result")["result"]
    assert unpruned["chosen"]["retrained_epochs"] == pruned["chosen"]["retrained_epochs"]
    assert steps["control_unpruned"]["sparsity"] < 0.05
    assert steps["control_random"]["sparsity"] == pytest.approx(steps["step_by_step"]["sparsity"], abs=1e-3)
    small = service.get(f"/v1/jobs/{steps['control_small_dense']['job_id']}/result")["result"]
    # Real bytes against real bytes: the header of a checkpoint this small is a good part of it.
    (small_bytes,) = [one["bytes"] for one in small["size"]["entries"] if one["measure"] == "file"]
    assert small["widths"] == [1, 1, 1] or small_bytes == pytest.approx(len(compressed), rel=0.2)


@pytest.mark.slow
def test_a_study_of_a_stored_model_fine_tunes_it_on_its_own_pictures_and_split(
    service: Service, tmp_path: Path
) -> None:
    # The split of the model, and not one of the study's own seed.
    fields = ("dataset", "architecture", "widths", "epochs")
    trained = service.run("train", **{name: STUDY[name] for name in fields}, seed=SEED + 5)
    job = service.run("study", initial_model_id=trained["output_model_id"], epochs=1, max_accuracy_drop=50.0, seed=SEED)
    assert set(job["result"]["steps"]) == STEPS - {"control_small_dense"}
    assert any("control_small_dense" in warning or "small dense" in warning for warning in job["warnings"])
    start = service.get(f"/v1/jobs/{job['result']['steps']['train']['job_id']}")
    assert start["resolved_spec"]["initial_model_id"] == trained["output_model_id"]
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(service.download(start["id"], ".safetensors"))
    _, tuned = load_checkpoint(path)
    assert (tuned.dataset, tuned.split_seed) == ("digits", SEED + 5)
