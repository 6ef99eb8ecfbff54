"""`python -m worker.health`, the worker container's health check."""

from __future__ import annotations

import socket

import pytest

from storage.database import Database
from storage.settings import Settings
from storage.workers import record_heartbeat
from worker import health


@pytest.fixture(autouse=True)
def _settings_of_the_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TONOK_DATA_DIR", str(settings.data_dir))


def beat(database: Database, host: str) -> None:
    with database.transaction() as session:
        record_heartbeat(session, worker_id=f"worker-{host}", pid=1, host=host, slots=1, info={})


def test_a_worker_of_this_host_that_gives_signs_of_life_is_healthy(database: Database) -> None:
    beat(database, socket.gethostname())
    assert health.main() == 0


@pytest.mark.slow
def test_the_worker_of_another_host_says_nothing_about_this_one(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    beat(database, "another-host")
    assert health.main() == 1
    assert "no worker" in capsys.readouterr().err
