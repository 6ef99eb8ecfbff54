"""Whether the classes of a data set have about as many pictures each. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from worker.catalog import ClassWeighting, TrainingWarning
from worker.progress import Reporter

UNBALANCED_RATIO = 9
"""Training pictures of the largest class for one of the smallest, beyond which classes count as highly unbalanced:
where the KEEL repository draws the line (Alcalá-Fdez et al. 2011)."""


def warn_of_unbalanced_classes(reporter: Reporter, counts: Sequence[int]) -> None:
    """Warns where each picture weighs the same although classes are unbalanced. counts: training pictures of each."""
    present = [count for count in counts if count]
    ratio = max(present) / min(present)
    if ratio > UNBALANCED_RATIO:
        reporter.warn(
            f"the largest class has {ratio:.0f} times the training pictures of the smallest, and each picture weighs "
            f"the same: with `class_weighting` {ClassWeighting.BALANCED} each class does",
            {"code": TrainingWarning.UNBALANCED_CLASSES, "field": "class_weighting", "ratio": ratio},
        )
