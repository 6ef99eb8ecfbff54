"""Folders of classes in a zip file: what is found, what is refused, and how it is split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from storage.errors import InvalidDataset
from tests.worker.dataset_files.conftest import Import, draw_picture, read_corner, write_zip
from worker.catalog import Conversion, DatasetFormat, DatasetWarning, RefusalReason, SplitName
from worker.dataset_files.summary import DatasetSummary

TRAIN, VALIDATION, TEST = SplitName.TRAIN, SplitName.VALIDATION, SplitName.TEST
RED, GREEN, BLUE = (200, 10, 10), (10, 200, 10), (10, 10, 200)


def build_split(prefix: str, levels: Mapping[str, list[int]]) -> dict[str, bytes]:
    """Gray pictures, each known by its level."""
    return {
        f"{prefix}{name}/{place}.png": draw_picture(level)
        for name, of_class in levels.items()
        for place, level in enumerate(of_class)
    }


def list_notices(summary: DatasetSummary) -> list[tuple[DatasetWarning, SplitName | None, int, tuple[str, ...]]]:
    """Code, split, how many, and of which classes."""
    return [(notice.code, notice.split, notice.count, notice.class_names) for notice in summary.notices]


def list_refused(summary: DatasetSummary) -> dict[RefusalReason, tuple[int, tuple[str, ...]]]:
    return {group.reason: (group.count, group.names) for group in summary.refused}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set/", "test_set/"),
        ("training_set/training_set/", "test_set/test_set/"),
        ("train_images/", "test_images/"),
        ("seg_train/seg_train/", "seg_test/seg_test/"),
        ("Images-Train/", "Images-Test/"),
    ],
)
def test_a_split_is_known_by_its_word_among_those_that_say_nothing(
    train: str, test: str, import_file: Import, tmp_path: Path
) -> None:
    entries = build_split(train, {"dog": [30, 31], "cat": [20, 21]}) | build_split(test, {"dog": [50], "cat": [51]})
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.class_names == ("cat", "dog")
    assert summary.counts == {TRAIN: (2, 2), TEST: (1, 1)}
    assert not summary.is_test_drawn


@pytest.mark.parametrize("names", [("train1", "train2"), ("steam train", "bullet train"), ("set", "images")])
def test_what_only_holds_the_word_is_a_class(names: tuple[str, str], import_file: Import, tmp_path: Path) -> None:
    levels = dict(zip(names, ([20, 21, 22], [30, 31, 32]), strict=True))
    summary, _ = import_file(write_zip(tmp_path / "p.zip", build_split("", levels)))
    assert set(summary.class_names) == set(names)


def test_splits_may_lie_within_the_classes(import_file: Import, tmp_path: Path) -> None:
    entries = {
        f"{name}/{split}/{place}.png": draw_picture(level + place)
        for name, level in (("cat", 20), ("dog", 120))
        for split, number in (("train", 3), ("val", 1), ("test", 2))
        for place in range(number)
    }
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.class_names == ("cat", "dog")
    assert summary.counts == {TRAIN: (3, 3), VALIDATION: (1, 1), TEST: (2, 2)}


def test_what_programs_keep_in_hidden_folders_is_no_class(import_file: Import, tmp_path: Path) -> None:
    entries = build_split("", {"dog": [30, 31, 32], "cat": [20, 21, 22], ".ipynb_checkpoints": [9, 9]})
    entries |= {"cat/.ipynb_checkpoints/0-checkpoint.png": draw_picture(20)}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.class_names == ("cat", "dog")
    assert summary.num_ignored == 3
    assert sum(map(sum, summary.counts.values())) == 6


@pytest.mark.parametrize("wrapper", ["", "pictures/", "a/b/"])
def test_splits_come_as_they_are_and_each_picture_keeps_its_label(
    wrapper: str, import_file: Import, tmp_path: Path
) -> None:
    entries = (
        build_split(wrapper + "train/", {"dog": [30, 31, 32], "cat": [20, 21]})
        | build_split(wrapper + "val/", {"cat": [40], "dog": [41]})
        | build_split(wrapper + "Test/", {"dog": [50], "cat": [51, 52]})
    )
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.format is DatasetFormat.CLASS_FOLDERS
    assert summary.class_names == cache.facts.class_names == ("cat", "dog")
    assert summary.input_shape == (1, 8, 8)
    assert summary.counts == {TRAIN: (2, 3), VALIDATION: (1, 1), TEST: (2, 1)}
    assert not summary.is_test_drawn
    assert (summary.refused, summary.warnings, summary.num_ignored) == ((), (), 0)
    corners = {split: read_corner(cache.splits[split].images) for split in cache.splits}
    labels = {split: cache.splits[split].labels.tolist() for split in cache.splits}
    assert corners == {TRAIN: [[20], [21], [30], [31], [32]], VALIDATION: [[40], [41]], TEST: [[51], [52], [50]]}
    assert labels == {TRAIN: [0, 0, 1, 1, 1], VALIDATION: [0, 1], TEST: [0, 0, 1]}


def test_means_and_deviations_are_those_of_the_training_pictures_by_channel(
    import_file: Import, tmp_path: Path
) -> None:
    entries = {
        "train/a/1.png": draw_picture(RED), "train/b/1.png": draw_picture(BLUE), "test/a/1.png": draw_picture(GREEN)
    }  # fmt: skip
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries))
    samples = cache.splits[TRAIN].images / 255
    assert summary.input_shape == (3, 8, 8)
    assert summary.mean == pytest.approx(samples.mean((0, 2, 3)), abs=1e-12)
    assert summary.std == pytest.approx(samples.std((0, 2, 3)), abs=1e-12)
    # By hand: 63 of 64 pixels are coloured in each.
    assert summary.mean[0] == pytest.approx(63 / 64 * (200 + 10) / 2 / 255)


def test_without_a_test_split_one_is_drawn_of_each_class_and_the_seed_decides(
    import_file: Import, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "p.zip", build_split("", {"a": [*range(40)], "b": [*range(100, 120)], "c": [200, 201]}))
    summary, cache = import_file(path, test_fraction=0.25)
    assert summary.is_test_drawn
    assert summary.counts == {TRAIN: (30, 15, 1), TEST: (10, 5, 1)}
    drawn = read_corner(cache.splits[TEST].images)
    assert sorted(drawn + read_corner(cache.splits[TRAIN].images)) == [
        [level] for level in [*range(40), *range(100, 120), 200, 201]
    ]
    again, cache = import_file(path, test_fraction=0.25)
    assert again == summary
    other, cache = import_file(path, test_fraction=0.25, seed=1)
    assert read_corner(cache.splits[TEST].images) != drawn
    assert other.counts == summary.counts


def test_a_class_of_one_picture_is_trained_on_and_its_absence_from_test_is_told(
    import_file: Import, tmp_path: Path
) -> None:
    path = write_zip(tmp_path / "p.zip", build_split("", {"many": [1, 2, 3, 4], "single": [9]}))
    summary, _ = import_file(path)
    assert summary.counts == {TRAIN: (3, 1), TEST: (1, 0)}
    assert list_notices(summary) == [
        (DatasetWarning.CLASS_WITHOUT_PICTURES, TEST, 1, ("single",)),
        (DatasetWarning.CLASS_OF_ONE_PICTURE, TRAIN, 1, ("single",)),
    ]
    assert summary.warnings == tuple(notice.detail for notice in summary.notices)


def test_with_a_validation_split_of_its_own_it_is_its_absence_there_that_is_told(
    import_file: Import, tmp_path: Path
) -> None:
    entries = build_split("train/", {"many": [1, 2], "single": [9]}) | build_split(
        "test/", {"many": [3], "single": [4]}
    )
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries | build_split("val/", {"many": [5]})))
    assert list_notices(summary) == [(DatasetWarning.CLASS_WITHOUT_PICTURES, VALIDATION, 1, ("single",))]


@pytest.mark.parametrize("folders", [("train",), ("train", "test"), ("Training", "val", "TEST")])
def test_folders_of_splits_without_any_of_classes_are_not_taken_for_classes(
    folders: tuple[str, ...], import_file: Import, tmp_path: Path
) -> None:
    entries = build_split("pictures/", {name: [1, 2, 3] for name in folders})
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", entries))
    assert caught.value.field == "classes"


def test_a_folder_called_like_a_split_beside_others_is_a_class_and_that_is_told(
    import_file: Import, tmp_path: Path
) -> None:
    entries = build_split("", {"car": [1, 2, 3], "train": [4, 5, 6]})
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.class_names == ("car", "train")
    assert list_notices(summary) == [(DatasetWarning.SPLIT_NAME_AS_CLASS, None, 1, ("train",))]
    within = {f"{split}/{name}": content for name, content in entries.items() for split in ("train", "test")}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", within))
    assert summary.counts == {TRAIN: (3, 3), TEST: (3, 3)}
    assert DatasetWarning.SPLIT_NAME_AS_CLASS not in [notice.code for notice in summary.notices]


def test_a_split_without_folders_of_classes_is_told_and_not_used(import_file: Import, tmp_path: Path) -> None:
    entries = build_split("train/", {"a": [1, 2, 3], "b": [4, 5, 6]}) | build_split("", {"test": [7, 8]})
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.is_test_drawn
    assert summary.counts == {TRAIN: (2, 2), TEST: (1, 1)}
    assert list_notices(summary) == [
        (DatasetWarning.SPLIT_WITHOUT_CLASSES, TEST, 2, ()), (DatasetWarning.REFUSED, None, 2, ())
    ]  # fmt: skip


def test_test_pictures_that_are_trained_on_too_are_counted(import_file: Import, tmp_path: Path) -> None:
    entries = build_split("train/", {"a": [1, 2, 3], "b": [4, 4]}) | build_split("test/", {"a": [2, 4, 9], "b": [4, 5]})
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    assert summary.num_shared == 3  # 2, and 4 twice, under whatever label
    assert any(warning.startswith("3 test pictures") for warning in summary.warnings)


def test_numbers_are_sorted_as_numbers_in_classes_and_pictures(import_file: Import, tmp_path: Path) -> None:
    entries = build_split("train/", {"10": [1] * 2, "9": [2], "1": [3], "a10": [4], "a9": [5], "a": [6]})
    entries |= {"train/9/10.png": draw_picture(72), "train/9/9.png": draw_picture(71)}
    summary, cache = import_file(write_zip(tmp_path / "p.zip", entries | build_split("test/", {"9": [1]})))
    assert summary.class_names == ("1", "9", "10", "a", "a9", "a10")
    nines = cache.splits[TRAIN].labels == 1
    assert read_corner(cache.splits[TRAIN].images[nines]) == [[2], [71], [72]]


def test_what_becomes_no_picture_is_counted_by_reason_and_named(import_file: Import, tmp_path: Path) -> None:
    entries = build_split("train/", {"a": [1, 2], "b": [3]}) | build_split("test/", {"a": [4], "stranger": [5]})
    entries |= {
        "train/a/notes.txt": b"by hand", "train/a/photo.heic": b"\0", "train/loose.png": draw_picture(1),
        "cover.png": draw_picture(1), "train/b/broken.jpg": b"\xff\xd8\xff nothing", "train/b/empty.png": b"",
        "__MACOSX/train/a/._1.png": b"\0", "train/.DS_Store": b"\0", "train/b/Thumbs.db": b"\0", "train/b/": b"",
    }  # fmt: skip
    entries |= {f"train/b/cut{place}.png": draw_picture(7)[:50] for place in range(23)}
    summary, _ = import_file(write_zip(tmp_path / "p.zip", entries))
    refused = list_refused(summary)
    assert summary.counts == {TRAIN: (2, 1), TEST: (1, 0)}
    assert refused[RefusalReason.UNKNOWN_SUFFIX] == (2, ("train/a/notes.txt", "train/a/photo.heic"))
    assert refused[RefusalReason.NO_CLASS] == (2, ("cover.png", "train/loose.png"))
    assert refused[RefusalReason.UNKNOWN_CLASS] == (1, ("test/stranger/0.png",))
    count, names = refused[RefusalReason.BROKEN]
    assert (count, len(names)) == (25, 20)
    assert names[:3] == ("train/b/broken.jpg", "train/b/cut0.png", "train/b/cut1.png")
    assert summary.num_ignored == 3
    assert any("25 broken" in warning for warning in summary.warnings)


def test_pictures_of_other_sizes_are_made_to_fit_as_asked(import_file: Import, tmp_path: Path) -> None:
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, 8:24] = RED
    Image.fromarray(wide).save(tmp_path / "wide.png")
    entries = {
        "train/a/1.png": (tmp_path / "wide.png").read_bytes(), "train/b/1.png": draw_picture(BLUE, (8, 8)),
        "train/b/2.png": draw_picture(GREEN, (3, 5)), "test/a/1.png": draw_picture(RED),
    }  # fmt: skip
    path = write_zip(tmp_path / "p.zip", entries)
    cropped, cache = import_file(path, size=8)
    assert (cropped.input_shape, cropped.counts[TRAIN]) == ((3, 8, 8), (1, 2))
    assert (cache.splits[TRAIN].images[0] == np.array(RED)[:, None, None]).all()  # the black sides are cut off
    _, cache = import_file(path, size=8, mode="pad", background="white")
    picture = cache.splits[TRAIN].images[0]
    assert (picture[:, :2] == 255).all() and (picture[:, 6:] == 255).all()  # noqa: PT018 - above and below
    assert picture[:, 2:6, 3].T.tolist() == [list(RED)] * 4
    path = write_zip(path, entries | {"train/a/2.png": draw_picture(BLUE)})
    exact, cache = import_file(path, size=8, mode="exact")
    assert list_refused(exact)[RefusalReason.OTHER_SIZE] == (2, ("train/a/1.png", "train/b/2.png"))
    with pytest.raises(InvalidDataset) as caught:
        import_file(path)
    assert caught.value.field == "size"


def test_gray_stays_gray_unless_one_picture_has_colour_or_it_is_asked_for(import_file: Import, tmp_path: Path) -> None:
    gray = build_split("train/", {"a": [1, 2], "b": [3]}) | {"test/a/1.png": draw_picture((9, 9, 9))}
    path = write_zip(tmp_path / "gray.zip", gray)
    assert import_file(path)[0].input_shape == (1, 8, 8)
    asked, cache = import_file(path, channels=3)
    assert asked.input_shape == (3, 8, 8)
    assert read_corner(cache.splits[TRAIN].images) == [[1] * 3, [2] * 3, [3] * 3]
    path = write_zip(tmp_path / "mixed.zip", gray | {"train/b/9.png": draw_picture(RED)})
    mixed, _ = import_file(path)
    assert (mixed.input_shape, mixed.conversions) == ((3, 8, 8), {Conversion.GRAY_REPEATED: 3})
    turned, cache = import_file(path, channels=1)
    assert turned.input_shape == (1, 8, 8)
    assert read_corner(cache.splits[TRAIN].images)[-1] == [round(0.299 * 200 + 0.587 * 10 + 0.114 * 10)]


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ({}, "file"),
        ({"readme.txt": b"x"}, "file"),
        ({"1.png": draw_picture(1)}, "pictures"),
        ({"a/1.png": draw_picture(1), "a/2.png": draw_picture(2)}, "classes"),
        ({"a/1.png": draw_picture(1), "b/2.png": b"broken"}, "classes"),
        ({"a/1.png": b"", "b/2.png": b"broken"}, "pictures"),
        ({"a/1.png": draw_picture(1), "b/1.png": draw_picture(1)}, "pictures"),
        ({"test/a/1.png": draw_picture(1), "test/b/1.png": draw_picture(1)}, "pictures"),
        ({"a/1.png": draw_picture(1), "b\n/1.png": draw_picture(1)}, "classes"),
        ({"a/1.png": draw_picture(1), "b" * 101 + "/1.png": draw_picture(1)}, "classes"),
        ({f"{name}/{i}.png": draw_picture(1, (225, 8)) for name in "ab" for i in "12"}, "size"),
        ({f"{name:04}/1.png": b"" for name in range(1001)}, "classes"),
    ],
    ids=["empty", "no pictures", "no class", "one class", "one left", "all broken", "none to spare", "no train",
         "control character", "long name", "too wide", "many classes"],
)  # fmt: skip
def test_what_cannot_be_a_data_set_is_one_error_that_names_the_field(
    entries: dict[str, bytes], field: str, import_file: Import, tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataset) as caught:
        import_file(write_zip(tmp_path / "p.zip", entries))
    assert caught.value.field == field
    assert [file.name for file in tmp_path.iterdir()] == ["p.zip"]  # nothing half-written


@pytest.mark.parametrize(
    ("names", "shown"),
    [(("Cat", "cat"), "cat"), (("a b", "a  b"), "a  b"), (("accuracy", "b"), "accuracy"), (("漢" * 86, "b"), "漢")],
    ids=["case", "spaces", "a row of reports", "bytes"],
)
def test_classes_of_which_no_model_could_be_opened_again_are_refused(
    names: tuple[str, str], shown: str, import_file: Import, tmp_path: Path
) -> None:
    entries = {f"{name}/{number}.png": draw_picture(9 * number) for name in names for number in range(1, 5)}
    with pytest.raises(InvalidDataset, match=shown) as caught:
        import_file(write_zip(tmp_path / "p.zip", entries))
    assert caught.value.field == "classes"
