"""Ids that are opaque to clients and sort by the moment they were made."""

from __future__ import annotations

import threading
import time
from typing import Literal

from ulid import StrictMonotonicPolicy, ULIDGenerator

Prefix = Literal["job", "mdl", "dst", "art", "wrk", "key"]

_policy = StrictMonotonicPolicy()
_generator = ULIDGenerator(policy=_policy)
_lock = threading.Lock()


def new_id(prefix: Prefix) -> str:
    """`prefix_` and a ULID: 48 bits of milliseconds, 80 random bits; rising within one process, whatever its clock."""
    with _lock:
        return f"{prefix}_{_generator.generate(max(time.time_ns() // 1_000_000, _policy.prev_timestamp))}"
