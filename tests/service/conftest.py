"""A running API over a real database, and jobs brought to their ends by the functions that workers use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from service.app import create_app
from storage.artifacts import build_artifact
from storage.attempts import KindChoice, Lease, claim_job, finish_failed, finish_succeeded, record_progress
from storage.database import Database
from storage.files import FileStore
from storage.ids import new_id
from storage.jobs import MetricPoint
from storage.keys import create_key
from storage.settings import Settings
from storage.tables import Dataset, Job, Model, utc_now
from storage.workers import record_heartbeat
from tests.service.model_files import ZIP
from worker.jobs import LIGHT_KINDS

HOLDER = "wrk_test"


def build_summary(
    *, test: float, file_bytes: int | None = None, latency_ms: float = 2.0, **other: Any
) -> dict[str, Any]:
    """A model's summary as jobs write it. other: further fields, or others than these."""
    entries = [{"measure": "float32", "bytes": 1_692_672, "kb": 1653.0, "ratio": 1.0}]
    if file_bytes is not None:
        entries.append(
            {"measure": "file", "bytes": file_bytes, "kb": file_bytes / 1024, "ratio": 1_692_672 / file_bytes}
        )
    return {
        "evaluation": {
            "validation": {"num_correct": 4670, "num_examples": 5000, "accuracy": 0.934, "loss": 0.2},
            "test": {"num_correct": round(test * 10_000), "num_examples": 10_000, "accuracy": test, "loss": 0.21},
        },
        "accuracy_drop": None,
        "sparsity": {
            "total": 0.5,
            "layers": [{"name": "conv1", "zeros": 144, "total": 288, "sparsity": 0.5}],
        },
        "size": {"entries": entries},
        "layers": [{"name": "conv1", "type": "Conv2d", "shape": [32, 1, 3, 3], "parameters": 288, "macs": 225_792}],
        "macs": 4_241_152,
        "latency": {"median_ms": latency_ms, "p95_ms": 3.0, "batch_size": 1, "threads": 1, "device": "cpu"},
    } | other


DATASET_SUMMARY: dict[str, Any] = {
    "format": "class_folders",
    "class_names": ["cat", "dog"],
    "input_shape": [3, 32, 32],
    "resize": {"height": 32, "width": 32},
    "counts": {"train": [5, 4], "test": [1, 1]},
    "is_test_drawn": True,
    "seed": 0,
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.2, 0.3],
    "is_mirrorable": True,
    "num_shared": 0,
    "refused": [],
    "num_ignored": 0,
    "conversions": {},
    "warnings": [],
    "sha256": "0" * 64,
    "num_bytes": 30_000,
}


def claim_light(database: Database) -> Lease:
    """Takes the oldest job of the light lane."""
    with database.transaction() as session:
        job = claim_job(session, HOLDER, 60, KindChoice(sorted(LIGHT_KINDS), is_excluded=False))
    assert job is not None
    return Lease(job.id, job.attempt, HOLDER)


