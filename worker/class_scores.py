"""How well a network tells classes apart that do not have the same number of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def compute_balanced_accuracy(answered: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Mean recall of the classes that have a picture. answered, labels: (N,), classes.

    Not scikit-learn's macro average over all classes, where one without a picture counts as never recognized.
    """
    import numpy as np
    from sklearn.metrics import recall_score

    return float(recall_score(labels, answered, labels=np.unique(labels), average="macro"))
