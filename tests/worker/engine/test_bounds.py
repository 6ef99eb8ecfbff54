"""What one job may take of the machine: memory, and room for its log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts import list_artifacts
from storage.settings import Settings
from tests.worker.engine.conftest import Bench
from worker.engine.local import build_environment
from worker.engine.log_bound import bound_log
from worker.engine.memory import OOM_SCORE_ADJUSTMENT, measure_groups

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system tells nothing of memory")
_NOTE_BYTES = 200
_NO_GROUP = 1 << 30
"""Linux counts its processes to 2^22."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", cancel_grace_s=0.6, threads_per_slot=1, max_job_bytes=256 << 20,
        max_log_bytes=1 << 16,
    )  # fmt: skip


@pytest.mark.slow
@linux
@pytest.mark.parametrize("action", ["hoard", "hoard_in_grandchild", "jump"])
def test_a_job_that_takes_more_memory_than_one_may_fails_at_once_and_the_next_one_runs(
    bench: Bench, action: str
) -> None:
    job_id, later = bench.submit(action, max_attempts=3), bench.submit("succeed")
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "out_of_memory"
    assert "TONOK_MAX_JOB_BYTES" in job.error["detail"]
    assert bench.get(later).status == "succeeded"


@pytest.mark.slow
def test_a_queued_job_that_no_longer_fits_fails_before_it_runs(bench: Bench) -> None:
    job_id = bench.submit("too_large", max_attempts=3)
    bench.drain()
    job = bench.get(job_id)
    assert (job.status, job.attempt, bench.get_runs(job_id)) == ("failed", 1, [])
    assert job.error is not None
    assert (job.error["code"], job.error["retryable"]) == ("out_of_memory", False)


@pytest.mark.slow
@linux
def test_the_kernel_would_take_a_job_or_the_process_that_stands_by_before_their_worker(bench: Bench) -> None:
    job_id = bench.submit("wait_for_go")
    worker = bench.start_worker()
    bench.wait_for_run(job_id)

    def read(pid: int | str) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    assert len(children) == 2
    bench.wait_for(lambda: min(read(child) for child in children) >= OOM_SCORE_ADJUSTMENT)
    assert read(worker.pid) == read("self")
    (bench.witness / "go").touch()
    bench.wait_for_status(job_id, "succeeded")


@pytest.mark.slow
def test_a_log_that_grows_without_end_is_shortened_while_the_job_runs_and_begins_and_ends_as_it_did(
    bench: Bench,
) -> None:
    job_id = bench.submit("chatter")
    bench.drain()
    assert bench.get(job_id).status == "succeeded"
    with bench.database.read() as session:
        (log,) = list_artifacts(session, job_id)
    content = (bench.settings.data_dir / "files" / log.sha256[:2] / log.sha256[2:]).read_text()
    assert len(content) <= bench.settings.max_log_bytes + _NOTE_BYTES
    assert content.index("the first line") < content.index("TONOK_MAX_LOG_BYTES")
    assert "the last line" in content


@given(lines=st.lists(st.binary(max_size=300), max_size=60), max_bytes=st.integers(64, 4096))
def test_a_shortened_log_keeps_its_beginning_and_its_end_and_says_that_something_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], max_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.txt"
    content = b"\n".join(lines)
    path.write_bytes(content)
    is_cut = bound_log(path, max_bytes)
    left = path.read_bytes()
    assert is_cut == (len(content) > max_bytes)
    if not is_cut:
        assert left == content
        return
    head, marked, tail = left.partition(b"\n[tonok: the log grew beyond ")
    tail = tail.split(b"\n", 1)[1]
    assert marked
    assert content.startswith(head)
    assert content.endswith(tail)
    assert len(head) + len(tail) <= 3 * max_bytes // 4
    assert not bound_log(path.with_name("none.txt"), max_bytes)


# Blocks that the allocator keeps once they are free: as many small ones as one large tensor.
_PROGRAM = """
from pathlib import Path
from worker.engine.memory import return_free_memory
def read_held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
blocks = [b"1" * 65_000 for _ in range(4_000)]
del blocks
before = read_held()
return_free_memory()
print(before, read_held())
"""


@linux
def test_memory_that_the_allocator_only_keeps_is_given_back_on_demand(settings: Settings) -> None:
    environment = build_environment(settings)
    done = subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before - after > 100 << 20


@linux
def test_memory_is_counted_over_a_whole_process_group_and_for_no_other() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])", _HOLDER],
        start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        held = measure_groups({child.pid, _NO_GROUP})
        child.stdin.close()
    assert 200 << 20 < held[child.pid] < 400 << 20
    assert held[_NO_GROUP] == 0
    assert measure_groups(()) == {}


_HOLDER = """
import sys
kept = b"1" * (200 << 20)
print("filled", flush=True)
sys.stdin.read()
"""