class Workshop:
    """Does what a worker does to the rows of a job, without computing anything."""

    def __init__(self, client: TestClient, database: Database, files: FileStore) -> None:
        self.client = client
        self.database = database
        self.files = files

    def submit(self, kind: str = "train", **spec: Any) -> str:
        """Id of a job submitted by HTTP."""
        answer = self.client.post(f"/v1/jobs/{kind}", json=spec)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def claim(self) -> Lease:
        """Starts the oldest waiting job."""
        with self.database.transaction() as session:
            job = claim_job(session, HOLDER, ttl=60)
            assert job is not None
            return Lease(job.id, job.attempt, HOLDER)

    def report(self, lease: Lease, epoch: int, loss: float | None) -> None:
        """One epoch's progress."""
        with self.database.transaction() as session:
            record_progress(
                session,
                lease,
                progress={"percent": 10.0 * epoch, "epoch": epoch, "total_epochs": 10},
                phase="training",
                message=f"epoch {epoch}",
                metrics={"train_loss": [MetricPoint(epoch, loss)]},
            )

    def succeed(
        self,
        lease: Lease,
        summary: Mapping[str, Any],
        content: bytes = b"weights",
        file_format: str = "checkpoint",
        file_name: str = "model.safetensors",
        dataset: str | None = "fashion_mnist",
    ) -> str:
        """Ends the job with one model and one file; returns the model's id."""
        stored = self.files.put_bytes(content)
        artifact = build_artifact(
            job_id=lease.job_id,
            kind="checkpoint",
            name=file_name,
            media_type="application/octet-stream",
            sha256=stored.sha256,
            num_bytes=stored.num_bytes,
        )
        with self.database.transaction() as session:
            job = session.get(Job, lease.job_id)
            assert job is not None
            model = Model(
                id=new_id("mdl"),
                job_id=job.id,
                parent_model_id=job.model_id,
                name=f"{job.kind}-{file_format}",
                architecture="fashion_cnn",
                dataset=dataset,
                files={file_format: artifact.id},
                summary=dict(summary),
                created_at=utc_now(),
            )
            finish_succeeded(
                session,
                lease,
                result={"epochs": 3},
                output_model_id=model.id,
                artifacts=[artifact],
                models=[model],
            )
        return model.id

    def bring_dataset(self, **other: Any) -> str:
        """Id of a data set whose pictures were brought. other: fields of its summary."""
        zipped = {"Content-Type": "application/zip"}
        job_id = self.client.post("/v1/datasets", content=ZIP, headers=zipped).json()["id"]
        lease = claim_light(self.database)
        assert lease.job_id == job_id
        stored = self.files.put_bytes(b"a sheet of pictures")
        sheet = build_artifact(
            job_id=job_id,
            kind="plot",
            name="contact-sheet.png",
            media_type="image/png",
            sha256=stored.sha256,
            num_bytes=stored.num_bytes,
        )
        dataset = Dataset(
            id=new_id("dst"),
            job_id=job_id,
            name="pictures",
            files={"contact_sheet": sheet.id},
            summary=DATASET_SUMMARY | other,
            created_at=utc_now(),
        )
        with self.database.transaction() as session:
            finish_succeeded(
                session,
                lease,
                result=DATASET_SUMMARY | {"dataset_id": dataset.id},
                output_model_id=None,
                artifacts=[sheet],
                models=[],
                datasets=[dataset],
            )
        return dataset.id

    def beat(self, **info: Any) -> None:
        """A worker's sign of life."""
        with self.database.transaction() as session:
            record_heartbeat(session, worker_id=HOLDER, pid=1, host="here", slots=1, info=info)

    def fail(self, lease: Lease) -> None:
        """Ends the job with an execution error."""
        error = {"code": "diverged", "title": "Training diverged", "detail": "loss is not finite", "retryable": False}
        with self.database.transaction() as session:
            finish_failed(session, lease, error=error)

    def train(self, test: float = 0.93, dataset: str = "fashion_mnist", **other: Any) -> str:
        """Id of the model of a finished train job. other: fields of its summary."""
        self.submit("train", epochs=3)
        return self.succeed(self.claim(), build_summary(test=test, **other), dataset=dataset)

    def compress(
        self, model_id: str, test: float = 0.925, file_bytes: int = 16_927, latency_ms: float = 1.0, **other: Any
    ) -> str:
        """Id of the model of a finished compress job. other: fields of its summary."""
        self.submit("compress", model_id=model_id)
        summary = build_summary(test=test, file_bytes=file_bytes, latency_ms=latency_ms, **other)
        return self.succeed(self.claim(), summary, b"0123456789", "compressed", "تُنُک model.tonok")


@pytest.fixture
def client(settings: Settings, data_dir: Path) -> Iterator[TestClient]:  # noqa: ARG001 - where its data lie
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def workshop(client: TestClient, database: Database, files: FileStore) -> Workshop:
    return Workshop(client, database, files)


@pytest.fixture
def heartbeat(database: Database) -> None:
    """A worker with two slots has just given a sign of life."""
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=4711, host="here", slots=2, info={"torch": "2.15.0"})


@pytest.fixture
def guarded(settings: Settings, data_dir: Path) -> Iterator[TestClient]:  # noqa: ARG001 - where its data lie
    """A service that demands keys, and a client that shows none."""
    with TestClient(
        create_app(settings.model_copy(update={"require_key": True, "requests_per_minute": 10_000})),
        raise_server_exceptions=False,
    ) as client:
        yield client


@pytest.fixture
def enter(guarded: TestClient, database: Database) -> Callable[[str], TestClient]:
    """A client with a key of this owner."""

    def enter(owner: str) -> TestClient:
        with database.transaction() as session:
            key = create_key(session, owner)
        return TestClient(guarded.app, headers={"Authorization": f"Bearer {key.secret}"}, raise_server_exceptions=False)

    return enter


def check_problem(answer: Response, status: int, code: str, *pointers: str) -> dict[str, Any]:
    """Asserts that the answer is a complete RFC 9457 problem with just these pointers; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert sorted(item["pointer"] for item in problem["errors"]) == sorted(pointers)
    return problem


def find_artifact(client: TestClient, model_id: str) -> tuple[str, str]:
    """Path and SHA-256 of the one artifact of a model's job."""
    job_id = client.get(f"/v1/models/{model_id}").json()["job_id"]
    artifact = client.get(f"/v1/jobs/{job_id}/artifacts").json()["artifacts"][0]
    return artifact["url"], artifact["sha256"]
