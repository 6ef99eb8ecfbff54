"""Small archives in the formats in which the catalogue's data sets are published."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets as official
from numpy.typing import NDArray
from PIL import Image

from worker.catalog import DatasetName
from worker.datasets import RawDataset, cifar10, cifar100, emnist, eurosat, fashion_mnist, gtsrb, imagenette

from worker.datasets import kmnist, mnist, qmnist, stl10, usps  # isort: skip
from worker.datasets.sources.downloads import Download

PARTS = {"train": 4, "test": 1}
"""Pictures of each class."""
Load = Callable[[Path, str | None], RawDataset]


def draw(num_classes: int, part: str, *shape: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (N, *shape) of random samples, and labels (N,)."""
    labels = np.tile(np.arange(num_classes, dtype=np.uint8), PARTS[part])
    generator = np.random.default_rng((num_classes, PARTS[part]))
    return generator.integers(0, 256, (len(labels), *shape), np.uint8), labels


def pack_idx(array: NDArray[Any]) -> bytes:
    kind = {"uint8": 8, "int32": 12}[array.dtype.name]
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_gz(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, mtime=0))


def write_tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)


def pack_picture(pixels: NDArray[np.uint8], kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def write_idx_files(folder: Path, num_classes: int = 10) -> None:
    """The four files of MNIST."""
    for prefix, part in (("train", "train"), ("t10k", "test")):
        images, labels = draw(num_classes, part, 28, 28)
        write_gz(folder / f"{prefix}-images-idx3-ubyte.gz", pack_idx(images))
        write_gz(folder / f"{prefix}-labels-idx1-ubyte.gz", pack_idx(labels))


def write_qmnist(folder: Path) -> None:
    for part in PARTS:
        images, labels = draw(10, part, 28, 28)
        extended = np.zeros((len(labels), 8), np.int32)
        extended[:, 0], extended[:, 1] = labels, 70_000
        write_gz(folder / f"qmnist-{part}-images-idx3-ubyte.gz", pack_idx(images))
        write_gz(folder / f"qmnist-{part}-labels-idx2-int.gz", pack_idx(extended))


def write_emnist(folder: Path) -> None:
    files = {}
    for part in PARTS:
        images, labels = draw(47, part, 28, 28)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            files[f"gzip/emnist-balanced-{part}-{kind}-ubyte.gz"] = gzip.compress(pack_idx(array))
    write_zip(folder / "gzip.zip", files)


def write_usps(folder: Path) -> None:
    for part, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        images, labels = draw(10, part, 256)
        lines = [
            f"{label + 1} " + " ".join(f"{place}:{value:.6f}" for place, value in enumerate(row / 127.5 - 1, 1)) + "\n"
            for row, label in zip(images, labels.astype(int), strict=True)
        ]
        (folder / name).write_bytes(bz2.compress("".join(lines).encode()))


def write_cifar10(folder: Path) -> None:
    images, labels = draw(10, "train", 3072)
    records = np.concatenate([labels[:, None], images], axis=1)
    files = {
        f"cifar-10-batches-bin/data_batch_{k + 1}.bin": part.tobytes() for k, part in enumerate(np.split(records, 5))
    }
    images, labels = draw(10, "test", 3072)
    files["cifar-10-batches-bin/test_batch.bin"] = np.concatenate([labels[:, None], images], axis=1).tobytes()
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    files["cifar-10-batches-bin/batches.meta.txt"] = (names.replace(" ", "\n") + "\n\n").encode()
    write_tar(folder / "cifar-10-binary.tar.gz", files)


def write_cifar100(folder: Path) -> None:
    files = {"cifar-100-binary/fine_label_names.txt": "\n".join(DatasetName.CIFAR100.facts.class_names).encode()}
    for part in PARTS:
        images, labels = draw(100, part, 3072)
        coarse = np.full_like(labels, 19)
        records = np.concatenate([coarse[:, None], labels[:, None], images], axis=1)
        files[f"cifar-100-binary/{part}.bin"] = records.tobytes()
    write_tar(folder / "cifar-100-binary.tar.gz", files)


def write_stl10(folder: Path) -> None:
    names = "airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n"
    files = {"stl10_binary/class_names.txt": names.encode(), "stl10_binary/unlabeled_X.bin": bytes(3 * 96 * 96)}
    for part in PARTS:
        images, labels = draw(10, part, 3, 96, 96)
        files |= {f"stl10_binary/{part}_X.bin": images.tobytes(), f"stl10_binary/{part}_y.bin": (labels + 1).tobytes()}
    write_tar(folder / "stl10_binary.tar.gz", files)


def write_gtsrb(folder: Path) -> None:
    """Two tracks of two pictures of each sign, each of a gray of its own."""
    training = {"GTSRB/Readme-Images.txt": b"read me"}
    for label in range(43):
        for track in range(2):
            for frame in range(2):
                gray = np.full((40 + frame, 30, 3), 100 * track + label, np.uint8)
                training[f"GTSRB/Training/{label:05d}/{track:05d}_{frame:05d}.ppm"] = pack_picture(gray, "PPM")
        training[f"GTSRB/Training/{label:05d}/GT-{label:05d}.csv"] = b"Filename"
    write_zip(folder / "GTSRB-Training_fixed.zip", training)
    table, test = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n", {}
    for place, label in enumerate(reversed(range(43))):
        test[f"GTSRB/Final_Test/Images/{place:05d}.ppm"] = pack_picture(np.full((20, 50, 3), label, np.uint8), "PPM")
        table += f"{place:05d}.ppm;50;20;5;5;45;15;{label}\n"
    write_zip(folder / "GTSRB_Final_Test_Images.zip", test)
    write_zip(folder / "GTSRB_Final_Test_GT.zip", {"GT-final_test.csv": table.encode()})


def write_eurosat(folder: Path) -> None:
    files = {}
    for label, name in enumerate(DatasetName.EUROSAT.facts.class_names):
        for number in range(1, 1 + PARTS["train"]):
            pixels = np.full((64, 64, 3), 10 * label + number, np.uint8)
            files[f"2750/{name}/{name}_{number}.jpg"] = pack_picture(pixels, "JPEG")
    write_zip(folder / "EuroSAT.zip", files)


def write_imagenette(folder: Path) -> None:
    """Some lying, some upright, one gray, as in ImageNet."""
    files = {"imagenette2-160/noisy_imagenette.csv": b"path"}
    wnids = sorted(official.Imagenette._WNID_TO_CLASS)
    for label, wnid in enumerate(wnids):
        for part, number in (("train", 2), ("val", 1)):
            for place in range(number):
                size = (160, 213, 3) if place else (240, 160) if label == 3 else (240, 160, 3)
                content = pack_picture(np.full(size, 20 * label, np.uint8), "JPEG")
                files[f"imagenette2-160/{part}/{wnid}/{wnid}_{place}.JPEG"] = content
    write_tar(folder / "imagenette2-160.tgz", files)


def sum_up(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _expect(download: Download, folder: Path) -> Download:
    """The same archives, with the sums of those in `folder` and no server."""
    archives = tuple(replace(archive, md5=sum_up(folder / archive.name), urls=()) for archive in download.archives)
    return replace(download, archives=archives)


def _list_resources(folder: Path, names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, sum_up(folder / Path(name).name)) for name in names]


def _build_own(module: Any) -> Callable[[Path, pytest.MonkeyPatch], Load]:
    def prepare(folder: Path, _: pytest.MonkeyPatch) -> Load:
        download = _expect(module.DOWNLOAD, folder)
        return lambda root, mirror: module.load(root, mirror, download)

    return prepare


def _build_idx(module: Any, cls: Any) -> Callable[[Path, pytest.MonkeyPatch], Load]:
    def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
        monkeypatch.setattr(cls, "resources", _list_resources(folder, [name for name, _ in cls.resources]))
        monkeypatch.setattr(cls, "mirrors", [])
        load: Load = module.load
        return load

    return prepare


NOWHERE = "http://127.0.0.1:9"
"""A port that nothing listens on: refused at once, with a network or without."""


def _prepare_qmnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    resources = {
        part: _list_resources(folder, [f"{NOWHERE}/{Path(url).name}" for url, _ in official.QMNIST.resources[part]])
        for part in PARTS
    }
    monkeypatch.setattr(official.QMNIST, "resources", resources)
    return qmnist.load


def _prepare_emnist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(official.EMNIST, "url", f"{NOWHERE}/gzip.zip")
    monkeypatch.setattr(official.EMNIST, "md5", sum_up(folder / "gzip.zip"))
    return emnist.load


def _prepare_usps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    parts = {
        part: [f"{NOWHERE}/{name}", name, sum_up(folder / name)]
        for part, (_, name, _) in official.USPS.split_list.items()
    }
    monkeypatch.setattr(official.USPS, "split_list", parts)
    return usps.load


def _prepare_stl10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.setattr(official.STL10, "url", f"{NOWHERE}/stl10_binary.tar.gz")
    monkeypatch.setattr(official.STL10, "tgz_md5", sum_up(folder / "stl10_binary.tar.gz"))
    return stl10.load


WRITERS: Mapping[str, tuple[Callable[[Path], None], Callable[[Path, pytest.MonkeyPatch], Load]]] = {
    "fashion_mnist": (write_idx_files, _build_idx(fashion_mnist, official.FashionMNIST)),
    "mnist": (write_idx_files, _build_idx(mnist, official.MNIST)),
    "kmnist": (write_idx_files, _build_idx(kmnist, official.KMNIST)),
    "qmnist": (write_qmnist, _prepare_qmnist),
    "emnist": (write_emnist, _prepare_emnist),
    "usps": (write_usps, _prepare_usps),
    "cifar10": (write_cifar10, _build_own(cifar10)),
    "cifar100": (write_cifar100, _build_own(cifar100)),
    "stl10": (write_stl10, _prepare_stl10),
    "gtsrb": (write_gtsrb, _build_own(gtsrb)),
    "eurosat": (write_eurosat, _build_own(eurosat)),
    "imagenette": (write_imagenette, _build_own(imagenette)),
}
"""Writes the archives into a folder; and what loads them, with their MD5 sums for the published ones."""
