"""The network that a compression starts from, and how good it is: every drop is counted from here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from worker.checkpoint_facts import CheckpointInfo
from worker.core.training import Evaluation
from worker.datasets import Dataset
from worker.paired import compute_drop, is_within


@dataclass(frozen=True)
class Baseline:
    """A float network in evaluation mode, the data that it was trained on, and how good it is.

    reference_bytes: of the plain float32 checkpoint that ratios are taken against.
    """

    model: nn.Module
    info: CheckpointInfo
    data: Dataset
    validation: Evaluation
    test: Evaluation
    reference_bytes: int

    def drop(self, validation_accuracy: float) -> float:
        """Drop on validation in percentage points of an accuracy 0..1."""
        num_examples = self.validation.num_examples
        result = Evaluation(math.nan, round(validation_accuracy * num_examples), num_examples)
        return compute_drop(self.validation, result)

    def allows(self, validation_accuracy: float, max_drop: float) -> bool:
        """Whether an accuracy on validation is within `max_drop` points."""
        return is_within(self.drop(validation_accuracy), max_drop)
