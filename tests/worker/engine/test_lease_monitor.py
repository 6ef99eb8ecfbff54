"""Who is silent is told by our own monotonic clock and by whether a lease's stamp changes."""

from __future__ import annotations

import pytest

from storage.attempts import Lease
from worker.engine.lease_monitor import LeaseMonitor

LEASE = Lease("job_1", 1, "wrk_1")
NOON = 1_800_000_000.0


def test_a_lease_that_stays_as_it_is_for_longer_than_it_lasts_is_silent() -> None:
    watch = LeaseMonitor(30.0)
    assert watch.find_silent({LEASE: NOON}, now=100.0) == {}
    assert watch.find_silent({LEASE: NOON}, now=130.0) == {}
    assert watch.find_silent({LEASE: NOON}, now=130.1) == {LEASE: NOON}


def test_a_renewal_starts_the_silence_anew() -> None:
    watch = LeaseMonitor(30.0)
    for now in (0.0, 25.0, 50.0, 75.0):
        assert watch.find_silent({LEASE: NOON + now}, now) == {}


def test_the_next_attempt_of_the_same_job_has_a_silence_of_its_own() -> None:
    watch = LeaseMonitor(30.0)
    assert watch.find_silent({LEASE: NOON}, 0.0) == {}
    assert watch.find_silent({Lease("job_1", 2, "wrk_1"): NOON}, 31.0) == {}


@pytest.mark.parametrize("jump_s", [-86_400.0, -60.0, 60.0, 86_400.0])
def test_a_clock_that_jumps_neither_takes_a_job_away_nor_leaves_a_dead_workers_job_behind(jump_s: float) -> None:
    watch, dead = LeaseMonitor(30.0), Lease("job_2", 1, "wrk_2")
    for now in (0.0, 8.0, 16.0):
        assert watch.find_silent({LEASE: NOON + now, dead: NOON}, now) == {}
    for now in (24.0, 30.0):
        assert watch.find_silent({LEASE: NOON + jump_s + now, dead: NOON}, now) == {}
    assert watch.find_silent({LEASE: NOON + jump_s + 31.0, dead: NOON}, 31.0) == {dead: NOON}
