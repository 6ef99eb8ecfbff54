"""What a job leaves behind, however it ends. Every test runs real processes."""

from __future__ import annotations

from typing import Any

import pytest

from storage.artifacts import list_artifacts
from storage.files import FileStore
from storage.jobs import list_events, list_metrics
from storage.models import get_model
from tests.worker.engine.conftest import Bench


def _folders(bench: Bench, name: str) -> list[str]:
    return sorted(path.name for path in (bench.settings.data_dir / name).glob("*"))


def _read_log(bench: Bench, files: FileStore, job_id: str) -> str:
    with bench.database.read() as session:
        log = [artifact for artifact in list_artifacts(session, job_id) if artifact.kind == "log"][-1]
    with files.open_verified(log.sha256) as stream:
        return stream.read().decode()


@pytest.mark.slow
def test_success_publishes_artifacts_model_metrics_and_result_at_once(bench: Bench, files: FileStore) -> None:
    job_id = bench.submit("succeed")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt, job.phase) == ("succeeded", 1, "training")
    assert job.progress["percent"] == 100.0
    assert job.result is not None
    assert job.result["accuracy"] == 0.9
    assert job.output_model_id is not None
    with bench.database.read() as session:
        artifacts = {artifact.name: artifact for artifact in list_artifacts(session, job_id)}
        model = get_model(session, job.output_model_id)
    assert {name: artifact.kind for name, artifact in artifacts.items()} == {
        "weights.bin": "checkpoint", "curve.png": "plot", "log-1.txt": "log",
    }  # fmt: skip
    assert artifacts["curve.png"].media_type == "image/png"
    assert model.files == {"checkpoint": artifacts["weights.bin"].id}
    with files.open_verified(artifacts["weights.bin"].sha256) as stream:
        assert stream.read() == b"weights" * 1000
    assert "the run says succeed" in _read_log(bench, files, job_id)


@pytest.mark.slow
def test_a_light_job_does_not_wait_behind_the_one_that_fills_the_slots(bench: Bench) -> None:
    heavy = [bench.submit("wait_for_go") for _ in range(2)]
    bench.start_worker()
    bench.wait_for_run(heavy[0])
    light = bench.submit("succeed", kind="light_sample")
    bench.wait_for_status(light, "succeeded")
    assert [bench.get(job_id).status for job_id in heavy] == ["running", "queued"]
    (bench.witness / "go").touch()
    for job_id in heavy:
        bench.wait_for_status(job_id, "succeeded")


@pytest.mark.slow
def test_light_jobs_of_one_kind_wait_for_one_another_and_not_for_those_of_another_kind(bench: Bench) -> None:
    slow = [bench.submit("wait_for_go", kind="light_sample") for _ in range(3)]
    bench.start_worker()
    bench.wait_for_run(slow[0])
    quick = bench.submit("succeed", kind="lighter_sample")
    bench.wait_for_status(quick, "succeeded")
    assert [bench.get(job_id).status for job_id in slow] == ["running", "queued", "queued"]
    (bench.witness / "go").touch()
    for job_id in slow:
        bench.wait_for_status(job_id, "succeeded")


@pytest.mark.slow
def test_a_stored_field_that_is_not_known_any_more_is_left_out_with_a_warning(bench: Bench) -> None:
    job_id = bench.submit("succeed", more={"forgotten": 3, "seed": 7})
    bench.drain()
    job = bench.get(job_id)
    assert job.status == "succeeded"
    with bench.database.read() as session:
        told = [event.data for event in list_events(session, job_id, limit=1000) if event.type == "warning"]
    changes = [{name: data[name] for name in ("field", "was", "now")} for data in told if "code" in data]
    assert changes == [{"field": "forgotten", "was": 3, "now": None}]
    assert [message for message in job.warnings if "forgotten" in message] == [
        data["message"] for data in told if "code" in data
    ]


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"action": 5}, {"witness": None}])
def test_a_stored_spec_that_cannot_be_run_any_more_fails_by_the_fields_name(bench: Bench, more: dict[str, Any]) -> None:
    job_id = bench.submit("succeed", more=more)
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, (job.error or {})["code"], (job.error or {})["retryable"]) == ("failed", "invalid_spec", False)
    assert next(iter(more)) in (job.error or {})["detail"]


