"""What is trained in the benchmark of training: a network and its pictures, as anybody loads them and as we do."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.utils.data import Dataset as PlainDataset
from torchvision import transforms
from torchvision.datasets import FashionMNIST, ImageFolder

from storage.settings import Settings
from tests.needs import find_cifar10
from worker.core.models import build_model
from worker.core.models.build import build_module
from worker.dataset_files.importing import import_dataset
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, load_dataset
from worker.network.operations.elementwise import Add, Flatten, Relu
from worker.network.operations.layers import BatchNorm, Linear, build_square_convolution
from worker.network.operations.pooling import AdaptiveAveragePool
from worker.network.record import Network, NetworkBuilder

SEED = 0
_BROUGHT, _CACHE, _PICTURES = "dst_cifar10", "decoded", "pictures"


@dataclass(frozen=True)
class TrainingTask:
    """prepare: makes, once, what both sides read, in a folder. load_plain: settings, folder, whether of training."""

    build: Callable[[], nn.Module]
    prepare: Callable[[Settings, Path], None]
    load_plain: Callable[[Settings, Path, bool], PlainDataset[Any]]
    load: Callable[[Settings, Path], Dataset]


def _load_fashion(settings: Settings, _folder: Path) -> Dataset:
    return load_dataset("fashion_mnist", DatasetLocation(settings.resolved_dataset_dir, settings.dataset_mirror), SEED)


def _prepare_fashion(settings: Settings, folder: Path) -> None:
    _load_fashion(settings, folder)  # which fetches the files where they are not there yet


def _load_fashion_plain(settings: Settings, _folder: Path, train: bool) -> FashionMNIST:
    steps = [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    return FashionMNIST(str(settings.resolved_dataset_dir), train=train, transform=transforms.Compose(steps))


def describe_resnet20(num_classes: int = 10) -> Network:
    """ResNet-20 for CIFAR-10 (He et al. 2016, section 4.2), its shortcuts between stages convolutions of 1x1."""
    builder = NetworkBuilder((3, 32, 32))
    builder.add("conv", build_square_convolution(16, 3, padding=1))
    builder.add("bn", BatchNorm())
    place, before = builder.add("relu", Relu()), 16
    for stage, width in enumerate((16, 32, 64), 1):
        for number in range(3):
            name, stride = f"block{stage}{number}", 1 if width == before else 2
            builder.add(f"{name}.conv1", build_square_convolution(width, 3, stride=stride, padding=1), place)
            builder.add(f"{name}.bn1", BatchNorm())
            builder.add(f"{name}.relu1", Relu())
            builder.add(f"{name}.conv2", build_square_convolution(width, 3, padding=1))
            branch = builder.add(f"{name}.bn2", BatchNorm())
            if stride > 1:
                builder.add(f"{name}.shortcut", build_square_convolution(width, 1, stride=stride), place)
                place = builder.add(f"{name}.shortcut_bn", BatchNorm())
            builder.add(f"{name}.add", Add(), place, branch)
            place, before = builder.add(f"{name}.relu2", Relu()), width
    builder.add("pool", AdaptiveAveragePool(output=(1, 1)))
    builder.add("flatten", Flatten())
    builder.add("fc", Linear(out_features=num_classes))
    return builder.build()


def _prepare_cifar10(_settings: Settings, folder: Path) -> None:
    path = find_cifar10()
    assert path is not None
    import_dataset(path, folder / _CACHE)
    with zipfile.ZipFile(path) as file:
        file.extractall(folder / _PICTURES)


def _load_cifar10(_settings: Settings, folder: Path) -> Dataset:
    return load_dataset(_BROUGHT, DatasetLocation(folder, find_stored=lambda _: folder / _CACHE), SEED)


def _load_cifar10_plain(settings: Settings, folder: Path, train: bool) -> ImageFolder:
    ours = _load_cifar10(settings, folder)  # whose normalisation is taken, so that both compute the same
    changes = [transforms.RandomCrop(32, 4), transforms.RandomHorizontalFlip()] if train else []
    steps = [*changes, transforms.ToTensor(), transforms.Normalize(ours.mean, ours.std * len(ours.mean))]
    return ImageFolder(str(folder / _PICTURES / ("train" if train else "test")), transforms.Compose(steps))


TASKS = {
    "fashion_cnn": TrainingTask(
        lambda: build_model("fashion_cnn"), _prepare_fashion, _load_fashion_plain, _load_fashion
    ),
    "resnet20": TrainingTask(
        lambda: build_module(describe_resnet20()), _prepare_cifar10, _load_cifar10_plain, _load_cifar10
    ),
}
