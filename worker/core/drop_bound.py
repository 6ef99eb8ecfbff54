"""How much accuracy a network may have lost on pictures that nobody has seen, from what it lost on validation.

Both networks are asked about the same pictures. What counts are the pictures on which they differ: `lost`, which only
the first gets right, and `gained`, which only the second does. The bound is that of Tango's score interval for paired
proportions (1998); it holds for few pictures and few differences too.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from worker.search import bisect


def compute_score(lost: int, gained: int, num_pictures: int, drop: float) -> float:
    """Standard deviations by which the drop seen exceeds a true drop (fraction, below 1). Falls as `drop` rises."""
    linear = -lost - gained + (2 * num_pictures - lost + gained) * drop
    constant = -gained * drop * (1 - drop)
    root = math.sqrt(max(0.0, linear**2 - 8 * num_pictures * constant))
    share_gained = (root - linear) / (4 * num_pictures)
    variance = num_pictures * (2 * share_gained + drop * (1 - drop))
    excess = lost - gained - num_pictures * drop
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess) if excess else 0.0


def compute_drop_bound(lost: int, gained: int, num_pictures: int, confidence: float) -> float:
    """The drop, in points, that the true one does not exceed with this one-sided confidence."""
    limit = -float(norm.ppf(confidence))
    seen = (lost - gained) / num_pictures

    def is_refuted(drop: float) -> bool:
        return compute_score(lost, gained, num_pictures, drop) > limit

    return 100 * bisect(is_refuted, seen, 1.0, finest=0.0)[1]


def compute_confidence(lost: int, gained: int, num_pictures: int, max_drop: float) -> float:
    """One-sided confidence, 0..1, that the true drop is at most `max_drop` points."""
    return float(norm.cdf(-compute_score(lost, gained, num_pictures, min(max_drop / 100, 1 - 1e-9))))
