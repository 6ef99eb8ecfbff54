"""The reserve that `compress` keeps of the allowed drop, counted in pictures.

Choosing the smallest of several files favours those that were lucky on validation, and the test set is not asked. So a
file should be within the drop on pictures that nobody has seen: with CONFIDENCE, by the bound on what it lost of the
validation pictures and what it gained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.core.drop_bound import compute_confidence, compute_drop_bound

CONFIDENCE = 0.95
"""One-sided. On 5,000 pictures, of which two networks judge 200 differently, it leaves half of one point."""


@dataclass(frozen=True)
class Reserve:
    """Of a job that allows `max_drop` points on so many validation pictures."""

    num_pictures: int
    max_drop: float

    def compute_bound(self, lost: int, gained: int) -> float:
        """The largest drop, in points, that new pictures may show; lost, gained: pictures, against the baseline."""
        return compute_drop_bound(lost, gained, self.num_pictures, CONFIDENCE)

    def is_kept(self, lost: int, gained: int) -> bool:
        """Whether the drop on new pictures stays within what is allowed."""
        return self.compute_bound(lost, gained) <= self.max_drop

    @property
    def smallest_bound(self) -> float:
        """Of a file that answers as the baseline does on every picture."""
        return self.compute_bound(0, 0)

    @property
    def is_decidable(self) -> bool:
        """Whether there are enough pictures for any file to keep the reserve. Where not, it is not asked for."""
        return self.is_kept(0, 0)

    def to_json(self, lost: int, gained: int) -> dict[str, Any]:
        """For the result of a job whose file lost and gained so many. Drops are points."""
        return {
            "confidence": CONFIDENCE,
            "validation_pictures": self.num_pictures,
            "is_decidable": self.is_decidable,
            "smallest_drop_bound": self.smallest_bound,
            "drop_bound": self.compute_bound(lost, gained),
            "reached_confidence": compute_confidence(lost, gained, self.num_pictures, self.max_drop),
        }
