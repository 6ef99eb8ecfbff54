"""What a job of many parts has done and has left: percent and seconds, from what its parts have taken so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FILE, TRAINING, VIEWS = "file", "training", "views"
"""Kinds of parts: encoding and measuring a file, training, asking a teacher about a view of all pictures."""
FILE_WEIGHT = 0.5
"""Of one file, where an epoch of a narrowed network weighs 1; as FashionMNIST takes on one core."""
VIEW_WEIGHT = 0.4
DENSE_EPOCH_WEIGHT = 2.0


@dataclass(frozen=True)
class Part:
    """A stretch of a job. kind: parts of one kind go at one pace. weight: expected seconds, of any unit."""

    name: str
    kind: str
    weight: float


class Timetable:
    """The parts of a job in their order; parts that turn out not to be needed are simply passed over.

    A kind's pace is what was observed of it; before that, what was observed of all kinds together.
    """

    def __init__(self, parts: Sequence[Part], first: float = 0.0, last: float = 100.0) -> None:
        self.parts = {part.name: part for part in parts}
        self.first, self.last = first, last
        self.observed: dict[str, tuple[float, float]] = {}
        """Kind → weight done and the seconds it took."""

    def observe(self, kind: str, weight: float, seconds: float) -> None:
        """Notes work that was really done, not found done."""
        done, taken = self.observed.get(kind, (0.0, 0.0))
        self.observed[kind] = (done + weight, taken + seconds)

    def get_pace(self, kind: str) -> float | None:
        """Seconds for a weight of 1; None as long as nothing was observed."""
        done, taken = self.observed.get(kind, (0.0, 0.0))
        if not done:
            done = sum(weight for weight, _ in self.observed.values())
            taken = sum(seconds for _, seconds in self.observed.values())
        return taken / done if done else None

    def compute_percent(self, name: str, share: float = 0.0) -> float:
        """Where the job is with this share, 0..1, of a part done."""
        names = list(self.parts)
        weights = [part.weight for part in self.parts.values()]
        position = names.index(name)
        done = sum(weights[:position]) + share * weights[position]
        return self.first + (self.last - self.first) * done / sum(weights)

    def estimate_remaining(
        self, name: str, share: float = 0.0, left_s: float | None = None, until: float = 1.0
    ) -> float | None:
        """Seconds until the job's end, from a share of a part; None while nothing is known.

        left_s: until the share `until` of the part, where it knows better than its kind's pace; it then tells that pace
        too, as long as nothing else does.
        """
        names = list(self.parts)
        here = self.parts[name]
        work = here.weight * max(0.0, until - share)
        implied = left_s / work if left_s is not None and work > 0 else None

        def get_pace(kind: str) -> float | None:
            if kind in self.observed or implied is None:
                return self.get_pace(kind)
            return implied if kind == here.kind else self.get_pace(kind) or implied

        pace = get_pace(here.kind)
        if left_s is None and pace is None:
            return None
        seconds = left_s if left_s is not None else (pace or 0.0) * work
        seconds += (pace or 0.0) * here.weight * (1 - max(until, share))
        for later in names[names.index(name) + 1 :]:
            part = self.parts[later]
            seconds += (get_pace(part.kind) or 0.0) * part.weight
        return seconds
