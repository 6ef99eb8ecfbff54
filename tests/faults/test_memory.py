"""A job wants more memory than there is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from storage.settings import Settings
from tests.worker.engine.conftest import Bench


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", threads_per_slot=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is not in force everywhere")
def test_a_run_that_the_system_gives_no_more_memory_fails_as_out_of_memory_and_the_worker_goes_on(
    bench: Bench,
) -> None:
    job_id, later = bench.submit("exhaust_memory", max_attempts=2), bench.submit("succeed")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert (job.error["code"], job.error["retryable"]) == ("out_of_memory", True)
    assert bench.get(later).status == "succeeded"
