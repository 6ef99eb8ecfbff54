"""What is done with jobs, models and data sets by their objects."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.service.conftest import Workshop, build_summary
from tests.service.model_files import ZIP
from tonok import Client, Job, JobFailed, Problem, TonokError

HOSTILE = "<script>alert('&')</script>"


def test_what_needs_the_model_of_a_job_waits_for_its_end(workshop: Workshop, client: Client) -> None:
    job = client.train("digits", "lenet5", epochs=3)
    assert job.status == "queued"
    lease = workshop.claim()
    assert job.status == "running", "it is asked, and not remembered"
    finish = threading.Timer(0.3, workshop.succeed, [lease, build_summary(test=0.9)])
    finish.start()
    assert job.model.accuracy == 0.9
    finish.join()
    assert job.status == "succeeded"
    assert job.result.data == {"epochs": 3}


def test_a_job_of_a_list_has_its_result_too(workshop: Workshop, client: Client) -> None:
    workshop.train()
    [listed] = client.jobs()
    assert listed.resolved_spec["epochs"] == 3
    assert listed.result.data == {"epochs": 3}


def test_a_job_that_failed_says_why_wherever_its_end_is_needed(workshop: Workshop, client: Client) -> None:
    job = client.train()
    workshop.fail(workshop.claim())
    for ask in (job.wait, job.live, lambda: job.result, lambda: job.model, lambda: job.prune(sparsity=0.5)):
        with pytest.raises(JobFailed) as failed:
            ask()
        assert (failed.value.code, failed.value.detail) == ("diverged", "loss is not finite")
    assert job.error is not None
    assert job.error.retryable is False
    again = job.retry()
    again.cancel()
    assert (job.id != again.id, again.status) == (True, "cancelled")


def test_what_is_made_from_a_model_names_it(workshop: Workshop, client: Client) -> None:
    model = client.model(workshop.train())
    sent: dict[str, Job[Any]] = {
        "prune": model.prune(sparsity=0.8),
        "quantize": model.quantize(bit_widths=[8, 4]),
        "compress": model.job.compress(effort="quick"),
    }
    for kind, job in sent.items():
        assert (job.kind, job.resolved_spec["model_id"]) == (kind, model.id)
    tuned = model.fine_tune(epochs=1)
    assert (tuned.kind, tuned.resolved_spec["initial_model_id"]) == ("train", model.id)


def test_a_data_set_and_the_job_that_made_it_are_named_by_themselves(workshop: Workshop, client: Client) -> None:
    dataset = client.dataset(workshop.bring_dataset())
    for named in (dataset, client.job(dataset.job_id)):
        job = client.train(named, "resnet_small")
        assert job.resolved_spec["dataset"] == dataset.id
    assert dataset.summary.class_names == ("cat", "dog")
    assert dataset.summary.counts["test"] == (1, 1)
    assert dataset.contact_sheet().content == b"a sheet of pictures"
    assert client.job(dataset.job_id).plot("sheet").content == b"a sheet of pictures"
    assert client.job(dataset.job_id).dataset == dataset
    assert list(client.datasets()) == [dataset]


def test_a_comparison_is_a_row_for_each_model(
    workshop: Workshop, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline = client.model(workshop.train(test=0.93))
    small = client.model(workshop.compress(baseline.id, test=0.925, file_bytes=16_927))
    compared = client.compare(baseline, small)
    first, second = compared.rows
    assert (first["bytes"], first["ratio"], first["drop"]) == (1_692_672, 1.0, 0.0)
    assert (second["model_id"], second["bytes"], second["accuracy"]) == (small.id, 16_927, 0.925)
    assert second["drop"] == pytest.approx(0.5)
    assert second["ratio"] == pytest.approx(100, rel=0.01)
    assert small.num_bytes == 16_927
    assert len(compared.verdict) == 1
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert compared.frame() == compared.rows
    with pytest.raises(Problem):
        client.compare(baseline)


def test_a_list_is_read_to_its_end_page_after_page(workshop: Workshop, client: Client) -> None:
    submitted = [workshop.submit("train", epochs=epochs) for epochs in (1, 2, 3)]
    assert [job.id for job in client.jobs(page_size=1)] == submitted[::-1]
    assert list(client.jobs(status="failed")) == []


def test_a_file_is_found_by_its_ending_and_what_there_is_is_named(
    workshop: Workshop, client: Client, tmp_path: Path
) -> None:
    model, folder = client.model(workshop.train()), tmp_path / "saved"
    folder.mkdir()
    for source in (model, model.job):
        assert source.save(folder / "mine.safetensors").read_bytes() == b"weights"
        with pytest.raises(TonokError, match=r"model\.safetensors"):
            source.save(folder / "report.docx")
    assert [path.name for path in folder.iterdir()] == ["mine.safetensors"]
    assert [path.read_bytes() for path in model.job.save_all(folder / "all")] == [b"weights"]


@pytest.mark.usefixtures("workshop")
def test_an_upload_tells_how_far_it_is(client: Client, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures.zip"
    pictures.write_bytes(ZIP)
    told: list[tuple[int, int]] = []
    job = client.upload_dataset(pictures, lambda done, total: told.append((done, total)), name="mine")
    assert (job.kind, job.name) == ("import_dataset", "mine")
    assert told == sorted(told)
    assert told[-1] == (len(ZIP), len(ZIP))
    with pytest.raises(FileNotFoundError):
        client.upload_dataset(tmp_path / "nowhere.zip")


def test_a_name_that_is_not_declared_is_there_and_one_that_is_not_there_is_an_error(
    workshop: Workshop, client: Client
) -> None:
    model: Any = client.model(workshop.train())
    assert model.lineage == ()
    assert "lineage" in dir(model)
    with pytest.raises(AttributeError, match="evaluation"):
        _ = model.acuracy


def test_a_notebook_shows_a_name_as_text(workshop: Workshop, client: Client) -> None:
    job = client.train(name=HOSTILE, epochs=1)
    lease = workshop.claim()
    for epoch in range(1, 4):
        workshop.report(lease, epoch, 1 / epoch)
    workshop.succeed(lease, build_summary(test=0.9))
    html = job.model._repr_html_() + job._repr_html_() + client.compare(job, job)._repr_html_()
    assert "<script" not in html
    assert "90.00 %" in html
    [points] = [line.partition('"')[0].split() for line in job._repr_html_().split('points="')[1:]]
    assert len(points) == 3
