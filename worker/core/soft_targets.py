"""What a teacher says of the pictures that a student is shown: asked beforehand of every view, or of each batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from worker.catalog import Precision
from worker.core.augmentation import count_views, get_plain_view, show_view
from worker.core.device import autocast, device_of
from worker.core.training import SoftTargets, compute_logits
from worker.datasets import Dataset, Split

MAX_VIEWS = count_views(1)
"""Asking about a view of every picture costs a third of an epoch, and asking in each batch a third of each epoch. More
views than those of a shift by one pixel are more than most trainings have epochs for."""
MAX_TARGET_BYTES = 1 << 28


@dataclass(frozen=True)
class StoredTargets:
    """Logits for every view of every training picture: float32 (count_views(max_shift), N, num_classes).

    Computed once per job instead of once per epoch.
    """

    logits: torch.Tensor
    max_shift: int = 0

    def find(self, x: torch.Tensor, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Looks them up."""
        return self.logits[views, rows]

    def select_plain(self) -> StoredTargets:
        """Shares the memory."""
        plain = get_plain_view(self.max_shift)
        return StoredTargets(self.logits[plain : plain + count_views(0)])


@dataclass(frozen=True)
class AskedTargets:
    """Logits that the teacher, in evaluation mode, computes of each batch, in the fast precision of the device."""

    teacher: nn.Module
    max_shift: int = 0

    def find(self, x: torch.Tensor, views: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        """Asks the teacher."""
        with torch.no_grad(), autocast(Precision.AUTO, device_of(self.teacher)):
            logits: torch.Tensor = self.teacher(x)
        return logits.float()

    def select_plain(self) -> AskedTargets:
        """The same teacher."""
        return AskedTargets(self.teacher)


def compute_soft_targets(
    teacher: nn.Module,
    data: Dataset,
    max_shift: int | None = None,
    *,
    on_view: Callable[[int, int], None] | None = None,
) -> SoftTargets:
    """The teacher's logits on the training split, asked beforehand where that is less than asking in each batch.

    max_shift: of the training that will read them, by default the data set's. on_view: called before each view with its
    number from 1 and the number of all.
    """
    reach = data.augmentation.max_shift if max_shift is None else max_shift
    train, count = data.train, count_views(reach)
    num_classes = len(data.class_names)
    if count > MAX_VIEWS or 4 * count * len(train) * num_classes > MAX_TARGET_BYTES:
        return AskedTargets(teacher.eval(), reach)
    logits = torch.zeros(count, len(train), num_classes, device=device_of(teacher))
    # Mirrored views of a data set that is never mirrored are not asked about.
    for view in range(0, count, 1 if data.is_mirrorable else 2):
        if on_view is not None:
            on_view(view + 1, count)
        shown = Split(show_view(train.images, view, reach), train.labels)
        logits[view] = compute_logits(teacher, data, shown, Precision.AUTO)
    return StoredTargets(logits, reach)
