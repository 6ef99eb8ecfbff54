"""What was asked for and what came of it: how they differ, and which of many tries to choose. Plain numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeVar

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


_SAID = {
    Difference.ALREADY_SPARSER: "the network was sparser already, and nothing was taken back",
    Difference.NOTHING_REMOVED: "nothing was removed: each layer is at its least, or one step is too much",
    Difference.LAYERS_AT_LEAST: "the layers gave all they may",
    Difference.MORE_THAN_ASKED: "more is gone than was asked for",
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


class Try(Protocol):
    """One measured point of a search."""

    @property
    def sparsity(self) -> float:
        """What was reached."""

    @property
    def accuracy(self) -> float:
        """On validation."""

    @property
    def within(self) -> bool:
        """Whether the drop is one that is allowed."""


T = TypeVar("T", bound=Try)


def choose_highest(tries: Mapping[float, T]) -> float | None:
    """The key, which is what was asked, of the try within the drop that reached most.

    Of several that reached the same: the most accurate, then the one that asked for least. None where none is within.
    """
    within = {asked: one for asked, one in tries.items() if one.within}
    if not within:
        return None
    return max(within, key=lambda asked: (within[asked].sparsity, within[asked].accuracy, -asked))


def search_edge(
    try_at: Callable[[float], T], coarse: Sequence[float], *, start: float, ceiling: float, finest: float
) -> dict[float, T]:
    """Tries what is asked at each of `coarse`, then halves the way from the best within the drop to the next beyond it.

    Best is what reached most, so that a curve may fall and rise again. Ends where the way is at most `finest` long.
    start: what is reached without asking. ceiling: where nothing is beyond. Returns asked → what came of it.
    """
    tries = {asked: try_at(asked) for asked in coarse}
    best = choose_highest(tries)
    low = start if best is None else best
    beyond = min((asked for asked, one in tries.items() if asked > low and not one.within), default=ceiling)
    while beyond - low > finest:
        middle = (low + beyond) / 2
        tries[middle] = try_at(middle)
        if tries[middle].within:
            low = middle
        else:
            beyond = middle
    return tries
