"""What a reader makes of a file: its pictures' names and labels at once, their contents one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.catalog import DatasetWarning, RefusalReason, SplitName
from worker.dataset_files.summary import DatasetNotice, RefusedEntries
from worker.names import is_name
from worker.wording import name_first

MOST_NAMED = 20
_MOST_SHOWN = 5
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Item:
    """One picture that a file says it has. split: None where the file does not say."""

    name: str
    label: str
    split: SplitName | None


Content = bytes | NDArray[np.uint8] | RefusalReason
"""A picture's file; or its pixels, (H, W) or (H, W, C); or why there is neither."""


@dataclass(frozen=True)
class PictureSource:
    """contents: one for each of `items`, in their order; who takes them closes them. class_names: in the order of the
    labels, where the file gives one; None: sorted.
    """

    items: Sequence[Item]
    contents: Generator[Content, None, None]
    class_names: tuple[str, ...] | None = None


class RefusalLog:
    """Counts what became no picture, by reason, and keeps the first names of each.

    notices: what a reader made of a file that could be read in another way too.
    """

    def __init__(self) -> None:
        self.notices: list[DatasetNotice] = []
        self._counts: Counter[RefusalReason] = Counter()
        self._names: dict[RefusalReason, list[str]] = {}

    def add(self, name: str, reason: RefusalReason) -> None:
        """One more."""
        self._counts[reason] += 1
        names = self._names.setdefault(reason, [])
        if len(names) < MOST_NAMED:
            names.append(show_name(name))

    def tell(
        self,
        code: DatasetWarning,
        detail: str,
        *,
        count: int = 1,
        split: SplitName | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        """Notes something; the fields are those of a `DatasetNotice`."""
        self.notices.append(
            DatasetNotice(code=code, detail=detail, split=split, count=count, class_names=tuple(class_names))
        )

    def list_refused(self) -> tuple[RefusedEntries, ...]:
        """By reason, in the order of their names."""
        return tuple(
            RefusedEntries(reason=reason, count=self._counts[reason], names=tuple(self._names[reason]))
            for reason in sorted(self._counts)
        )

    def describe(self) -> str:
        """In one line, such as `3 broken, 1 too_large`; empty where nothing was refused."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self._counts.items()))


def show_name(name: str) -> str:
    """A name from a file as people may be shown it: of one line, and not too long."""
    shown = name if is_name(name) else ascii(name)
    return shown if len(shown) <= _LONGEST_NAME else shown[:_LONGEST_NAME] + "…"


def show_first(names: Sequence[str]) -> str:
    """The first few names from a file, as people may be shown them."""
    return name_first([show_name(name) for name in names], _MOST_SHOWN)
