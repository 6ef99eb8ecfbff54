"""What else the machine did, from made-up clocks: no verdict here hangs on what it does now."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worker.core.measure import describe_times
from worker.machine_load import Moment, compute_load, measure_load, read_moment


@pytest.mark.parametrize(
    ("own_s", "all_s", "num_cores", "other_cores", "is_busy"),
    [
        # Ten seconds on two cores, one of them ours.
        (10.0, 10.2, 2, 0.02, False),
        (10.0, 19.0, 2, 0.9, True),
        # As many cores of 64 are hardly felt; an eighth of them is.
        (10.0, 19.0, 64, 0.9, False),
        (10.0, 90.0, 64, 8.0, True),
        # A system that tells nothing, or counts less than we used: whether we had a core of our own decides.
        (10.0, None, 2, None, False),
        (7.0, None, 2, None, True),
        (10.0, 0.0, 2, None, False),
        (6.0, 0.0, 2, None, True),
    ],
)
def test_others_are_what_the_machine_did_and_we_did_not(
    own_s: float, all_s: float | None, num_cores: int, other_cores: float | None, is_busy: bool
) -> None:
    before = Moment(100.0, 5.0, None if all_s is None else 1000.0)
    after = Moment(110.0, 5.0 + own_s, None if all_s is None else 1000.0 + all_s)
    load = compute_load(before, after, num_cores=num_cores, average_1m=None)
    assert load.other_cores == pytest.approx(other_cores)
    assert load.is_busy is is_busy
    assert load.to_json()["is_busy"] is is_busy


def test_the_real_clocks_can_be_read() -> None:
    before = read_moment()
    while read_moment().wall_s < before.wall_s + 0.01:
        pass
    load = measure_load(before)
    assert load.own_cores >= 0
    assert load.num_cores >= 1


def test_a_child_that_was_waited_for_counts_as_ours() -> None:
    before = read_moment()
    code = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert read_moment().own_s - before.own_s >= 0.25  # of processor time, whatever else the machine does


def test_the_interval_of_a_median_is_that_of_order_statistics() -> None:
    # Conover 1999, Practical Nonparametric Statistics: of 40 values the 14th to the 28th, or wider by one.
    told = describe_times([float(value) for value in range(40, 0, -1)])
    assert told["median_ms"] == 20.5
    assert told["median_interval_ms"] == [13.0, 28.0]
    assert describe_times([3.0])["median_interval_ms"] == [3.0, 3.0]
