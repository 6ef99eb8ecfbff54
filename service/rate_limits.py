"""How often somebody may ask, and how much at a time.

Counted in this process's memory: one API process serves one database.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from service.errors import RequestRefused

_IPV6_HOUSEHOLD = 64
"""Bits of an IPv6 address that one household or machine is given: it has 2^64 addresses to come from."""


class RequestRates:
    """`per_minute` requests for each owner, and as many for each address that has shown no key."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, who: str) -> None:
        """Counts one request of `who`. Raises RequestRefused (429) once they were too many."""
        if not self._limiter.hit(self._limit, who):
            wait_s = self._limiter.get_window_stats(self._limit, who).reset_time - time.time()
            raise RequestRefused(
                429,
                "too_many_requests",
                f"More than {self._limit.amount} requests in a minute.",
                headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
            )


class OpenRequests:
    """Requests that stay open for long: so many of each owner at a time. refusal: of one more, what to do about it."""

    def __init__(self, limit: int, code: str, refusal: str) -> None:
        self._limit = limit
        self._code = code
        self._refusal = refusal
        self._num_open: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def hold(self, owner: str) -> Iterator[None]:
        """Counts one for as long as the block lasts. Raises RequestRefused (429)."""
        with self._lock:
            if self._num_open[owner] >= self._limit:
                raise RequestRefused(429, self._code, f"{self._limit} {self._refusal}")
            self._num_open[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._num_open[owner] -= 1
                if not self._num_open[owner]:
                    del self._num_open[owner]


def name_client(address: str | None) -> str:
    """What an address is counted under. A client of a Unix socket has none."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "client"
    # A socket for both families names an IPv4 client ::ffff:…, all of them in one network of IPv6.
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.version == 4:
        return f"client {parsed}"
    return f"client {ipaddress.ip_network((parsed, _IPV6_HOUSEHOLD), strict=False)}"
