"""What is sent and what comes back, over a line that may break."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import pytest

from storage.database import Database
from storage.keys import create_key
from storage.settings import Settings
from tests.service.conftest import Workshop, build_summary, find_artifact
from tests.tonok.proxy import run_proxy
from tonok import Client, Connection, Event, Problem, Unreachable, connect
from tonok.events import parse_events


def test_a_frame_of_a_stream_becomes_an_event() -> None:
    lines = [
        b": still here\n",
        b"\n",
        b"id: 7\r\n",
        b"event: progress\r\n",
        b'data: {"a":\r\n',
        b"data: 1}\r\n",
        b"\r\n",
    ]
    assert list(parse_events(lines)) == [Event("progress", "7", {"a": 1})]


def test_a_frame_that_was_cut_off_is_no_event() -> None:
    assert list(parse_events([b"event: done\n", b'data: {"status": "succee'])) == []


@pytest.mark.slow
def test_a_stream_that_breaks_goes_on_where_it_broke_off(workshop: Workshop, port: int) -> None:
    job_id = workshop.submit("train", epochs=3)
    lease = workshop.claim()
    for epoch in range(1, 6):
        workshop.report(lease, epoch, 1 / epoch)
    workshop.succeed(lease, build_summary(test=0.9))
    logged = workshop.client.get(f"/v1/jobs/{job_id}/events").json()["events"]
    # The first line breaks in the head, the second in the midst of events.
    with run_proxy(port, [20, 1200]) as address:
        events = list(Connection(address).follow(job_id))
    assert [event.data for event in events[:-1]] == logged
    assert events[-1].name == "done"
    assert events[-1].data["status"] == "succeeded"


def test_a_submission_whose_answer_was_lost_is_one_job(workshop: Workshop, port: int) -> None:
    with run_proxy(port, [0]) as address:
        job = Client(Connection(address)).train(epochs=3)
    assert [listed["id"] for listed in workshop.client.get("/v1/jobs").json()["jobs"]] == [job.id]


def test_two_submissions_of_the_same_are_two_jobs(workshop: Workshop, client: Client) -> None:
    assert client.train(epochs=3).id != client.train(epochs=3).id
    assert len(workshop.client.get("/v1/jobs").json()["jobs"]) == 2


def test_a_download_that_breaks_is_begun_again_and_whole(workshop: Workshop, port: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    workshop.submit("train")
    model_id = workshop.succeed(workshop.claim(), build_summary(test=0.9), content)
    url, sha256 = find_artifact(workshop.client, model_id)
    with run_proxy(port, [100_000]) as address:
        saved = Connection(address).download(url, tmp_path / "model.safetensors")
    assert hashlib.sha256(saved.read_bytes()).hexdigest() == sha256
    with run_proxy(port, [100_000]) as address, pytest.raises(Unreachable):
        Connection(address, tries=1).download(url, tmp_path / "other.safetensors")
    assert [file.name for file in tmp_path.glob("*safetensors*")] == ["model.safetensors"]


def test_a_refusal_names_the_fields(client: Client) -> None:
    with pytest.raises(Problem) as refused:
        client.train("digits", epochs=0)
    assert (refused.value.status, refused.value.code) == (422, "validation_error")
    assert [field.pointer for field in refused.value.fields] == ["/epochs"]
    assert all(field.detail in str(refused.value) for field in refused.value.fields)
    assert refused.value.request_id


def test_where_nobody_listens_connecting_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match=address):
        connect(address)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "127.0.0.1:8000", ""])
def test_what_is_no_address_of_a_service_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Connection(address)


class TestWithKeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"require_key": True})

    def test_a_key_lets_in_and_without_one_it_is_a_problem(
        self, port: int, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = f"http://127.0.0.1:{port}"
        with database.transaction() as session:
            secret = create_key(session, "alice").secret
        for key in (None, "tonok_wrong"):
            with pytest.raises(Problem) as refused:
                connect(address, key)
            assert refused.value.status == 401
        monkeypatch.setenv("TONOK_URL", address)
        monkeypatch.setenv("TONOK_KEY", secret)
        assert list(connect().jobs()) == []


class TestWithSmallUploads:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"max_upload_bytes": 1024**2})

    def test_a_file_that_is_too_large_is_a_problem_and_no_broken_line(self, port: int, tmp_path: Path) -> None:
        file = tmp_path / "large.safetensors"
        file.write_bytes(bytes(24 * 1024**2))
        with pytest.raises(Problem) as refused:
            Client(Connection(f"http://127.0.0.1:{port}")).upload_model(file)
        assert refused.value.status == 413
