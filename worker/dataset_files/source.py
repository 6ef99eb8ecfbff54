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

    def tell_unused_tables(self, reasons: Sequence[str]) -> None:
        """Tables that name pictures and give them no class, the first with its reason."""
        others = f" ({len(reasons) - 1} more tables are not used either)" if len(reasons) > 1 else ""
        self.notices.append(
            DatasetNotice(code=DatasetWarning.TABLE_NOT_USED, detail=reasons[0] + others, count=len(reasons))
        )

    def tell_other_splits(self, table: str, values: Sequence[str]) -> None:
        """Values of a column called like one of splits, which are none."""
        shown = name_first([show_name(value) for value in values], _MOST_SHOWN)
        detail = f"the column of splits in {show_name(table)} is not used, as it holds {shown}"
        self.notices.append(DatasetNotice(code=DatasetWarning.SPLIT_COLUMN_NOT_USED, detail=detail, count=len(values)))

    def tell_guessed(self, table: str, title: str) -> None:
        """A column that was taken for the classes, as there is no other. title: empty where it has none."""
        column = f"the column {show_name(title)}" if title else "the other column"
        detail = f"{column} of {show_name(table)} was taken for the classes, as there is none beside it"
        self.notices.append(DatasetNotice(code=DatasetWarning.LABEL_COLUMN_GUESSED, detail=detail, count=1))

    def tell_left_out(self, class_names: Sequence[str]) -> None:
        """Classes that the file names, in the order of their numbers, and no training picture is of."""
        if class_names:
            shown = name_first([show_name(name) for name in class_names], _MOST_SHOWN)
            self.notices.append(
                DatasetNotice(
                    code=DatasetWarning.CLASS_LEFT_OUT,
                    detail=f"no training picture is of {shown}: left out, so that classes have other numbers than in "
                    "the file",
                    count=len(class_names),
                    class_names=tuple(show_name(name) for name in class_names[:MOST_NAMED]),
                )
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
