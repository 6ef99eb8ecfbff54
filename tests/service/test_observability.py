"""Probes, and what Prometheus reads."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from fastapi.testclient import TestClient
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from storage.database import Database
from storage.settings import Settings
from storage.tables import JobStatus
from tests.service.conftest import Workshop, build_summary, check_problem
from worker.jobs import SPECS


def test_alive_is_answered_without_touching_anything(settings: Settings) -> None:
    # No `with`: the app was never started, so that not even the database exists.
    assert TestClient(create_app(settings)).get("/healthz").json() == {"status": "ok"}


def test_not_ready_names_what_is_missing(client: TestClient) -> None:
    answer = client.get("/readyz")
    check_problem(answer, 503, "not_ready", "worker")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.usefixtures("heartbeat")
def test_ready_with_a_database_a_worker_and_room(client: TestClient) -> None:
    assert client.get("/readyz").json() == {
        "status": "ready",
        "checks": {"database": "ok", "worker": "ok", "disk": "ok"},
    }


@pytest.mark.usefixtures("heartbeat")
def test_a_full_disk_is_named_alone(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"min_free_bytes": 2**62}))) as client:
        problem = check_problem(client.get("/readyz"), 503, "not_ready", "disk")
    assert "MB free" in problem["errors"][0]["detail"]


@pytest.mark.usefixtures("heartbeat")
def test_a_broken_database_is_named_and_the_rest_goes_on(client: TestClient, database: Database) -> None:
    client.get("/v1/jobs")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE job RENAME TO lost")
    problem = check_problem(client.get("/readyz"), 503, "not_ready", "database", "worker")
    assert "tonok.db" not in problem["detail"]
    assert client.get("/healthz").status_code == 200
    assert read_metric(client, "tonok_database_up") == {(): 0.0}
    assert read_metric(client, "tonok_jobs") == {}
    assert read_metric(client, "tonok_http_request_duration_seconds_count")["GET", "/v1/jobs", "200"] == 1


def read_families(client: TestClient) -> list[Metric]:
    """What Prometheus' own parser makes of a scrape."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return list(text_string_to_metric_families(answer.text))


def read_metric(client: TestClient, name: str) -> dict[tuple[str, ...], float]:
    """Label values → value."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in read_families(client)
        for sample in family.samples
        if sample.name == name
    }


def list_series(families: Iterable[Metric]) -> set[tuple[str, ...]]:
    return {(sample.name, *sample.labels.values()) for family in families for sample in family.samples}


@pytest.mark.usefixtures("heartbeat")
def test_a_scrape_tells_how_everything_stands(client: TestClient, workshop: Workshop) -> None:
    workshop.submit("train")
    workshop.succeed(workshop.claim(), build_summary(test=0.93), b"0123456789")
    workshop.submit("prune", model_id="latest")
    workshop.fail(workshop.claim())
    job_id = workshop.submit("train")
    for _ in range(3):
        client.get(f"/v1/jobs/{job_id}")

    jobs = read_metric(client, "tonok_jobs")
    assert {key: value for key, value in jobs.items() if value} == {
        ("train", "queued"): 1, ("train", "succeeded"): 1, ("prune", "failed"): 1,
    }  # fmt: skip
    # Zeros are there too: who watches a rate would miss the first failure else.
    assert jobs.keys() == {(kind, status.value) for kind in SPECS for status in JobStatus}
    assert read_metric(client, "tonok_job_attempts_total")[("train",)] == 1
    assert read_metric(client, "tonok_job_requeues_total")["train", "worker_lost"] == 0
    assert read_metric(client, "tonok_stored_bytes") == {(): 10.0}
    assert (read_metric(client, "tonok_workers"), read_metric(client, "tonok_worker_slots")) == ({(): 1.0}, {(): 2.0})
    assert read_metric(client, "tonok_database_up") == {(): 1.0}
    assert read_metric(client, "tonok_queue_age_seconds")[()] > 0
    requests = read_metric(client, "tonok_http_request_duration_seconds_count")
    assert requests["GET", "/v1/jobs/{job_id}", "200"] == 3


def test_durations_are_a_histogram_by_kind_and_ending(client: TestClient, workshop: Workshop) -> None:
    for _ in range(2):
        workshop.submit("train")
        workshop.succeed(workshop.claim(), build_summary(test=0.93))
    buckets = read_metric(client, "tonok_job_duration_seconds_bucket")
    counts = [value for (_, bound, _), value in buckets.items() if bound != "+Inf"]
    assert counts == sorted(counts)
    assert buckets["train", "+Inf", "succeeded"] == 2
    assert read_metric(client, "tonok_job_duration_seconds_count") == {("train", "succeeded"): 2}
    assert 0 <= read_metric(client, "tonok_job_duration_seconds_sum")["train", "succeeded"] < 600


@pytest.mark.usefixtures("heartbeat")
def test_names_types_and_help_follow_the_conventions_of_prometheus(client: TestClient, workshop: Workshop) -> None:
    workshop.submit("train")
    workshop.succeed(workshop.claim(), build_summary(test=0.93))
    families = read_families(client)
    ours = [family for family in families if family.name.startswith("tonok_")]
    assert [family.name for family in families if not family.documentation.strip()] == []
    assert {family.type for family in ours} == {"gauge", "counter", "histogram"}
    samples = {family.name: {sample.name for sample in family.samples} for family in ours}
    # Times in seconds and sizes in bytes, whole: no milliseconds, no MB, no ratio in percent.
    assert [name for name in samples if re.search(r"_(ms|milliseconds|kb|mb|percent)\b|_(ms|kb|mb)_", name)] == []
    assert [f.name for f in ours if f.type == "histogram" and not f.name.endswith("_seconds")] == []
    counters = [family for family in ours if family.type == "counter"]
    assert [f.name for f in counters if f"{f.name}_total" not in samples[f.name]] == []
    assert [f.name for f in ours if f.type == "gauge" and f.name.endswith("_total")] == []


@pytest.mark.usefixtures("heartbeat")
def test_no_client_can_make_the_number_of_series_grow(client: TestClient, workshop: Workshop) -> None:
    def visit(number: int) -> None:
        workshop.submit("train", labels={"run": f"r{number}"}, name=f"run {number}")
        client.get(f"/v1/jobs/job_{number}")
        client.get(f"/v1/nothing/{number}?page={number}")
        client.request(f"METHOD{number}", "/v1/jobs")
        client.get("/v1/jobs", headers={"X-Request-ID": f"r{number}", "Idempotency-Key": str(number)})

    visit(0)
    read_families(client)  # a scrape is a request itself
    before = list_series(read_families(client))
    for number in range(1, 6):
        visit(number)
    assert list_series(read_families(client)) == before
    routes = {labels[1] for labels in read_metric(client, "tonok_http_request_duration_seconds_count")}
    assert {"/v1/jobs/{job_id}", "unmatched"} <= routes
    assert [route for route in routes if re.search(r"\d", route.removeprefix("/v1"))] == []
