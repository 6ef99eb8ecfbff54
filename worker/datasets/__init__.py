"""Data sets as whole tensors: one uint8 tensor per split, normalised batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from worker.augmentation import Augmentation, choose_augmentation
from worker.catalog import DatasetName, SplitName
from worker.dataset_files.cache import CachedSplit, open_cache
from worker.dataset_files.splitting import choose_validation_size, find_spare
from worker.dataset_location import DatasetLocation
from worker.dataset_refs import is_stored
from worker.picture_policy import ResizePolicy
from worker.pixel_moments import compute_moments
from worker.pixels import normalize_pixels
from worker.registry import Registry


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, C, H, W); labels: int64 (N,)."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Split:
        """The same split held on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


def lay_channels_last(x: torch.Tensor) -> torch.Tensor:
    """The same pictures with the strides of channels last spelled out. x: (B, C, H, W), no gradients.

    With one channel both layouts are the same bytes, and torch's own conversion leaves the strides of channels first.
    Convolutions go by them, and pooling a large picture channels first takes five times as long.
    """
    batch, channels, height, width = x.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return x.contiguous(memory_format=torch.channels_last).as_strided((batch, channels, height, width), strides)


@dataclass(frozen=True)
class RawDataset:
    """What a data set module's `load` returns: its official training and test parts."""

    train: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    validation_size: int
    is_mirrorable: bool
    """Whether a picture mirrored left to right is one of the same class."""
    validation: Split | None = None
    """None: drawn from the training part."""
    resize: ResizePolicy | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set split for one lineage of models. Decisions are made on `validation`, `test` is only reported.

    A pixel p enters a network as (p / 255 - mean) / std, each one number for all channels or one for each.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    split_seed: int
    is_mirrorable: bool = True
    resize: ResizePolicy | None = None
    """How pictures of another size become its pictures; None where it is built in."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def augmentation(self) -> Augmentation:
        """How its training pictures are changed where nobody asks for something else."""
        return choose_augmentation(self.input_shape, is_mirrorable=self.is_mirrorable)

    def normalize(self, images: torch.Tensor) -> torch.Tensor:
        """images: uint8 (B, C, H, W). Returns float32 of the same shape, channels last."""
        return lay_channels_last(normalize_pixels(images, self.mean, self.std))

    def limit_train(self, max_examples: int | None) -> Dataset:
        """The same data set with at most `max_examples` training examples (they are in random order already)."""
        if max_examples is None or max_examples >= len(self.train):
            return self
        return replace(self, train=Split(self.train.images[:max_examples], self.train.labels[:max_examples]))


def count_classes(data: Dataset) -> Mapping[str, tuple[int, ...]]:
    """train, validation, test → examples of each class."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    counts = {name: torch.bincount(split.labels, minlength=len(data.class_names)) for name, split in splits.items()}
    return {name: tuple(count.tolist()) for name, count in counts.items()}


def take_samples(data: Dataset, per_class: int) -> tuple[tuple[Any, ...], ...]:
    """[class][k]: the first training pictures of each class, uint8 arrays (H, W) or (H, W, 3)."""
    samples = []
    for label in range(len(data.class_names)):
        rows = torch.nonzero(data.train.labels == label)[:per_class, 0]
        pictures = data.train.images[rows].permute(0, 2, 3, 1).numpy()  # (N, H, W, C)
        samples.append(tuple(picture.squeeze(-1) if picture.shape[-1] == 1 else picture for picture in pictures))
    return tuple(samples)


DATASETS = Registry[Callable[[Path, str | None], RawDataset]](DatasetName, __name__, "load")
"""root, mirror → what `load_dataset` splits."""


def load_dataset(name: str, location: DatasetLocation, split_seed: int) -> Dataset:
    """Loads a data set and splits its training part, stratified by class, where it came without a validation split.

    The split depends on `split_seed` alone. A model carries it, so that no later job of its lineage
    validates on what the model was trained on. name: of the catalogue, or the id of one that somebody brought.
    Raises DatasetUnavailable, and InvalidDataset for one that cannot be split.
    """
    is_own = is_stored(name)
    raw = load_stored(location.find_stored(name)) if is_own else DATASETS[name](location.root, location.mirror)
    if raw.validation is None:
        train, validation = _split(raw, split_seed)
    else:
        train, validation = _shuffle(raw.train, split_seed), raw.validation
    return Dataset(
        name=name,
        train=train,
        validation=validation,
        test=raw.test,
        class_names=raw.class_names,
        mean=raw.mean,
        std=raw.std,
        split_seed=split_seed,
        is_mirrorable=raw.is_mirrorable,
        resize=raw.resize,
    )


