"""Whether each class of a data set has pictures, and about as many as the others. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from worker.catalog import ClassWeighting, TrainingWarning
from worker.progress import Reporter
from worker.wording import name_first

UNBALANCED_RATIO = 9
"""Training pictures of the largest class for one of the smallest, beyond which classes count as highly unbalanced:
where the KEEL repository draws the line (Alcalá-Fdez et al. 2011)."""

_MOST_NAMED = 5


def warn_of_missing_classes(
    reporter: Reporter, class_names: Sequence[str], trained: Sequence[int], validated: Sequence[int]
) -> None:
    """Warns of classes without a picture to train on, or on validation. trained, validated: pictures of each class."""
    for code, counts, told in (
        (TrainingWarning.CLASS_NOT_TRAINED, trained, "to train on: the network does not learn to answer them"),
        (TrainingWarning.CLASS_NOT_VALIDATED, validated, "on validation: no decision goes by them"),
    ):
        missing = [name for name, count in zip(class_names, counts, strict=True) if count == 0]
        if missing:
            shown = name_first(missing, _MOST_NAMED)
            reporter.warn(
                f"{len(missing)} of {len(class_names)} classes have no picture {told} ({shown})",
                {"code": code, "field": "dataset", "count": len(missing)},
            )


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
