"""Arrays of pictures: NumPy's NPZ, and IDX as MNIST has it."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.errors import InvalidDataset
from tests.worker.dataset_files.conftest import Import, write_zip
from worker.catalog import DatasetFormat, RefusalReason, SplitName

TRAIN, VALIDATION, TEST = SplitName.TRAIN, SplitName.VALIDATION, SplitName.TEST
Arrays = Mapping[str, np.ndarray[Any, Any]]


def make_pictures(number: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, (number, *shape), dtype=np.uint8)


def save_npz(path: Path, arrays: Arrays) -> Path:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def build_idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


X, Y = make_pictures(6, 9, 7), np.array([3, 12, 3, 12, 3, 12])
COLOUR = make_pictures(6, 9, 7, 3)


@pytest.mark.parametrize(
    "names",
    [("x_train", "y_train", "x_test", "y_test"), ("train_images", "train_labels", "test_images", "test_labels"),
     ("X_Train", "Y_Train", "X_Test", "Y_Test")],
    ids=["keras", "medmnist", "capitals"],
)  # fmt: skip
def test_the_arrays_of_an_npz_file_are_read_as_they_are(
    names: tuple[str, ...], import_file: Import, tmp_path: Path
) -> None:
    arrays = dict(zip(names, (X, Y, X[:2], Y[:2]), strict=True))
    summary, cache = import_file(save_npz(tmp_path / "p.npz", arrays))
    assert summary.format is DatasetFormat.NPZ
    assert (summary.class_names, summary.input_shape) == (("3", "12"), (1, 9, 7))
    assert summary.counts == {TRAIN: (3, 3), TEST: (1, 1)}
    assert (cache.splits[TRAIN].images == X[:, None]).all()
    assert cache.splits[TRAIN].labels.tolist() == [0, 1] * 3
    assert (cache.splits[TEST].images == X[:2, None]).all()


@pytest.mark.parametrize(
    ("pictures", "planes"),
    [(COLOUR, COLOUR.transpose(0, 3, 1, 2)), (COLOUR.transpose(0, 3, 1, 2).copy(), COLOUR.transpose(0, 3, 1, 2)),
     (X[..., None], X[:, None]), (X[:, None], X[:, None])],
    ids=["colours last", "colours first", "one last", "one first"],
)  # fmt: skip
def test_colours_may_stand_before_or_behind_the_pixels(
    pictures: np.ndarray[Any, Any], planes: np.ndarray[Any, Any], import_file: Import, tmp_path: Path
) -> None:
    path = save_npz(tmp_path / "p.npz", {"images": pictures, "labels": Y[:, None]})
    summary, cache = import_file(path, test_fraction=0.34)
    assert summary.is_test_drawn
    assert summary.counts == {TRAIN: (2, 2), TEST: (1, 1)}
    found = np.concatenate([cache.splits[split].images for split in (TRAIN, TEST)])
    assert sorted(map(bytes, found)) == sorted(map(bytes, planes))


def test_an_npz_file_may_name_its_classes(import_file: Import, tmp_path: Path) -> None:
    names = np.array(["zebra", "never seen", "ant"])
    labels = np.array([2, 0] * 3)
    summary, cache = import_file(
        save_npz(tmp_path / "p.npz", {"x_train": X, "y_train": labels, "x_test": X, "y_test": labels, "classes": names})
    )
    assert summary.class_names == ("zebra", "ant")
    assert cache.splits[TRAIN].labels.tolist() == [1, 0] * 3
    path = save_npz(tmp_path / "p.npz", {"x": X, "y": np.array(["dog", "cat"] * 3), "note": Y})
    summary, _ = import_file(path)
    assert summary.class_names == ("cat", "dog")
    assert [(group.reason, group.names) for group in summary.refused] == [(RefusalReason.UNKNOWN_SUFFIX, ("note.npy",))]


def test_numbers_of_all_splits_count_into_the_names_or_are_names(import_file: Import, tmp_path: Path) -> None:
    """Those of the test split alone, 1 and 2, would be names."""
    names = np.array(["1", "2", "3"])
    for train, test, found in (
        ([0, 1, 2] * 2, [1, 2] * 3, [1, 2] * 3),
        ([1, 2, 3] * 2, [1, 2] * 3, [0, 1] * 3),
    ):
        arrays = {"x_train": X, "y_train": np.array(train), "x_test": X, "y_test": np.array(test), "classes": names}
        summary, cache = import_file(save_npz(tmp_path / "p.npz", arrays))
        assert summary.class_names == ("1", "2", "3")
        assert cache.splits[TRAIN].labels.tolist() == [0, 1, 2] * 2
        assert cache.splits[TEST].labels.tolist() == found


def test_two_classes_may_be_a_sign(import_file: Import, tmp_path: Path) -> None:
    summary, _ = import_file(save_npz(tmp_path / "p.npz", {"x": X, "y": np.array([-1, 1, -1, 1, -1, 1])}))
    assert set(summary.class_names) == {"-1", "1"}


def test_arrays_are_resized_like_pictures(import_file: Import, tmp_path: Path) -> None:
    blocks = np.repeat(np.repeat(make_pictures(6, 8, 8), 2, 1), 2, 2)
    path = save_npz(tmp_path / "p.npz", {"x_train": blocks, "y_train": Y, "x_test": X, "y_test": Y})
    _, cache = import_file(path, size=8)
    assert (cache.splits[TRAIN].images == blocks[:, None, ::2, ::2]).all()
    assert cache.splits[TEST].images.shape == (6, 1, 8, 8)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


def write_npy(shape: str, descr: str = "'|u1'", order: str = "False", data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
    ("arrays", "field"),
    [
        ({"x_train": X}, "file"),
        ({"x_train": X, "y_test": Y}, "file"),
        ({"weights": X}, "file"),
        ({"x": X, "images": X, "y": Y}, "file"),
        ({"x": X.astype(np.float32), "y": Y}, "pictures"),
        ({"x": X[0], "y": Y}, "pictures"),
        ({"x": X.reshape(6, -1), "y": Y}, "pictures"),
        ({"x": make_pictures(6, 9, 7, 4), "y": Y}, "pictures"),
        ({"x": X[:0], "y": Y[:0]}, "pictures"),
        ({"x": X, "y": Y[:5]}, "classes"),
        ({"x": X, "y": Y / 2}, "classes"),
        ({"x": X, "y": np.eye(6)}, "classes"),
        ({"x": X, "y": np.zeros(6, int)}, "classes"),
        ({"x": X, "y": np.arange(6) % 3 - 1}, "classes"),
        ({"x": X, "y": Y, "classes": np.array(["a", "b"])}, "classes"),
        ({"x": X, "y": Y % 2, "classes": np.array(["a", "a"])}, "classes"),
        ({"x": np.asfortranarray(X), "y": Y}, "file"),
    ],
    ids=["no labels", "labels of another split", "no such name", "pictures twice", "float", "one picture", "flat",
         "four channels", "none", "too few labels", "fractions", "one-hot", "one class", "below 0", "unnamed class",
         "a name twice", "columns first"],
)  # fmt: skip
def test_arrays_that_are_no_data_set_are_one_error_that_names_the_field(
    arrays: Arrays, field: str, import_file: Import, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataset) as caught:
        import_file(save_npz(tmp_path / "p.npz", arrays))
    assert caught.value.field == field
    assert [file.name for file in tmp_path.iterdir()] == ["p.npz"]


@pytest.mark.parametrize(
    "pictures",
    [
        b"", b"\x93NUMPY", write_npy("(6, 9, 7)"), write_npy("(6, 9, 7)", data=X.tobytes()[:-1]),
        write_npy("(6, 9, 7)", data=X.tobytes() + b"\0"), write_npy("(-6, 9, -7)", data=X.tobytes()),
        write_npy("(6, 9, 7)", "'|O'", data=pickle.dumps(Hostile())), write_npy("(1, 2", data=b"\0"),
        write_npy("(" * 5000, data=b"\0"),
        write_npy("(6, 9, 7)", "[('a', '|u1')]", data=X.tobytes()), b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        write_npy("(280_000, 1_000, 2_800)"), write_npy("(6, 9, 7)", "__import__('os')", data=X.tobytes()),
    ],
    ids=["nothing", "cut", "header alone", "short", "long", "negative", "pickle", "syntax", "brackets",
         "record", "long header", "784 GB", "code"],
)  # fmt: skip
def test_an_array_that_lies_is_refused_by_its_header(pictures: bytes, import_file: Import, tmp_path: Path) -> None:
    labels = io.BytesIO()
    np.save(labels, Y)
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.npz", {"x.npy": pictures, "y.npy": labels.getvalue()}))
    assert caught.value.field in ("file", "pictures")


@pytest.mark.parametrize("is_packed", [False, True])
def test_idx_files_are_read_as_mnist_has_them(is_packed: bool, import_file: Import, tmp_path: Path) -> None:
    files = {
        "mnist/train-images-idx3-ubyte": X, "mnist/train-labels-idx1-ubyte": Y.astype(np.uint8),
        "mnist/t10k-images-idx3-ubyte": X[:2], "mnist/t10k-labels-idx1-ubyte": Y[:2].astype(np.uint8),
    }  # fmt: skip
    entries = {name: build_idx(array) for name, array in files.items()}
    if is_packed:
        entries = {f"{name}.gz": gzip.compress(content) for name, content in entries.items()}
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.format is DatasetFormat.IDX
    assert (summary.class_names, summary.counts) == (("3", "12"), {TRAIN: (3, 3), TEST: (1, 1)})
    assert (cache.splits[TRAIN].images == X[:, None]).all()
    assert (cache.splits[TEST].images == X[:2, None]).all()


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    "change",
    [lambda content: content[:-1], lambda content: content + b"\0", lambda content: content[:6],
     lambda content: b"\0\0\x0d" + content[3:], lambda content: content[:0],
     lambda content: b"\0\0\x08\x09" + content[4:],
     lambda content: content[:4] + b"\xff" * 12 + content[16:]],
    ids=["short", "long", "header cut", "floats", "empty", "nine dimensions", "2^96"],
)  # fmt: skip
def test_idx_sizes_must_be_exact(change: Any, is_packed: bool, import_file: Import, tmp_path: Path) -> None:
    entries = {
        "train-images-idx3-ubyte": change(build_idx(X)),
        "train-labels-idx1-ubyte": build_idx(Y.astype(np.uint8)),
    }
    if is_packed:
        entries = {f"{name}.gz": gzip.compress(content) for name, content in entries.items()}
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", entries))
    assert caught.value.field in ("file", "pictures")


def test_idx_pictures_without_their_labels_are_refused(import_file: Import, tmp_path: Path) -> None:
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", {"train-images-idx3-ubyte": build_idx(X)}))
    assert caught.value.field == "file"
