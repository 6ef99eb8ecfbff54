"""scikit-learn's bundled handwritten digits: 1,797 pictures of 8x8, needs no network."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from worker.catalog import DatasetName
from worker.datasets import RawDataset, Split


def load(root: Path, mirror: str | None) -> RawDataset:  # noqa: ARG001 - every data set is loaded alike
    """The digits resized to 28x28 so that every architecture takes them. `root` and `mirror` are not needed."""
    digits = load_digits()
    small = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) * (255 / 16)
    images = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False).round().to(torch.uint8)
    labels = torch.tensor(digits.target).long()
    train, test = train_test_split(
        torch.arange(len(labels)).numpy(), test_size=360, stratify=labels.numpy(), random_state=0
    )
    scaled = images[train].float() / 255
    return RawDataset(
        Split(images[train], labels[train]),
        Split(images[test], labels[test]),
        DatasetName.DIGITS.facts.class_names,
        mean=(round(round(255 * float(scaled.mean())) / 255, 5),),  # a whole pixel value, as of all
        std=(round(float(scaled.std()), 4),),
        validation_size=150,
        is_mirrorable=DatasetName.DIGITS.facts.is_mirrorable,
    )
