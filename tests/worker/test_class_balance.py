"""Which classes of a data set a training warns of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import pytest

from worker.class_balance import UNBALANCED_RATIO, warn_of_missing_classes, warn_of_unbalanced_classes
from worker.progress import QuietReporter

NAMES = tuple("abcdefgh")


def hear(tell: Callable[[], None]) -> list[str]:
    """What it warns of."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        tell()
    return [str(warning.message) for warning in heard]


@pytest.mark.parametrize(
    ("trained", "validated", "num_warnings"),
    [([5] * 8, [1] * 8, 0), ([0] + [5] * 7, [1] * 8, 1), ([5] * 8, [0] * 7 + [9], 1), ([0] * 7 + [5], [0] * 8, 2)],
)
def test_classes_without_pictures_are_named(
    trained: Sequence[int], validated: Sequence[int], num_warnings: int
) -> None:
    heard = hear(lambda: warn_of_missing_classes(QuietReporter(), NAMES, trained, validated))
    assert len(heard) == num_warnings
    for counts in (counts for counts in (trained, validated) if 0 in counts):
        line = heard.pop(0)
        missing = [name for name, count in zip(NAMES, counts, strict=True) if count == 0]
        assert line.startswith(f"{len(missing)} of 8 classes")
        assert line.partition("(")[2].rstrip(" …)").split(", ") == missing[:5]
        assert line.endswith("…)") is (len(missing) > 5)


@pytest.mark.parametrize("smallest", [1, 7])
def test_a_ratio_beyond_the_limit_is_warned_of_and_one_at_it_is_not(smallest: int) -> None:
    at_limit = [smallest, smallest * UNBALANCED_RATIO]
    assert hear(lambda: warn_of_unbalanced_classes(QuietReporter(), at_limit)) == []
    # A class without pictures has no ratio.
    beyond = [0, smallest, smallest * UNBALANCED_RATIO + 1]
    assert len(hear(lambda: warn_of_unbalanced_classes(QuietReporter(), beyond))) == 1
