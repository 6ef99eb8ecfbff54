from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torchvision.datasets import FashionMNIST

from storage.errors import DatasetUnavailable
from tests.needs import NO_FASHION_MNIST, find_fashion_mnist
from worker.dataset_location import DatasetLocation
from worker.datasets import Dataset, count_classes, load_dataset, take_samples

ARCHIVES = [name for name, _ in FashionMNIST.resources]


@pytest.fixture(scope="module")
def archives() -> Path:
    """A folder of the four original files."""
    place = find_fashion_mnist()
    if place is None:
        pytest.skip(NO_FASHION_MNIST)
    return place


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    # A port that nothing listens on: refused at once, with a network or without.
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])


def as_rows(*splits: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for images in splits for row in images.flatten(1).tolist()]


def test_the_parts_of_digits_are_all_of_scikit_learns_pictures_once(digits: Dataset) -> None:
    assert [len(split) for split in (digits.train, digits.validation, digits.test)] == [1287, 150, 360]
    counts = sum(torch.bincount(split.labels) for split in (digits.train, digits.validation, digits.test))
    # Published with the data set.
    assert torch.as_tensor(counts).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    rows = as_rows(digits.train.images, digits.validation.images, digits.test.images)
    assert len(set(rows)) == len(rows)


def test_what_a_report_shows_of_digits_is_counted_by_class_and_taken_from_training(digits: Dataset) -> None:
    counts = count_classes(digits)
    assert {split: sum(of) for split, of in counts.items()} == {"train": 1287, "validation": 150, "test": 360}
    # Published with the data set.
    assert [sum(of) for of in zip(*counts.values(), strict=True)] == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    samples = take_samples(digits, 3)
    assert [len(pictures) for pictures in samples] == [3] * 10
    first = digits.train.images[(digits.train.labels == 7).nonzero()[0, 0], 0]
    assert samples[7][0].tolist() == first.tolist()


def test_validation_is_stratified(digits: Dataset) -> None:
    assert set(torch.bincount(digits.validation.labels).tolist()) <= {14, 15, 16}


def test_the_split_follows_its_seed_and_the_test_set_never_changes(digits: Dataset) -> None:
    again = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=0)
    other = load_dataset("digits", DatasetLocation(Path("unused")), split_seed=1)
    assert torch.equal(again.validation.images, digits.validation.images)
    assert not torch.equal(other.validation.images, digits.validation.images)
    assert torch.equal(other.test.images, digits.test.images)


def test_a_pixel_enters_as_the_formula_says(digits: Dataset) -> None:
    x = digits.normalize(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))
    expected = [(p - digits.mean[0]) / digits.std[0] for p in (0.0, 0.2, 1.0)]
    assert x.flatten().tolist() == pytest.approx(expected, rel=1e-6)
    pixels = digits.normalize(digits.train.images)
    assert abs(float(pixels.mean())) < 0.05
    assert float(pixels.std()) == pytest.approx(1, abs=0.05)


def test_fewer_training_examples_leave_validation_and_test_alone(digits: Dataset) -> None:
    limited = digits.limit_train(100)
    assert len(limited.train) == 100
    assert limited.validation is digits.validation
    assert digits.limit_train(None) is digits
    assert digits.limit_train(10**6) is digits


@pytest.mark.slow
def test_a_folder_as_mirror_fills_the_dataset_folder_once(
    archives: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")  # where nothing is downloaded, torchvision says nothing: no empty line of it
    data = load_dataset("fashion_mnist", DatasetLocation(tmp_path, str(archives)), split_seed=0)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [55_000, 5000, 10_000]
    assert torch.bincount(data.validation.labels).tolist() == [500] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.input_shape == (1, 28, 28)
    assert data.class_names[9] == "Ankle boot"
    assert [path.name for path in tmp_path.iterdir()] == ["FashionMNIST"]
    assert all(record.getMessage().strip() for record in caplog.records)
    again = load_dataset("fashion_mnist", DatasetLocation(tmp_path), split_seed=0)
    assert torch.equal(again.validation.images, data.validation.images)


@pytest.mark.usefixtures("_no_network")
def test_without_any_source_the_error_names_both_settings_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DatasetUnavailable, match=r"(?s)TONOK_DATASET_MIRROR.*TONOK_DATASET_DIR"):
        load_dataset("fashion_mnist", DatasetLocation(tmp_path / "root"), split_seed=0)
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("_no_network")
def test_a_mirror_with_a_broken_file_leaves_nothing_behind(archives: Path, tmp_path: Path) -> None:
    mirror, root = tmp_path / "mirror", tmp_path / "root"
    mirror.mkdir()
    for name in ARCHIVES:
        shutil.copyfile(archives / name, mirror / name)
    broken = mirror / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(broken.read_bytes())
    content[2000] ^= 1
    broken.write_bytes(content)
    with pytest.raises(DatasetUnavailable):
        load_dataset("fashion_mnist", DatasetLocation(root, str(mirror)), split_seed=0)
    assert list(root.iterdir()) == []
