"""What a report shows of a data set: its counts and a few pictures of each class."""

from __future__ import annotations

import torch

from worker.core.datasets import Dataset
from worker.report.facts import DatasetFact

SAMPLES_PER_CLASS = 12


def describe_dataset(data: Dataset, samples_per_class: int = SAMPLES_PER_CLASS) -> DatasetFact:
    """Counts of every split by class, and the first `samples_per_class` training pictures of each class."""
    classes = range(len(data.class_names))
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    samples = []
    for label in classes:
        rows = torch.nonzero(data.train.labels == label)[:samples_per_class, 0]
        pictures = data.train.images[rows].permute(0, 2, 3, 1).numpy()  # (N, H, W, C)
        samples.append(tuple(picture.squeeze(-1) if picture.shape[-1] == 1 else picture for picture in pictures))
    return DatasetFact(
        name=data.name,
        class_names=data.class_names,
        input_shape=data.input_shape,
        counts={
            name: tuple(torch.bincount(split.labels, minlength=len(classes)).tolist()) for name, split in splits.items()
        },
        mean=data.mean,
        std=data.std,
        samples=tuple(samples),
        is_mirrorable=data.is_mirrorable,
    )
