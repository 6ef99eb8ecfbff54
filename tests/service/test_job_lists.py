"""Lists of jobs: filters, pages, and parameters that are wrong."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.conftest import Workshop, build_summary, check_problem


def list_ids(client: TestClient, **parameters: Any) -> list[str]:
    answer = client.get("/v1/jobs", params=parameters)
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_the_list_is_newest_first_and_filters_combine(client: TestClient, workshop: Workshop) -> None:
    first = workshop.submit("train", labels={"team": "vision", "run": "a=b"})
    failed = workshop.submit("train", labels={"team": "speech"})
    workshop.succeed(workshop.claim(), build_summary(test=0.93))
    workshop.fail(workshop.claim())
    model_id = client.get(f"/v1/jobs/{first}").json()["output_model_id"]
    pruning = workshop.submit("prune", model_id=model_id)
    assert list_ids(client) == [pruning, failed, first]
    assert list_ids(client, status="failed") == [failed]
    assert list_ids(client, kind="train") == [failed, first]
    assert list_ids(client, kind="train", status="succeeded") == [first]
    assert list_ids(client, label="team=vision") == list_ids(client, label="run=a=b") == [first]
    assert list_ids(client, model_id=model_id) == [pruning]
    created_at = client.get(f"/v1/jobs/{first}").json()["created_at"]
    assert list_ids(client, created_after=created_at) == [pruning, failed]


def test_the_list_leaves_out_specs_and_results(client: TestClient, workshop: Workshop) -> None:
    workshop.train()
    job = client.get("/v1/jobs").json()["jobs"][0]
    assert {"spec", "resolved_spec", "result"} & set(job) == set()


def test_pages_hold_every_job_once_also_while_jobs_are_added(client: TestClient, workshop: Workshop) -> None:
    ids = [workshop.submit("train") for _ in range(5)]
    seen: list[str] = []
    token: str | None = None
    while True:
        page = client.get("/v1/jobs", params={"page_size": 2} | ({"page_token": token} if token else {})).json()
        seen += [job["id"] for job in page["jobs"]]
        workshop.submit("train")
        token = page["next_page_token"]
        if token is None:
            break
    assert seen == ids[::-1]


def test_a_page_size_above_the_limit_is_clamped(client: TestClient, workshop: Workshop) -> None:
    workshop.submit("train")
    assert len(list_ids(client, page_size=10**30)) == 1


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=done", "status"),
        ("kind=distill", "kind"),
        ("label=vision", "label"),
        ("created_after=yesterday", "created_after"),
        ("created_after=2026-11-23T21:00:00", "created_after"),
        ("created_after=2026-11-23", "created_after"),
        ("created_after=0.5", "created_after"),
        ("created_after=2026-13-23T21:00:00Z", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B23:59", "created_after"),
        ("page_size=0", "page_size"),
        ("page_size=many", "page_size"),
        ("model_id=%00", "model_id"),
    ],
)
def test_a_wrong_filter_is_named(query: str, pointer: str, client: TestClient) -> None:
    check_problem(client.get(f"/v1/jobs?{query}"), 422, "validation_error", pointer)


def test_any_token_that_looks_like_one_is_a_place_in_the_list(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    # 10^16 microseconds behind 1970 is the year 2286, and 10^15 the year 2001.
    assert list_ids(client, page_token="9999999999999999x") == [job_id]
    assert list_ids(client, page_token="0999999999999999x") == []


@pytest.mark.parametrize("token", ["x", "W10", "9999999999999999", "99999999999999999_", "9999999999999999x%0A"])
def test_a_page_token_of_ones_own_making_is_named(token: str, client: TestClient) -> None:
    check_problem(client.get(f"/v1/jobs?page_token={token}"), 422, "invalid_page_token", "page_token")


def test_a_misspelt_filter_is_refused_and_not_ignored(client: TestClient) -> None:
    problem = check_problem(client.get("/v1/jobs?stauts=failed"), 422, "unknown_parameter", "stauts")
    assert "`status`" in problem["detail"]


@pytest.mark.parametrize(
    "query", ["page_size=1&page_size=2", "page_size=1&page_size=1", "kind=train&status=failed&kind=prune"]
)
def test_a_parameter_that_comes_twice_where_one_is_meant_is_named(query: str, client: TestClient) -> None:
    name = query.split("=", maxsplit=1)[0]
    check_problem(client.get(f"/v1/jobs?{query}"), 422, "repeated_parameter", name)


def test_what_may_be_repeated_is_taken_as_often_as_it_comes(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    answer = client.get(f"/v1/jobs/{job_id}/metrics?name=train_loss&name=validation_loss")
    assert (answer.status_code, answer.json()) == (200, {"series": {}})


def test_a_refusal_in_our_own_words_begins_with_them(client: TestClient) -> None:
    problem = check_problem(client.get("/v1/jobs?created_after=today"), 422, "validation_error", "created_after")
    assert problem["detail"] == "created_after: write it as RFC 3339 with an offset, such as 2026-11-23T21:00:00Z"
    assert problem["errors"][0]["detail"] == problem["detail"].removeprefix("created_after: ")
