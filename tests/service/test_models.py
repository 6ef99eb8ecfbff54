"""Models, their files, and models beside one another."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from storage.tables import Model, utc_now
from tests.service.conftest import Workshop, check_problem, find_artifact


def test_a_model_knows_its_numbers_its_job_and_its_ancestors(client: TestClient, workshop: Workshop) -> None:
    trained = workshop.train(test=0.93)
    pruned = workshop.compress(trained)
    smallest = workshop.compress(pruned)
    model = client.get(f"/v1/models/{smallest}").json()
    assert model["parent_model_id"] == pruned
    assert model["lineage"] == [pruned, trained]
    assert model["evaluation"]["test"]["accuracy"] == 0.925
    assert (model["sparsity"], model["macs"]) == (0.5, 4_241_152)
    assert client.get(f"/v1/jobs/{model['job_id']}").json()["output_model_id"] == smallest
    listed = client.get("/v1/models").json()["models"]
    assert [each["id"] for each in listed] == [smallest, pruned, trained]
    assert [each["id"] for each in client.get(f"/v1/models?parent_model_id={trained}").json()["models"]] == [pruned]
    assert [each["id"] for each in client.get(f"/v1/models?job_id={model['job_id']}").json()["models"]] == [smallest]


def test_models_come_in_pages(client: TestClient, workshop: Workshop) -> None:
    ids = [workshop.train() for _ in range(3)]
    first = client.get("/v1/models?page_size=2").json()
    rest = client.get(f"/v1/models?page_size=2&page_token={first['next_page_token']}").json()
    assert [model["id"] for model in first["models"] + rest["models"]] == ids[::-1]
    assert rest["next_page_token"] is None


def test_sparsity_size_and_layers_have_views_of_their_own(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.compress(workshop.train(), file_bytes=16_927)
    sparsity = client.get(f"/v1/models/{model_id}/sparsity").json()
    assert sparsity["total"] == 0.5
    assert sparsity["layers"] == [{"name": "conv1", "zeros": 144, "total": 288, "sparsity": 0.5}]
    entries = {entry["measure"]: entry for entry in client.get(f"/v1/models/{model_id}/size").json()["entries"]}
    assert entries["file"]["bytes"] == 16_927
    assert entries["file"]["ratio"] == pytest.approx(99.998, abs=1e-3)
    assert client.get(f"/v1/models/{model_id}/layers").json()["layers"][0]["macs"] == 225_792


def test_what_was_not_measured_is_null(client: TestClient, workshop: Workshop) -> None:
    job_id = workshop.submit("train")
    facts: dict[str, Any] = {"name": "bare", "architecture": "mlp", "dataset": "fashion_mnist"}
    bare = Model(id="mdl_bare", job_id=job_id, created_at=utc_now(), **facts)
    with workshop.database.transaction() as session:
        session.add(bare)
    model = client.get("/v1/models/mdl_bare").json()
    assert [model[name] for name in ("evaluation", "accuracy_drop", "sparsity", "size", "macs", "latency")] == [
        None
    ] * 6
    assert client.get("/v1/models/mdl_bare/sparsity").json() == {"model_id": "mdl_bare", "total": None, "layers": []}
    assert client.get("/v1/models/mdl_bare/size").json() == {"model_id": "mdl_bare", "entries": []}
    check_problem(client.get("/v1/models/mdl_bare/download"), 404, "not_found", "format")
    other = workshop.compress(workshop.train())
    compared = client.get(f"/v1/compare?models={other},mdl_bare").json()
    assert compared["verdict"] == ["bare: nothing was measured that both models have."]


def test_latest_is_the_newest_trained_model(client: TestClient, workshop: Workshop) -> None:
    check_problem(client.get("/v1/models/latest"), 404, "not_found", "model_id")
    trained = workshop.train()
    workshop.compress(trained)
    assert client.get("/v1/models/latest").json()["id"] == client.get("/v1/models/latest/size").json()["model_id"]
    assert client.get("/v1/models/latest").json()["id"] == trained
    assert client.get("/v1/compare?models=latest,latest").json()["models"][1]["model_id"] == trained


@pytest.mark.parametrize("path", ["", "/sparsity", "/size", "/layers", "/download"])
def test_every_view_of_an_unknown_model_is_404(path: str, client: TestClient) -> None:
    check_problem(client.get(f"/v1/models/mdl_unknown{path}"), 404, "not_found")


def test_a_download_is_an_attachment_whose_etag_is_its_sha256(client: TestClient, workshop: Workshop) -> None:
    path, sha256 = find_artifact(client, workshop.compress(workshop.train()))
    answer = client.get(path)
    assert answer.content == b"0123456789"
    assert sha256 == hashlib.sha256(b"0123456789").hexdigest()
    assert answer.headers["etag"] == f'"{sha256}"'
    assert answer.headers["content-length"] == "10"
    assert answer.headers["x-content-type-options"] == "nosniff"
    # RFC 6266: the Persian name, percent-encoded UTF-8.
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"_model.tonok\"; filename*=UTF-8''%D8%AA%D9%8F%D9%86%D9%8F%DA%A9%20model.tonok"
    )


def test_head_answers_the_headers_alone(client: TestClient, workshop: Workshop) -> None:
    path, _ = find_artifact(client, workshop.compress(workshop.train()))
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    same = ["etag", "content-length", "content-type", "content-disposition", "accept-ranges"]
    assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]


@pytest.mark.parametrize("header", ["bytes=0-3", "bytes=99-"])
def test_a_range_is_no_matter_of_head(header: str, client: TestClient, workshop: Workshop) -> None:
    # RFC 9110, 14.2: the only method for which a range is defined is GET.
    path, _ = find_artifact(client, workshop.compress(workshop.train()))
    head = client.head(path, headers={"Range": header})
    assert (head.status_code, head.headers["content-length"]) == (200, "10")
    assert "content-range" not in head.headers


@pytest.mark.parametrize(
    ("header", "expected", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_a_range_is_answered_with_just_those_bytes(
    header: str, expected: bytes, content_range: str, client: TestClient, workshop: Workshop
) -> None:
    path, _ = find_artifact(client, workshop.compress(workshop.train()))
    answer = client.get(path, headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, expected)
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_behind_the_end_is_416_and_tells_the_length(
    header: str, client: TestClient, workshop: Workshop
) -> None:
    path, _ = find_artifact(client, workshop.compress(workshop.train()))
    answer = client.get(path, headers={"Range": header})
    check_problem(answer, 416, "range_not_satisfiable", "Range")
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "header", ["bytes=3-1", "bytes=-", "bytes=a-b", "lines=0-3", "bytes=0-1,4-5", "bytes=0-" + "9" * 40]
)
def test_a_range_that_makes_no_sense_counts_as_none(header: str, client: TestClient, workshop: Workshop) -> None:
    path, _ = find_artifact(client, workshop.compress(workshop.train()))
    answer = client.get(path, headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, b"0123456789")


def test_an_empty_file_is_sent_whatever_the_range(client: TestClient, workshop: Workshop) -> None:
    workshop.submit("train")
    model_id = workshop.succeed(workshop.claim(), {}, content=b"")
    answer = client.get(f"/v1/models/{model_id}/download", headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.content) == (200, b"")


def test_bytes_that_the_client_has_are_not_sent_again(client: TestClient, workshop: Workshop) -> None:
    path, sha256 = find_artifact(client, workshop.compress(workshop.train()))
    for known in (f'"{sha256}"', f'W/"{sha256}"', f'"other", "{sha256}"', "*"):
        answer = client.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    # Several lines of one name are one list (RFC 9110, 5.3).
    lines = [("If-None-Match", '"other"'), ("If-None-Match", f'"{sha256}"')]
    assert client.get(path, headers=lines).status_code == 304


def test_only_an_address_that_names_an_id_may_be_kept_for_ever(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.train()
    path, sha256 = find_artifact(client, model_id)
    name = path.rpartition("/")[2]
    for named, latest in (
        (path, f"/v1/jobs/latest/artifacts/{name}"),
        (f"/v1/models/{model_id}/download", "/v1/models/latest/download"),
    ):
        assert "immutable" in client.get(named).headers["cache-control"]
        for headers in ({}, {"If-None-Match": f'"{sha256}"'}):
            assert client.get(latest, headers=headers).headers["cache-control"] == "private, no-cache"
    workshop.submit("train")
    other = workshop.succeed(workshop.claim(), {}, content=b"a newer one")
    assert other != model_id
    assert client.get("/v1/models/latest/download").content == b"a newer one"


def test_a_range_of_other_bytes_than_those_begun_with_answers_them_all(client: TestClient, workshop: Workshop) -> None:
    path, sha256 = find_artifact(client, workshop.compress(workshop.train()))
    assert client.get(path, headers={"Range": "bytes=4-", "If-Range": f'"{sha256}"'}).status_code == 206
    date = client.get(path).headers["Last-Modified"]
    for other in ('"other"', date):
        for asked in ("bytes=4-", "bytes=99999999999-"):
            assert client.get(path, headers={"Range": asked, "If-Range": other}).status_code == 200


def test_an_artifact_is_found_under_its_own_job_only(client: TestClient, workshop: Workshop) -> None:
    path, _ = find_artifact(client, workshop.train())
    by_name = path.rpartition("/")[0] + "/model.safetensors"
    assert client.get(by_name).content == client.get(path).content == b"weights"
    other_job = workshop.submit("train")
    check_problem(client.get(f"/v1/jobs/{other_job}/artifacts/{path.rpartition('/')[2]}"), 404, "not_found")


def test_a_file_that_has_rotted_on_the_disk_is_never_sent(client: TestClient, workshop: Workshop) -> None:
    path, sha256 = find_artifact(client, workshop.compress(workshop.train()))
    stored = workshop.files.path(sha256)
    stored.chmod(0o600)
    stored.write_bytes(b"0123456780")
    answer = client.get(path)
    check_problem(answer, 500, "corrupt_file")
    assert str(stored) not in answer.text


def test_a_model_is_downloaded_in_the_format_asked_for(client: TestClient, workshop: Workshop) -> None:
    model_id = workshop.compress(workshop.train())
    links = client.get(f"/v1/models/{model_id}").json()["files"]
    assert client.get(links["compressed"]["url"]).content == b"0123456789"
    assert client.get(f"/v1/models/{model_id}/download").content == b"0123456789"
    assert client.head(f"/v1/models/{model_id}/download").headers["content-length"] == "10"
    problem = check_problem(client.get(f"/v1/models/{model_id}/download?format=onnx"), 404, "not_found", "format")
    assert "compressed" in problem["detail"]


def test_a_comparison_is_aligned_and_put_into_words(client: TestClient, workshop: Workshop) -> None:
    baseline = workshop.train(test=0.93)
    turns = {"accuracy_drop": {"baseline_model_id": baseline}, "baseline_latency": {"median_ms": 2.0}}
    small = workshop.compress(baseline, test=0.925, file_bytes=16_926, latency_ms=1.0, **turns)
    answer = client.get(f"/v1/compare?models={baseline},{small}").json()
    first, second = answer["models"]
    assert first["accuracy_drop"] == {"validation": 0.0, "test": 0.0}
    assert second["accuracy_drop"] == {"validation": 0.0, "test": 0.5}
    assert second["size_ratio"] == pytest.approx(1_692_672 / 16_926)
    assert second["size_bytes"] == {"float32": 1_692_672, "file": 16_926}
    assert answer["layers"] == [{"name": "conv1", "sparsity": [0.5, 0.5]}]
    (verdict,) = answer["verdict"]
    assert verdict == (
        "compress-compressed: 100.0x smaller (16.5 KB file against 1653.0 KB float32), "
        "0.50 points of test accuracy lost, 2.00x faster (1.00 ms against 2.00 ms, timed in turns)."
    )
    assert (second["speedup"], second["not_compared"]) == (2.0, [])


@pytest.mark.parametrize("models", ["mdl_1", "", "mdl_1,", "mdl_1;mdl_2", ",".join(f"mdl_{n}" for n in range(9))])
def test_a_comparison_takes_two_to_eight_models(models: str, client: TestClient) -> None:
    check_problem(client.get("/v1/compare", params={"models": models}), 422, "validation_error", "models")


def test_a_comparison_with_an_unknown_model_names_the_parameter(client: TestClient, workshop: Workshop) -> None:
    answer = client.get(f"/v1/compare?models={workshop.train()},mdl_unknown")
    check_problem(answer, 404, "not_found", "models")


def test_the_front_holds_what_nothing_beats(client: TestClient, workshop: Workshop) -> None:
    baseline = workshop.train(test=0.93)
    small = workshop.compress(baseline, test=0.92, file_bytes=10_000)
    beaten = workshop.compress(baseline, test=0.91, file_bytes=20_000)
    answer = client.get("/v1/pareto?split=test").json()
    assert [(point["model_id"], point["on_front"]) for point in answer["points"]] == [
        (small, True),
        (beaten, False),
        (baseline, True),
    ]
    assert client.get("/v1/pareto?dataset=digits").json()["points"] == []
    check_problem(client.get("/v1/pareto?split=train"), 422, "validation_error", "split")
