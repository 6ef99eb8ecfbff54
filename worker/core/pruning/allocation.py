"""How many channels each group gives up, so that their sum comes as near to what is asked as whole channels can.

A group is a set of layers that share their channels (a residual sum; a depthwise convolution and what it reads):
taking one unit away takes one channel from each of them. Plain numbers in and out: nothing here knows a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ChannelGroup:
    """width: units there are. cost: channels that go with each. least: units that stay, whatever is asked.

    scores: one for each unit, the lowest go first; empty where no ranking is asked for.
    """

    width: int
    cost: int
    least: int = 1
    scores: tuple[float, ...] = ()


def count_least(width: int, largest_share: float) -> int:
    """Units left of a layer that may lose `largest_share`: what is over rounded down, and at least one."""
    return max(1, math.floor(width * (1 - largest_share) + 1e-9))


def allocate_together(groups: Sequence[ChannelGroup], num_asked: float) -> list[int]:
    """Units kept per group where all are ranked together: the lowest scores go, in whichever group they are.

    A group at its `least` gives no more, and the ranking goes on with the others. num_asked: channels to remove.
    """
    kept = [group.width for group in groups]
    ranking = sorted((score, place) for place, group in enumerate(groups) for score in group.scores)
    removed = 0
    for _, place in ranking:
        group = groups[place]
        if kept[place] > group.least and _brings_nearer(group.cost, num_asked - removed):
            kept[place] -= 1
            removed += group.cost
    return kept


def allocate_evenly(groups: Sequence[ChannelGroup], share: float) -> list[int]:
    """Units kept per group where each gives up the same share of itself.

    Each is rounded for itself; where that leaves the sum off by more than it must be, those that were rounded most go
    the other way, by one unit at most.
    """
    exact = [group.width * (1 - share) for group in groups]
    kept = [max(group.least, round(units)) for group, units in zip(groups, exact, strict=True)]
    total = sum(group.width * group.cost for group in groups)
    to_remove = share * total - sum(
        (group.width - units) * group.cost for group, units in zip(groups, kept, strict=True)
    )
    step = 1 if to_remove > 0 else -1
    # The most generously rounded first: they are nearest to having been rounded the other way.
    order = sorted(range(len(groups)), key=lambda place: step * (exact[place] - kept[place]))
    for place in order:
        group = groups[place]
        moved = kept[place] - step
        is_possible = group.least <= moved <= group.width and abs(moved - exact[place]) < 1
        if is_possible and _brings_nearer(group.cost, abs(to_remove)) and step * to_remove > 0:
            kept[place] = moved
            to_remove -= step * group.cost
    return kept


def _brings_nearer(cost: int, to_remove: float) -> bool:
    """Whether removing `cost` more leaves less to be wished than before."""
    return abs(to_remove - cost) < abs(to_remove)
