"""Which classes are taken for which, from a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """Two classes that are mistaken for each other. forth: pictures of `one` taken for `other`; back: the reverse."""

    one: str
    other: str
    forth: int
    back: int

    @property
    def total(self) -> int:
        """Mistakes in both directions."""
        return self.forth + self.back


def count_errors(matrix: Sequence[Sequence[int]]) -> int:
    """Everything off the diagonal."""
    return sum(sum(row) - row[label] for label, row in enumerate(matrix))


def rank_pairs(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> list[Pair]:
    """Pairs with at least one mistake, most mistakes first; `one` is the class that is mistaken more often."""
    pairs = []
    for one in range(len(class_names)):
        for other in range(one + 1, len(class_names)):
            first, second = (one, other) if matrix[one][other] >= matrix[other][one] else (other, one)
            pair = Pair(class_names[first], class_names[second], matrix[first][second], matrix[second][first])
            if pair.total:
                pairs.append(pair)
    return sorted(pairs, key=lambda pair: (-pair.total, pair.one, pair.other))
