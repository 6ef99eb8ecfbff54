"""What a lost worker means for the job that it ran. It is no fault of the job's, until it happens again and again."""

from __future__ import annotations

MAX_LOST_WORKERS = 20
"""So many workers may be lost under a job before it fails: one that takes its worker along must not do so for ever."""

LONGEST_WAIT_S = 60.0
_FREE_LOSSES = 2


def wait_after_loss(lost_workers: int) -> float:
    """Seconds for which a job is left in the queue after so many lost workers: the more, the more suspect it is."""
    if lost_workers <= _FREE_LOSSES:
        return 0.0
    return min(2.0 ** (lost_workers - _FREE_LOSSES), LONGEST_WAIT_S)