@pytest.mark.slow
def test_a_worker_that_drains_the_light_jobs_waits_for_no_other(bench: Bench) -> None:
    heavy, light = bench.submit("wait_for_go"), bench.submit("succeed", kind="light_sample")
    bench.drain(light=True)
    assert [bench.get(job_id).status for job_id in (heavy, light)] == ["queued", "succeeded"]


@pytest.mark.slow
def test_nothing_of_an_ended_job_stays_in_staging_or_scratch(bench: Bench) -> None:
    bench.submit("succeed")
    bench.submit("fail")
    bench.drain()
    assert _folders(bench, "staging") == []
    assert _folders(bench, "scratch") == []


@pytest.mark.slow
def test_numbers_that_are_not_finite_become_null_with_one_warning_each(bench: Bench) -> None:
    job_id = bench.submit("succeed")
    bench.drain()
    job = bench.get(job_id)
    with bench.database.read() as session:
        series = list_metrics(session, job_id)
        assert get_model(session, str(job.output_model_id)).summary == {"sparsity": 0.5, "loss": None}
    assert [point.value for point in series["bad"]] == [1.0, None, 1.0]
    assert job.result is not None
    assert job.result["infinite"] is None
    assert [warning.split(" was")[0] for warning in job.warnings] == ["bad", "the model's summary", "the result"]


@pytest.mark.slow
def test_every_message_and_metric_is_kept_however_fast_they_come(bench: Bench) -> None:
    job_id = bench.submit("succeed")
    bench.drain()
    with bench.database.read() as session:
        events = list_events(session, job_id)
        series = list_metrics(session, job_id)
    assert [event.data["message"] for event in events if "epoch" in event.data.get("message", "")] == [
        "epoch 1", "epoch 2", "epoch 3",
    ]  # fmt: skip
    assert [(point.step, point.value) for point in series["train_loss"]] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert [event.type for event in events][:2] == ["queued", "started"]
    assert events[-1].type == "succeeded"
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.slow
def test_thread_counts_are_set_before_the_process_starts(bench: Bench) -> None:
    job_id = bench.submit("succeed")
    bench.drain()
    assert (bench.get(job_id).result or {})["threads"] == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_run_has_a_process_group_of_its_own_and_no_torch_it_did_not_ask_for(bench: Bench) -> None:
    job_id = bench.submit("imports")
    bench.drain()
    assert bench.get(job_id).result == {"torch": False, "group": True}


@pytest.mark.slow
def test_a_domain_error_fails_the_job_without_retry_and_without_half_of_its_files(
    bench: Bench, files: FileStore
) -> None:
    job_id = bench.submit("fail")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error == {
        "code": "diverged", "title": "Training diverged", "detail": "the loss is not finite", "retryable": False,
    }  # fmt: skip
    with bench.database.read() as session:
        assert [artifact.kind for artifact in list_artifacts(session, job_id)] == ["log"]
    stored = [path for path in (bench.settings.data_dir / "files").rglob("*") if path.is_file()]
    assert len(stored) == 1
    assert "the run says fail" in _read_log(bench, files, job_id)


@pytest.mark.slow
def test_an_unexpected_exception_is_told_in_the_log_only_which_names_the_request(
    bench: Bench, files: FileStore
) -> None:
    job_id = bench.submit("raise", request_id="req-7")
    bench.drain()
    job = bench.get(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "internal_error"
    assert "secret-path" not in str(job.error)
    log = _read_log(bench, files, job_id)
    assert f"the job failed (job_id={job_id} attempt=1 request_id=req-7)" in log
    assert "RuntimeError: secret-path-in-message" in log


@pytest.mark.slow
def test_a_memory_error_has_its_own_code(bench: Bench) -> None:
    job_id = bench.submit("memory_error")
    bench.drain()
    assert (bench.get(job_id).error or {})["code"] == "out_of_memory"


@pytest.mark.slow
def test_the_oldest_job_runs_first_and_one_at_a_time(bench: Bench) -> None:
    job_ids = [bench.submit("imports") for _ in range(3)]
    bench.drain()
    found = [bench.get(job_id) for job_id in job_ids]
    moments = [moment for job in found for moment in (job.started_at, job.finished_at)]
    assert all(moments)
    assert moments == sorted(moment for moment in moments if moment is not None)
