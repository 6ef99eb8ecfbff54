"""Ids that are opaque to clients and sort by the moment they were made."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Literal

# Crockford's alphabet: no I, L, O or U, and in ASCII order, so that text sorts as the number does.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
_NUM_CHARACTERS = 26

Prefix = Literal["job", "mdl", "art", "wrk", "key"]


class _Clock:
    """Numbers that rise within the process: two ids of one millisecond would otherwise sort by chance."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            number = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
            self._last = max(self._last + 1, number)
            return self._last


_clock = _Clock()


def new_id(prefix: Prefix) -> str:
    """`prefix_` and 26 characters: 48 bits of milliseconds, 80 random bits; rising within one process."""
    number = _clock.next()
    characters = []
    for _ in range(_NUM_CHARACTERS):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return f"{prefix}_{''.join(reversed(characters))}"
