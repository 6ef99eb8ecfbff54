"""The data sets that torchvision knows: read from small archives in the formats of the published ones."""

from __future__ import annotations

import gzip
import re
import tarfile
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets as official
from pydantic import ValidationError

from storage.errors import DatasetUnavailable
from tests.worker.datasets.small_archives import PARTS, WRITERS, Load, draw
from worker.catalog import DatasetName
from worker.checkpoint_facts import is_class_name
from worker.dataset_facts import fold_name
from worker.dataset_location import DatasetLocation
from worker.datasets import cifar10, cifar100, load_dataset
from worker.datasets.imagenette import WORDNET
from worker.jobs.train import TrainSpec

DOWNLOADED = sorted(WRITERS)


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return folder


def prepare(name: str, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    write, build_load = WRITERS[name]
    write(mirror)
    return build_load(mirror, monkeypatch)


def test_every_data_set_that_is_downloaded_is_tested_here() -> None:
    assert {*DOWNLOADED, "digits"} == set(DatasetName)


@pytest.mark.parametrize("name", DOWNLOADED)
def test_what_is_loaded_is_what_its_facts_say_and_the_mirror_is_needed_once(
    name: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, facts, root = prepare(name, mirror, monkeypatch), DatasetName(name).facts, tmp_path / "root"
    raw = load(root, str(mirror))
    again = load(root, None)
    for loaded in (raw, again):
        assert loaded.class_names == facts.class_names
        assert loaded.is_mirrorable == facts.is_mirrorable
        for split in (loaded.train, loaded.test):
            assert tuple(split.images.shape[1:]) == facts.input_shape
            assert split.images.dtype == torch.uint8
            assert split.labels.dtype == torch.int64
            assert set(split.labels.tolist()) == set(range(len(facts.class_names)))
    assert torch.equal(again.train.images, raw.train.images)
    assert not list(root.rglob(".*"))  # nothing that is half done
    assert len(raw.std) == 1
    assert all(0 <= mean <= 1 for mean in raw.mean)
    if name != "fashion_mnist":  # which keeps what was written down of it
        assert len(raw.mean) == facts.input_shape[0]
        assert all(255 * mean == pytest.approx(round(255 * mean), abs=1e-9) for mean in raw.mean)
        pixels = raw.train.images.double() / 255
        expected = [float(mean) for mean in pixels.mean(dim=(0, 2, 3))]
        assert list(raw.mean) == pytest.approx(expected, abs=0.5 / 255 + 1e-9)
        deviation = float(pixels.var(dim=(0, 2, 3), correction=0).mean().sqrt())
        assert raw.std[0] == pytest.approx(deviation, abs=6e-5)


def test_the_digits_are_what_their_facts_say(tmp_path: Path) -> None:
    data, facts = load_dataset("digits", DatasetLocation(tmp_path), 0), DatasetName.DIGITS.facts
    assert (data.input_shape, data.class_names, data.is_mirrorable) == (
        facts.input_shape, facts.class_names, facts.is_mirrorable,
    )  # fmt: skip


@pytest.mark.parametrize("name", DOWNLOADED)
def test_what_cannot_be_had_is_told_with_what_to_do_and_leaves_nothing(
    name: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, root = prepare(name, mirror, monkeypatch), tmp_path / "root"
    last = max(mirror.iterdir())
    content = last.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    for broken in (bytes(changed), content[: len(content) // 2], None):
        last.unlink(missing_ok=True)
        if broken is not None:
            last.write_bytes(broken)
        with pytest.raises(DatasetUnavailable, match=r"(?s)TONOK_DATASET_MIRROR.*TONOK_DATASET_DIR"):
            load(root, str(mirror))
        assert list(root.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in DOWNLOADED if name not in ("fashion_mnist", "kmnist", "qmnist")])
def test_an_archive_that_holds_something_else_is_told_and_leaves_nothing_decoded(
    name: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, build_load = WRITERS[name]
    write(mirror)
    first = min(mirror.iterdir())
    if first.suffix == ".zip":
        with zipfile.ZipFile(first, "w") as file:
            file.writestr("other.txt", "other")
    elif first.name.endswith((".tar.gz", ".tgz")):
        tarfile.open(first, "w:gz").close()
    else:
        first.write_bytes(b"neither gzip nor bzip2")
    load, root = build_load(mirror, monkeypatch), tmp_path / "root"  # its sum is now the expected one
    with pytest.raises(DatasetUnavailable, match="not what is expected"):
        load(root, str(mirror))
    kept = {path.name for path in root.rglob("*") if path.is_file()}
    assert kept == {path.name for path in mirror.iterdir()}  # the archives, and nothing of their pictures


def test_a_mirror_may_have_a_folder_for_each_data_set_and_sums_tell_files_of_one_name_apart(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mirror / "MNIST").mkdir()
    load = prepare("mnist", mirror / "MNIST", monkeypatch)
    for path in (mirror / "MNIST").iterdir():
        (mirror / path.name).write_bytes(b"of another data set")
    raw = load(tmp_path / "root", str(mirror))
    images, labels = draw(10, "train", 28, 28)
    assert np.array_equal(raw.train.images[:, 0].numpy(), images)
    assert np.array_equal(raw.train.labels.numpy(), labels)
    assert sorted(path.name for path in (tmp_path / "root" / "MNIST" / "raw").iterdir()) == sorted(
        path.name for path in (mirror / "MNIST").iterdir()
    )


@pytest.mark.parametrize("folder", ["", "USPS"])
def test_an_address_as_mirror_serves_archives_directly_or_in_their_folder(
    folder: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = mirror / folder
    place.mkdir(exist_ok=True)
    load = prepare("usps", place, monkeypatch)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=mirror)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            raw = load(tmp_path / "root", f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()
    assert raw.test.labels.tolist() == draw(10, "test", 256)[1].tolist()
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["USPS"]


def test_a_data_set_of_the_catalogue_is_split_like_any_other(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("mnist", mirror, monkeypatch)
    data = load_dataset("mnist", DatasetLocation(tmp_path / "root", str(mirror)), split_seed=0)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [30, 10, 10]
    assert torch.bincount(data.validation.labels).tolist() == [1] * 10


def test_the_manual_lists_the_catalogue() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "using.md").read_text(encoding="utf-8")
    for name in DatasetName:
        shape = "×".join(map(str, name.facts.input_shape))
        row = rf"\| `{name}` \| [^|]+ \| {shape} \| {len(name.facts.class_names)} \| {name.facts.num_pictures:,} \|"
        assert re.search(row, manual), name


def test_files_that_torchvision_unpacked_serve_without_their_archives(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = prepare("mnist", mirror, monkeypatch)
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for path in mirror.iterdir():
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert np.array_equal(load(tmp_path, None).test.images[:, 0].numpy(), draw(10, "test", 28, 28)[0])


@pytest.mark.parametrize("train", [True, False])
def test_qmnist_emnist_usps_and_stl10_are_read_as_torchvision_reads_them(
    train: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = "train" if train else "test"
    raws: dict[str, tuple[Any, Any]] = {}
    for name in ("qmnist", "emnist", "usps", "stl10"):
        folder = tmp_path / name
        folder.mkdir()
        raw = prepare(name, folder, monkeypatch)(folder, str(folder))
        raws[name] = getattr(raw, part).images, getattr(raw, part).labels
    for folder in (tmp_path / "emnist" / "EMNIST" / "raw", tmp_path / "qmnist" / "QMNIST" / "raw"):
        folder.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "emnist" / "gzip.zip") as file:
        for member in file.namelist():
            path = tmp_path / "emnist" / "EMNIST" / "raw" / Path(member).stem
            path.write_bytes(gzip.decompress(file.read(member)))
    emnist = official.EMNIST(tmp_path / "emnist", "balanced", train=train)
    assert torch.equal(raws["emnist"][0][:, 0], emnist.data.transpose(1, 2))  # upright
    assert torch.equal(raws["emnist"][1], emnist.targets)
    for path in (tmp_path / "qmnist").glob("*.gz"):
        (tmp_path / "qmnist" / "QMNIST" / "raw" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    qmnist = official.QMNIST(tmp_path / "qmnist", train=train)
    assert torch.equal(raws["qmnist"][0][:, 0], qmnist.data)
    assert torch.equal(raws["qmnist"][1], qmnist.targets[:, 0])
    usps = official.USPS(tmp_path / "usps", train=train)
    assert np.array_equal(raws["usps"][0][:, 0].numpy(), usps.data)
    assert raws["usps"][1].tolist() == usps.targets
    with tarfile.open(tmp_path / "stl10" / "stl10_binary.tar.gz") as tar:
        tar.extractall(tmp_path / "stl10", filter="data")
    monkeypatch.setattr(official.STL10, "train_list", [[name, None] for name, _ in official.STL10.train_list])
    monkeypatch.setattr(official.STL10, "test_list", [[name, None] for name, _ in official.STL10.test_list])
    stl10 = official.STL10(tmp_path / "stl10", part)
    assert np.array_equal(raws["stl10"][0].numpy(), stl10.data)
    assert raws["stl10"][1].tolist() == stl10.labels.tolist()


@pytest.mark.parametrize(("name", "num_classes"), [("cifar10", 10), ("cifar100", 100)])
def test_a_record_of_cifar_is_the_finest_label_and_three_planes(
    name: str, num_classes: int, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = prepare(name, mirror, monkeypatch)(tmp_path / "root", str(mirror))
    for part, split in (("train", raw.train), ("test", raw.test)):
        images, labels = draw(num_classes, part, 3, 32, 32)
        assert np.array_equal(split.images.numpy(), images)
        assert np.array_equal(split.labels.numpy(), labels)


def test_signs_validate_by_whole_tracks_and_are_stretched(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = prepare("gtsrb", mirror, monkeypatch)(tmp_path / "root", str(mirror))
    assert raw.validation is not None
    # A picture's gray is 100 times its track and its class.
    tracks = [
        {
            (label, int(picture[0, 0, 0]) // 100)
            for picture, label in zip(split.images, split.labels.tolist(), strict=True)
        }
        for split in (raw.train, raw.validation)
    ]
    assert tracks[0] & tracks[1] == set()
    assert len(tracks[0]) == len(tracks[1]) == 43
    assert len(raw.train) == len(raw.validation) == 2 * 43
    assert torch.equal(raw.test.images, raw.test.labels.view(-1, 1, 1, 1).expand(-1, 3, 32, 32).to(torch.uint8))


def test_of_eurosat_the_same_pictures_of_each_class_are_set_aside(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = prepare("eurosat", mirror, monkeypatch)
    one, other = (load(tmp_path / name, str(mirror)) for name in ("one", "other"))
    assert torch.bincount(one.test.labels).tolist() == [1] * 10
    assert torch.bincount(one.train.labels).tolist() == [PARTS["train"] - 1] * 10
    assert torch.equal(one.test.images, other.test.images)


def test_decoded_pictures_serve_without_archives_and_a_damaged_file_of_them_is_made_anew(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, root = prepare("imagenette", mirror, monkeypatch), tmp_path / "root"
    raw = load(root, str(mirror))
    images = raw.train.images.clone()
    (decoded,) = root.rglob("decoded-*.safetensors")
    (archive,) = root.rglob("*.tgz")
    content = archive.read_bytes()
    archive.unlink()
    assert torch.equal(load(root, None).train.images, images)
    decoded.unlink()  # which leaves it to those who have it mapped
    decoded.write_bytes(b"damaged")
    archive.write_bytes(content)
    assert torch.equal(load(root, None).train.images, images)
    assert raw.resize is not None
    assert (raw.resize.height, raw.resize.width) == (128, 128)


def test_the_facts_are_those_of_torchvision() -> None:
    facts = {name.value: name.facts for name in DatasetName}
    for name, cls in (("mnist", official.MNIST), ("qmnist", official.QMNIST)):
        assert [f"{digit} - " for digit in facts[name].class_names] == [said[:4] for said in cls.classes]
    assert facts["kmnist"].class_names == tuple(official.KMNIST.classes)
    assert facts["fashion_mnist"].class_names == tuple(official.FashionMNIST.classes)
    balanced = official.EMNIST.classes_split_dict["balanced"]
    assert [name.removeprefix("lowercase ") for name in facts["emnist"].class_names] == balanced
    assert all(name.startswith("lowercase ") == letter.islower()
               for name, letter in zip(facts["emnist"].class_names, balanced, strict=True))  # fmt: skip
    wordnet = official.Imagenette._WNID_TO_CLASS
    assert tuple(sorted(wordnet)) == WORDNET
    assert facts["imagenette"].class_names == tuple(wordnet[key][0] for key in WORDNET)
    # Published with the data sets; those of the pickled CIFAR are named in its archive only.
    sizes = {name: (len(of.class_names), of.num_pictures) for name, of in facts.items()}
    assert sizes == {
        "fashion_mnist": (10, 60_000 + 10_000), "digits": (10, 1_797), "mnist": (10, 60_000 + 10_000),
        "kmnist": (10, 60_000 + 10_000), "emnist": (47, 112_800 + 18_800), "qmnist": (10, 60_000 + 60_000),
        "usps": (10, 7_291 + 2_007), "cifar10": (10, 50_000 + 10_000), "cifar100": (100, 50_000 + 10_000),
        "stl10": (10, 5_000 + 8_000), "gtsrb": (43, 26_640 + 12_630), "eurosat": (10, 27_000),
        "imagenette": (10, 9_469 + 3_925),
    }  # fmt: skip
    assert [*facts["cifar100"].class_names] == sorted(facts["cifar100"].class_names)


def test_the_binary_archives_lie_beside_the_pickled_ones_of_torchvision() -> None:
    for module, cls in ((cifar10, official.CIFAR10), (cifar100, official.CIFAR100)):
        assert module.DOWNLOAD.archives[0].urls == (cls.url.replace("-python", "-binary"),)
        assert module.DOWNLOAD.archives[0].md5 != cls.tgz_md5


def test_an_architecture_for_which_the_pictures_are_too_small_is_refused() -> None:
    assert TrainSpec(dataset="usps", architecture="lenet5").dataset == "usps"
    assert TrainSpec(dataset="cifar10", architecture="torchvision:squeezenet1_1").dataset == "cifar10"
    with pytest.raises(ValidationError, match="too small"):
        TrainSpec(dataset="usps", architecture="torchvision:squeezenet1_1")


@pytest.mark.parametrize("name", list(DatasetName))
def test_no_two_classes_of_a_data_set_are_found_by_one_name(name: DatasetName) -> None:
    names = name.facts.class_names
    assert all(map(is_class_name, names))
    assert len({fold_name(said) for said in names}) == len(names)
