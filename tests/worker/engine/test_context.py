"""The real JobContext on a real database, without a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage import attempts, jobs
from storage.artifacts import build_artifact
from storage.attempts import Lease
from storage.database import Database
from storage.errors import DiskFull, InvalidModel, LeaseLost
from storage.files import FileStore
from storage.settings import Settings
from storage.tables import DEFAULT_OWNER, Model, utc_now
from worker.catalog import ArtifactKind
from worker.engine.context import Context, staging_folder
from worker.job_spec import JobOutcome
from worker.progress import JobCancelled, Progress
from worker.workspace import ModelRecord


@pytest.fixture
def lease(database: Database) -> Lease:
    with database.transaction() as session:
        jobs.submit_job(
            session, spec={}, resolved_spec={}, kind="train", name=None, labels={}, model_id=None, max_attempts=2,
            max_runtime_s=60, max_queued=10,
        )  # fmt: skip
        job = attempts.claim_job(session, "worker", 30)
        assert job is not None
        return Lease(job.id, job.attempt, "worker")


@pytest.fixture
def build_context(settings: Settings, database: Database, lease: Lease) -> Callable[..., Context]:
    staging = staging_folder(settings, lease)
    staging.mkdir(parents=True)

    def build(*, is_cancelled: bool = False) -> Context:
        return Context(settings, database, lease, staging, lambda: is_cancelled, DEFAULT_OWNER)

    return build


@pytest.fixture
def context(build_context: Callable[..., Context]) -> Context:
    return build_context()


def _store_model(database: Database, lease: Lease, stored: dict[str, str], sha256: str) -> None:
    artifact = build_artifact(
        job_id=lease.job_id, kind="checkpoint", name="c", media_type="m", sha256=sha256, num_bytes=3
    )
    model = Model(
        id="mdl_1", job_id=lease.job_id, name="n", architecture="mlp", dataset="digits",
        files=dict.fromkeys(stored, artifact.id), summary={"sparsity": 0.5}, created_at=utc_now(),
    )  # fmt: skip
    with database.transaction() as session:
        session.add_all([artifact, model])


def test_reports_merge_into_one_progress_and_percents_become_events(
    context: Context, database: Database, lease: Lease
) -> None:
    context.report(Progress(phase="training", percent=10, epoch=1, total_epochs=5))
    context.report(Progress(percent=20, message="halfway", eta_s=float("inf")))
    with database.read() as session:
        job = jobs.get_job(session, lease.job_id)
        events = jobs.list_events(session, lease.job_id)
    updated_at = job.progress.pop("updated_at")
    assert job.progress == {"percent": 20, "epoch": 1, "total_epochs": 5, "eta_s": None}
    assert updated_at.endswith("+00:00")
    assert job.phase == "training"
    assert [(event.data["percent"], event.data.get("message")) for event in events if event.type == "progress"] == [
        (10, None), (20, "halfway"),
    ]  # fmt: skip


def test_mere_progress_is_written_now_and_then_and_at_the_end(
    context: Context, database: Database, lease: Lease
) -> None:
    for step in range(1, 1001):
        context.report(Progress(phase="training", step=step))
    with database.read() as session:
        written = jobs.get_job(session, lease.job_id).progress["step"]
        num_events = len(jobs.list_events(session, lease.job_id))
    assert written < 1000
    assert num_events == 3  # queued, started, and the phase
    context.write_pending()
    with database.read() as session:
        assert jobs.get_job(session, lease.job_id).progress["step"] == 1000


def test_a_report_raises_once_a_cancel_was_asked_for(build_context: Callable[..., Context]) -> None:
    with pytest.raises(JobCancelled):
        build_context(is_cancelled=True).report(Progress(step=1))


def test_a_report_of_an_attempt_that_was_taken_over_raises(context: Context, database: Database, lease: Lease) -> None:
    with database.transaction() as session:
        attempts.retry_or_fail(session, lease, error={"code": "worker_lost"})
    with pytest.raises(LeaseLost):
        context.report(Progress(phase="training"))


def test_a_models_checkpoint_is_preferred_and_its_bytes_are_checked(
    context: Context, database: Database, files: FileStore, lease: Lease
) -> None:
    _store_model(database, lease, {"checkpoint": ""}, files.put_bytes(b"abc").sha256)
    path = context.model_file("mdl_1")
    assert path.read_bytes() == b"abc"
    assert context.model_summary("mdl_1") == {"sparsity": 0.5}
    path.write_bytes(b"abd")
    with pytest.raises(InvalidModel, match="mdl_1") as raised:
        context.model_file("mdl_1")
    assert raised.value.field == "model_id"


def test_a_model_with_only_a_compressed_file_gives_that_one(
    context: Context, database: Database, files: FileStore, lease: Lease
) -> None:
    _store_model(database, lease, {"compressed": ""}, files.put_bytes(b"abc").sha256)
    assert context.model_file("mdl_1").read_bytes() == b"abc"


def test_a_model_without_a_usable_file_or_without_a_row_is_invalid(
    context: Context, database: Database, files: FileStore, lease: Lease
) -> None:
    _store_model(database, lease, {"onnx": ""}, files.put_bytes(b"abc").sha256)
    with pytest.raises(InvalidModel, match="neither"):
        context.model_file("mdl_1")
    for read in (context.model_file, context.model_summary):
        with pytest.raises(InvalidModel, match="no model"):
            read("mdl_2")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 121])
def test_an_artifact_has_a_plain_file_name(context: Context, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        context.artifact_path(name, ArtifactKind.PLOT)


def test_a_model_is_made_of_artifacts_of_the_same_job(context: Context) -> None:
    with pytest.raises(ValueError, match="artifacts of this job"):
        context.save_model(ModelRecord("n", "mlp", "digits", None, {"checkpoint": "missing.bin"}, {}))
    with pytest.raises(ValueError, match="output model"):
        context.build_outcome(JobOutcome({}, "mdl_of_another_job"))


def test_an_artifact_that_was_announced_must_be_written(context: Context) -> None:
    context.artifact_path("plot.png", ArtifactKind.PLOT)
    with pytest.raises(FileNotFoundError, match=r"plot\.png"):
        context.build_outcome(JobOutcome({}))


def test_a_result_holds_what_json_can_hold(context: Context) -> None:
    assert context.build_outcome(JobOutcome({"a": (1, 2.5, None, True, {"b": "c"})})).result == {
        "a": [1, 2.5, None, True, {"b": "c"}]
    }
    with pytest.raises(TypeError, match="PosixPath"):
        context.build_outcome(JobOutcome({"a": Path("x")}))


def test_the_scratch_folder_is_the_jobs_and_the_staging_folder_the_attempts(
    context: Context, settings: Settings, lease: Lease
) -> None:
    assert context.scratch == settings.data_dir / "scratch" / lease.job_id
    assert context.scratch.is_dir()
    assert staging_folder(settings, lease).name == f"{lease.job_id}-1"


def test_where_there_is_no_room_the_run_ends_at_its_next_report_or_file(
    settings: Settings, database: Database, lease: Lease
) -> None:
    full = settings.model_copy(update={"max_data_bytes": 1})
    context = Context(full, database, lease, staging_folder(full, lease), lambda: False, DEFAULT_OWNER)
    with pytest.raises(DiskFull):
        context.report(Progress(phase="training"))
    with pytest.raises(DiskFull):
        context.artifact_path("model.safetensors", ArtifactKind.CHECKPOINT)


def test_room_is_told_of_what_will_be_written(settings: Settings, database: Database, lease: Lease) -> None:
    limited = settings.model_copy(update={"max_data_bytes": 1 << 30})
    context = Context(limited, database, lease, staging_folder(settings, lease), lambda: False, DEFAULT_OWNER)
    context.check_room(1 << 20)
    with pytest.raises(DiskFull):
        context.check_room(1 << 30)


def test_a_model_of_another_owner_cannot_be_read(
    settings: Settings, database: Database, lease: Lease, files: FileStore
) -> None:
    sha256 = files.put_bytes(b"abc").sha256
    _store_model(database, lease, {"checkpoint": "c"}, sha256)
    staging = staging_folder(settings, lease)
    for owner, is_theirs in ((DEFAULT_OWNER, True), ("bob", False)):
        context = Context(settings, database, lease, staging, lambda: False, owner)
        if is_theirs:
            assert context.model_file("mdl_1").read_bytes() == b"abc"
            continue
        with pytest.raises(InvalidModel, match="no model with this id"):
            context.model_file("mdl_1")
        with pytest.raises(InvalidModel, match="no model with this id"):
            context.model_summary("mdl_1")
