"""How well a network tells classes apart that do not have the same number of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def compute_balanced_accuracy(right: NDArray[np.bool_], labels: NDArray[np.int64]) -> float:
    """Mean recall of the classes that have a picture. right: (N,), whether it was answered so; labels: (N,), classes.

    Not scikit-learn's macro average over all classes, where one without a picture counts as never recognized.
    """
    import numpy as np

    counts = np.bincount(labels)
    hits = np.bincount(labels, weights=right)
    return float((hits[counts > 0] / counts[counts > 0]).mean())
