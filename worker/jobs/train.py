"""Train a network from scratch."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from worker.catalog import Architecture, DatasetName, Optimizer, Precision
from worker.jobs.base import JobContext, JobOutcome, JobSpec


class TrainSpec(JobSpec):
    """Trains a network on a data set and keeps the epoch that is best on validation."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dataset": "digits", "architecture": "lenet5", "epochs": 3}]})

    kind: Literal["train"] = "train"
    dataset: DatasetName = DatasetName.FASHION_MNIST
    architecture: Architecture = Architecture.FASHION_CNN
    widths: tuple[int, ...] | None = Field(
        None,
        max_length=16,
        description="Channels or neurons of each hidden layer; by default the architecture's own.",
    )
    epochs: int = Field(12, ge=1, le=500)
    batch_size: int = Field(256, ge=1, le=8192)
    optimizer: Optimizer = Optimizer.SGD
    learning_rate: float = Field(0.1, gt=0, le=10)
    weight_decay: float = Field(5e-4, ge=0, le=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    augment: bool = Field(True, description="Random horizontal flips and shifts by up to two pixels.")
    patience: int = Field(10, ge=1, description="Epochs without a better validation accuracy before it stops.")
    precision: Precision = Precision.AUTO
    max_train_examples: int | None = Field(None, ge=10, description="Train on this many examples only.")


def run(spec: TrainSpec, context: JobContext) -> JobOutcome:
    raise NotImplementedError
