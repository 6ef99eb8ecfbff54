"""What was asked for and what came of it: whether they differ, and why. Plain numbers alone."""

from __future__ import annotations

from enum import StrEnum

_TOLERANCE = 1e-9
"""Of sums of floats; far below one weight of the largest network."""


class Difference(StrEnum):
    """Why a sparsity is not the one asked for, as far as the numbers tell."""

    ALREADY_SPARSER = "already_sparser"
    """The network had more zeros before than were asked for; none was taken back."""
    NOTHING_REMOVED = "nothing_removed"
    """Not one went: each layer is at its least already, or what was asked is less than one."""
    LAYERS_AT_LEAST = "layers_at_least"
    """Layers that gave all they may, and others with no more to give."""
    MORE_THAN_ASKED = "more_than_asked"
    """Zeros came from elsewhere, or channels only go in larger steps."""
    BEYOND_DROP = "beyond_drop"
    """So much was tried, and cost more accuracy than is allowed."""


_SAID = {
    Difference.ALREADY_SPARSER: "the network was sparser already, and nothing was taken back",
    Difference.NOTHING_REMOVED: "nothing was removed: each layer is at its least, or one step is too much",
    Difference.LAYERS_AT_LEAST: "the layers gave all they may",
    Difference.MORE_THAN_ASKED: "more is gone than was asked for",
    Difference.BEYOND_DROP: "so much would cost more accuracy than is allowed",
}


def find_difference(asked: float, reached: float, *, granularity: float, before: float) -> Difference | None:
    """None where `reached` is as near to `asked` as its steps allow; nothing at all is never near to something.

    granularity: the least by which a sparsity of this network can change, 0..1. before: the sparsity that the network
    had when it was asked.
    """
    if reached <= before + _TOLERANCE < asked:
        return Difference.NOTHING_REMOVED
    if abs(reached - asked) <= granularity + _TOLERANCE:
        return None
    if reached > asked:
        return Difference.ALREADY_SPARSER if before >= reached - _TOLERANCE else Difference.MORE_THAN_ASKED
    return Difference.LAYERS_AT_LEAST


def describe_difference(asked: float, reached: float, difference: Difference) -> str:
    """The line of a job's warnings."""
    return f"asked for a sparsity of {100 * asked:.2f} %, reached {100 * reached:.2f} %: {_SAID[difference]}"
