"""Loops that try again: how long they wait, and how much they write about it.

What fails for good fails at every try. Without this, a loop that looks five times a second fills a disk with the same
traceback.
"""

from __future__ import annotations

import logging

_MOST_EXPONENT = 30


class Backoff:
    """One loop's failures in a row. what: is done, as the log calls it."""

    def __init__(self, log: logging.Logger, what: str, *, first_s: float, longest_s: float) -> None:
        self._log = log
        self._what = what
        self._first_s = first_s
        self._longest_s = longest_s
        self.num_failures = 0

    def fail(self, error: BaseException) -> float:
        """Counts a failure; returns the seconds to wait. The 1st, 2nd, 4th, 8th … is logged, the 1st with its place."""
        self.num_failures += 1
        if self.num_failures & (self.num_failures - 1) == 0:
            reason = (str(error).splitlines() or [""])[0]
            self._log.warning(
                "cannot %s, will try again (%d in a row): %s: %s",
                self._what,
                self.num_failures,
                type(error).__name__,
                reason,
                exc_info=error if self.num_failures == 1 else None,
            )
        return min(self._longest_s, self._first_s * 2.0 ** min(self.num_failures - 1, _MOST_EXPONENT))

    def succeed(self) -> None:
        """Ends the row, and logs that once."""
        if self.num_failures:
            self._log.warning("can %s again, after %d failure(s)", self._what, self.num_failures)
        self.num_failures = 0
