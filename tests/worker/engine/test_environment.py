"""What the process of an attempt finds in its environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from storage.settings import Settings
from worker.engine.local import build_environment

# Twenty times what a training step does: a tensor as large as a layer's output, written and dropped.
_PROGRAM = """
import resource, torch
def write_and_drop():
    torch.empty(4_000_000).fill_(1.0)
write_and_drop()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    write_and_drop()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the tunables are glibc's")
def test_memory_of_a_dropped_tensor_is_used_again_without_asking_the_kernel(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=build_environment(settings), capture_output=True, text=True, check=True
    )
    # 16 MB are 3,906 pages, each of which would be fetched anew twenty times.
    assert int(done.stdout) < 3_906


def test_thread_counts_and_settings_reach_the_process(settings: Settings) -> None:
    environment = build_environment(settings.model_copy(update={"threads_per_slot": 3, "dataset_mirror": None}))
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["TONOK_DATA_DIR"] == str(settings.data_dir)
    assert "TONOK_DATASET_MIRROR" not in environment