def _split(raw: RawDataset, split_seed: int) -> tuple[Split, Split]:
    """The only picture of a class is trained on: first, so that a training on few has it too."""
    labels = raw.train.labels.numpy()
    can_validate = find_spare(labels)
    rows, alone = np.flatnonzero(can_validate), np.flatnonzero(~can_validate)
    kept, held_out = train_test_split(
        rows, test_size=raw.validation_size, stratify=labels[rows], random_state=split_seed
    )
    return _take(raw.train, torch.from_numpy(np.append(alone, kept))), _take(raw.train, torch.from_numpy(held_out))


def _shuffle(split: Split, seed: int) -> Split:
    """In random order, as `limit_train` needs it."""
    return _take(split, torch.randperm(len(split), generator=torch.Generator().manual_seed(seed)))


def _take(split: Split, rows: torch.Tensor) -> Split:
    return Split(split.images[rows], split.labels[rows])


def load_stored(path: Path) -> RawDataset:
    """The pictures as they lie in the file: they are read when they are used. Raises CorruptFile, InvalidDataset."""
    cached = open_cache(path)
    facts, splits = cached.facts, {name: _read(split) for name, split in cached.splits.items()}
    train = splits[SplitName.TRAIN]
    validation = splits.get(SplitName.VALIDATION)
    mean, std = _choose_normalization(facts.mean, facts.std)
    return RawDataset(
        train,
        splits[SplitName.TEST],
        facts.class_names,
        mean=mean,
        std=std,
        validation_size=0 if validation is not None else choose_validation_size(train.labels.numpy()),
        is_mirrorable=facts.is_mirrorable,
        validation=validation,
        resize=facts.resize,
    )


def _read(split: CachedSplit) -> Split:
    return Split(torch.from_numpy(split.images), torch.from_numpy(split.labels))


def build_raw(name: DatasetName, train: Split, test: Split) -> RawDataset:
    """A data set of the catalogue from its official parts, normalised by what its training part measures.

    Raises ValueError where the pictures or labels are not those of its facts.
    """
    facts = name.facts
    for split in (train, test):
        if split.images.shape[1:] != facts.input_shape:
            raise ValueError(f"its pictures are {tuple(split.images.shape[1:])}")
        if not 0 <= int(split.labels.min()) <= int(split.labels.max()) < len(facts.class_names):
            raise ValueError(f"its labels are {int(split.labels.min())} to {int(split.labels.max())}")
    mean, std = _choose_normalization(*_measure(train.images))
    return RawDataset(
        train,
        test,
        facts.class_names,
        mean=mean,
        std=std,
        validation_size=choose_validation_size(train.labels.numpy()),
        is_mirrorable=facts.is_mirrorable,
    )


def _measure(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, a pixel being 0 to 1; from whole sums. images: uint8 (N, C, H, W)."""
    values = torch.arange(256)
    moments = []
    for channel in range(images.shape[1]):
        counts = torch.bincount(images[:, channel].flatten(), minlength=len(values))
        total, squares = int((counts * values).sum()), int((counts * values**2).sum())
        moments.append(compute_moments(total, squares, int(counts.sum())))
    means, deviations = zip(*moments, strict=True)
    return means, deviations


def _choose_normalization(
    means: Sequence[float], deviations: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) that pictures are normalised by, from those of each channel.

    The mean of each channel is a whole pixel value, so that an integer network meets it exactly; the deviation is one
    for all channels, since a quantized layer has one scale.
    """
    mean_variance = sum(deviation**2 for deviation in deviations) / len(deviations)
    return tuple(round(255 * mean) / 255 for mean in means), (round(math.sqrt(mean_variance), 4),)
