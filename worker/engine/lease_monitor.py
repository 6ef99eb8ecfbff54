"""Which workers have fallen silent: told without asking anybody what time it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.attempts import Lease


@dataclass(frozen=True)
class _Sighting:
    stamp: float
    first_seen_at: float


class LeaseMonitor:
    """A lease whose stamp has not changed for `ttl_s` seconds of our own monotonic clock is silent.

    An expiry by the wall clock would be simpler and wrong: set forward, the clock would take every job from its
    worker; set back, it would leave a dead worker's jobs where they are for as long as it was set back. The price: a
    worker that has just started waits one `ttl_s` before it takes anything over.
    """

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._seen: dict[Lease, _Sighting] = {}

    def find_silent(self, leases: Mapping[Lease, float], now: float) -> dict[Lease, float]:
        """Those of the leases that are held now (lease → stamp) whose holder is silent. now: monotonic, seconds."""
        self._seen = {lease: self._look(lease, stamp, now) for lease, stamp in leases.items()}
        return {lease: seen.stamp for lease, seen in self._seen.items() if now - seen.first_seen_at > self._ttl_s}

    def _look(self, lease: Lease, stamp: float, now: float) -> _Sighting:
        seen = self._seen.get(lease)
        return seen if seen is not None and seen.stamp == stamp else _Sighting(stamp, now)
