"""The front of the size–accuracy plane, for the core and the API alike."""

from __future__ import annotations

from collections.abc import Sequence


def find_front(points: Sequence[tuple[int, float]]) -> list[bool]:
    """For each pair of bytes and accuracy whether no other is at least as small and as accurate, and better in one."""
    on_front = [False] * len(points)
    best_smaller = best_of_size = float("-inf")
    last_bytes = -1
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        num_bytes, accuracy = points[index]
        if num_bytes > last_bytes:
            # The first of its size is the most accurate of its size.
            best_smaller, best_of_size, last_bytes = max(best_smaller, best_of_size), accuracy, num_bytes
        on_front[index] = accuracy == best_of_size > best_smaller
    return on_front
